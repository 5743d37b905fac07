# Marks by rules: listings, counters, deletion, order.
net 2 80 81 443
iptables -t mangle -A PREROUTING -d 10.77.9.9 -p tcp -m multiport --dports 80,81 -j MARK --set-mark 1
iptables -t mangle -A PREROUTING -d 10.77.9.9/32 -p udp --dport 1000:2000 -j MARK --set-mark 2
iptables -t mangle -A PREROUTING -s 10.77.1.3 -d 10.77.9.9 -p tcp --dport 80 -j MARK --set-mark 3
iptables -t mangle -A PREROUTING -i d0 -d 10.77.9.0/24 -p tcp --dport 443 -j MARK --set-mark 4
iptables -t mangle -L PREROUTING -vn
iptables -t mangle -S PREROUTING
for m in 1 3 4; do ipvsadm -A -f $m -s rr; done
SERVICE="-f 1" RPORT=0; add 1
SERVICE="-f 3"; add 2
SERVICE="-f 4"; add 2
hit 2; hit 1 10.77.1.3; hit 1 10.77.1.3 $VIP:81; hit 1 $C $VIP:443
for i in 1 2 3; do tcp c 10.77.3.1:300$i $VIP:81 S; done
iptables -t mangle -D PREROUTING -s 10.77.1.3 -d 10.77.9.9 -p tcp --dport 80 -j MARK --set-mark 3
hit 1 10.77.1.3
iptables -t mangle -D PREROUTING -s 10.77.1.3 -d 10.77.9.9 -p tcp --dport 80 -j MARK --set-mark 3
iptables -t mangle -S PREROUTING
iptables -t mangle -F
iptables -t mangle -S PREROUTING
conns
