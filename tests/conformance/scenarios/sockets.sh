# The connections of real sockets: open, closed by the client, reset, refused.
net 1
ipvsadm -A -t $VIP:80 -s rr
add 1
open a $C:5001; open b $C:5002; open c $C:5003
state open
say a; say b
close b
state "one closed"
reset c
state "one reset"
ipvsadm -Ln
ipvsadm -a -t $VIP:80 -r 10.77.21.2:99 -m
edit 1 -w 0
hit 1 $C:5004
state "one refused"
close a
state "all closed"
conns
