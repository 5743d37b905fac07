# With expire_nodest_conn, connections of a deleted server end.
net 2
vs expire_nodest_conn 1
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -A -u $VIP:80 -s rr
add 1; add 2
SERVICE="-u $VIP:80"; add 1; add 2
open a $C; open b $C
udp $C:6000 $VIP:80; udp $C:6000 $VIP:80
SERVICE="-t $VIP:80"; del 2
SERVICE="-u $VIP:80"; del 2
sleep 1
conns
say b
say a
udp $C:6000 $VIP:80
conns
