# UDP flows of a deleted server are silent, as the kernel has it.
net 2 53
SERVICE="-u $VIP:53" RPORT=53
ipvsadm -A $SERVICE -s wlc
add 1; add 2
udp $C:7001 $VIP:53; udp $C:7002 $VIP:53
del 2
udp $C:7001 $VIP:53; udp $C:7002 $VIP:53; udp $C:7003 $VIP:53
conns
ipvsadm -Ln
