# Persistence of a mark: addresses and ports together.
net 3 80 443
vip 10.77.9.10/32
iptables -t mangle -A PREROUTING -d 10.77.9.9 -p tcp -m multiport --dports 80,443 -j MARK --set-mark 8
iptables -t mangle -A PREROUTING -d 10.77.9.10 -p tcp --dport 80 -j MARK --set-mark 8
iptables -t mangle -A PREROUTING -d 10.77.9.9 -p udp --dport 80 -j MARK --set-mark 8
ipvsadm -A -f 8 -s rr -p 100
SERVICE="-f 8" RPORT=0
add 1; add 2; add 3
hit 2; hit 2 $C $VIP:443; hit 1 $C 10.77.9.10:80; udp $C $VIP:80
hit 1 10.77.1.3 $VIP:443; hit 1 10.77.1.3; hit 1 10.77.1.4 10.77.9.10:80; hit 1 10.77.1.4
conns
timers ':0 '
ipvsadm -Ln --persistent-conn
