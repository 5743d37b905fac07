# One-packet scheduling: each datagram by itself.
net 3 53
SERVICE="-u $VIP:53" RPORT=53
ipvsadm -A $SERVICE -s rr -o
add 1; add 2; add 3
for i in {1..7}; do datagram c 10.77.3.1:7000 $VIP:53; done
conns
sleep 4
ipvsadm -Ln --stats
ipvsadm -Ln
ipvsadm -Sn
ipvsadm -A -t $VIP:80 -s rr -o
ipvsadm -E $SERVICE -s rr
for i in {1..4}; do datagram c 10.77.3.1:7001 $VIP:53; done
conns
