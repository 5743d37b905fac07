# The connections of a deleted server are silent, and go on when it comes back.
net 2
ipvsadm -A -t $VIP:80 -s rr
add 1; add 2
open a $C; open b $C
del 2
hit 2
say b
conns
ipvsadm -Ln
add 2
ipvsadm -Ln
hit 2
conns
