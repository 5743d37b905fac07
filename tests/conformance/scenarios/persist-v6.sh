# Persistence of IPv6 clients and of their prefix.
net 3
SERVICE="-t [$VIP6]:80"
ipvsadm -A $SERVICE -s rr -p 100
for i in 1 2 3; do ipvsadm -a $SERVICE -r [fd77:2$i::2]:80 -m; done
hit 2 $C6 [$VIP6]:80; hit 2 fd77:1::3 [$VIP6]:80; hit 2 fd77:1::4 [$VIP6]:80; hit 1 $C6 [$VIP6]:80
conns
ipvsadm -E $SERVICE -s rr -p 100 -M 64
hit 1 fd77:1::5 [$VIP6]:80; hit 1 fd77:1::6 [$VIP6]:80; hit 1 fd77:1::7 [$VIP6]:80
conns ':0 '
ipvsadm -Ln
ipvsadm -Sn
