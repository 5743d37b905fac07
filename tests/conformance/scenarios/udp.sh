# UDP: a flow keeps its server; the entries count as inactive.
net 3 53
SERVICE="-u $VIP:53" RPORT=53
ipvsadm -A $SERVICE -s rr
add 1; add 2; add 3
udp $C:7001 $VIP:53; udp $C:7002 $VIP:53; udp $C:7001 $VIP:53; udp $C:7003 $VIP:53; udp $C:7002 $VIP:53; udp 10.77.1.3:7001 $VIP:53
timers
ipvsadm -Ln
edit 1 -w 0
udp $C:7001 $VIP:53; udp $C:7003 $VIP:53; udp $C:7004 $VIP:53; udp $C:7005 $VIP:53
conns
