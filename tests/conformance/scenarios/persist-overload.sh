# Persistent clients of a server that is full.
net 2
ipvsadm -A -t $VIP:80 -s rr -p 100
add 1 -x 2; add 2 -x 2
hold 1; hold 1 10.77.1.3; hold 1; hold 1; hold 1
hold 1 10.77.1.4; hold 2 10.77.1.5
ipvsadm -Ln
ipvsadm -Ln --thresholds
conns
