# Locality: a destination keeps its server until that is overloaded or gone.
net 3
vip 10.77.9.{10..13}/32
iptables -t mangle -A PREROUTING -d 10.77.9.0/24 -p tcp --dport 80 -j MARK --set-mark 7
ipvsadm -A -f 7 -s lblc
SERVICE="-f 7" RPORT=0
add 1 -w 2; add 2 -w 2; add 3 -w 8
for i in {10..13}; do hold 2 $C 10.77.9.$i:80; done
hold 4 $C 10.77.9.10:80
hold 4 $C 10.77.9.11:80
ipvsadm -Ln
edit 3 -w 0
for i in {10..13}; do hold 1 $C 10.77.9.$i:80; done
edit 3 -w 20
for i in {10..13}; do hold 2 $C 10.77.9.$i:80; done
del 2
for i in {10..13}; do hold 1 $C 10.77.9.$i:80; done
ipvsadm -Ln
