# Ports of the address that no service has, and services whose address has gone.
net 2 80
ipvsadm -A -t $VIP:80 -s rr
add 1
hit 1 $C $VIP:81
udp $C $VIP:80
hit 2
ipvsadm -D -t $VIP:80
hit 1
ipvsadm -A -t $VIP:80 -s rr
hit 1
add 2
hit 2
ipvsadm -Ln
