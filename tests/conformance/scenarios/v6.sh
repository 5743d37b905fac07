# IPv6: picks, states, listing.
net 3
SERVICE="-t [$VIP6]:80"
server() { echo "[fd77:2$1::2]:80"; }
ipvsadm -A $SERVICE -s wrr
for i in 1 2 3; do ipvsadm -a $SERVICE -r $(server $i) -m -w $i; done
hit 8 $C6 [$VIP6]:80
open a $C6 [$VIP6]:80
ipvsadm -e $SERVICE -r $(server 3) -m -w 0
hit 4 $C6 [$VIP6]:80
say a
close a
ipvsadm -u [$VIP6]:80 2>&1 | head -1
ipvsadm -A -u [$VIP6]:80 -s rr
for i in 1 2; do ipvsadm -a -u [$VIP6]:80 -r $(server $i) -m; done
udp $C6 [$VIP6]:80; udp $C6 [$VIP6]:80; udp fd77:1::3 [$VIP6]:80
conns
ipvsadm -Ln
ipvsadm -Sn
