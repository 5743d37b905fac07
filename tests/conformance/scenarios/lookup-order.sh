# Which service a packet belongs to: mark, then address and port, then all ports.
net 4 80 81 82 21 2000
ipvsadm -A -t $VIP:0 -s rr -p 100
SERVICE="-t $VIP:0" RPORT=0; add 1
hit 1; hit 1 $C $VIP:81
ipvsadm -A -t $VIP:80 -s rr
SERVICE="-t $VIP:80" RPORT=80; add 2
hit 1; hit 1 $C $VIP:81
iptables -t mangle -A PREROUTING -d $VIP -p tcp -m multiport --dports 80,82 -j MARK --set-mark 5
hit 1; hit 1 $C $VIP:82
ipvsadm -A -f 5 -s rr
hit 1
SERVICE="-f 5" RPORT=0; add 3
hit 1; hit 1 $C $VIP:81; hit 1 $C $VIP:82
ipvsadm -A -t $VIP:21 -s rr -p 100
SERVICE="-t $VIP:21" RPORT=21; add 4
hit 1 10.77.1.5 $VIP:21; hit 1 10.77.1.5 $VIP:2000; hit 1 10.77.1.6 $VIP:2000; hit 1 10.77.1.6 $VIP:81
ipvsadm -D -f 5
hit 1
ipvsadm -D -t $VIP:80
hit 1
conns
ipvsadm -Ln
