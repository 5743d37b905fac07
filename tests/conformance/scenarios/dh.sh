# Destination hashing, seen through a mark for many addresses.
net 3
vip 10.77.9.{10..25}/32
iptables -t mangle -A PREROUTING -d 10.77.9.0/24 -p tcp --dport 80 -j MARK --set-mark 7
ipvsadm -A -f 7 -s dh
SERVICE="-f 7" RPORT=0
round() { for i in {9..25}; do hit 1 $C 10.77.9.$i:80; done | tr '\n' ' '; echo; }
add 1; add 2 -w 3; add 3
round
edit 2 -w 0
round
edit 2 -w 1
del 1
round
add 1
round
hit 1 10.77.1.3 10.77.9.11:80
hit 1 10.77.1.4 10.77.9.11:80
ipvsadm -Ln
