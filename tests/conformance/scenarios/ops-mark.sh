# One-packet scheduling of a mark.
net 2 53 80
iptables -t mangle -A PREROUTING -d $VIP -p udp --dport 53 -j MARK --set-mark 6
ipvsadm -A -f 6 -s wrr --ops
SERVICE="-f 6" RPORT=0
add 1 -w 2; add 2 -w 1
for i in {1..6}; do datagram c 10.77.3.1:7000 $VIP:53; done
conns
sleep 4
ipvsadm -Ln --stats
