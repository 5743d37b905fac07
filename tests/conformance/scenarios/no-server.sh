# Nobody to serve: no servers, none with weight, and none on the port.
net 2
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -A -u $VIP:80 -s rr
hit 1
udp $C $VIP:80
add 1 -w 0
hit 1
edit 1 -w 1
hit 1
ipvsadm -a -t $VIP:80 -r 10.77.22.2:81 -m
hit 4
conns
udp $C $VIP:80
hit 1 $C $VIP:81
ipvsadm -Ln
