# drop_packet in its always mode: every so many new connections one is refused.
net 1
vs am_droprate
vs am_droprate 3
vs drop_packet 3
sleep 3
ipvsadm -A -u $VIP:80 -s rr
ipvsadm -a -u $VIP:80 -r $SERVER:80 -m
for i in {1..12}; do datagram c 10.77.3.1:70$((10 + i)) $VIP:80; done
conns | wc -l
vs drop_packet 0
sleep 2
for i in {1..12}; do datagram c 10.77.3.1:71$((10 + i)) $VIP:80; done
conns | wc -l
