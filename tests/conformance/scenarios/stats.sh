# Counters of services and servers, both directions, and their zero point.
net 2
SERVICE="-t $VIP:80"
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -a -t $VIP:80 -r 10.77.41.9:80 -m
ipvsadm -A -u $VIP:80 -s rr
ipvsadm -a -u $VIP:80 -r 10.77.41.9:80 -m
ipvsadm -a -u $VIP:80 -r 10.77.42.9:80 -m
for p in 1001 1002 1003; do for step in cS sSA cA cA sA cF sF cA; do packet $step $p $VIP:80; done; done
for p in 1001 1002 1003 1001; do datagram c 10.77.3.1:$p $VIP:80; done
datagram r1 10.77.41.9:80 10.77.3.1:1002
sleep 4
ipvsadm -Ln --stats
ipvsadm -Z -u $VIP:80
sleep 4
ipvsadm -Ln --stats
packet cS 1004 $VIP:80
sleep 4
ipvsadm -Ln --stats --exact
ipvsadm -Ln --stats -t $VIP:80
ipvsadm -Z
sleep 4
ipvsadm -Ln --stats
packet cA 1004 $VIP:80
sleep 4
ipvsadm -Ln --stats
ipvsadm -Ln
