# Persistence of all ports of a client.
net 3 80 81 5000
ipvsadm -A -t $VIP:0 -s rr -p 100
ipvsadm -A -u $VIP:0 -s rr -p 100
SERVICE="-t $VIP:0" RPORT=0
add 1; add 2; add 3
for i in 1 2 3; do ipvsadm -a -u $VIP:0 -r 10.77.2$i.2:0 -m; done
hit 2; hit 2 $C $VIP:81; hit 1 10.77.1.3 $VIP:81; hit 1 10.77.1.3; hit 1 10.77.1.4 $VIP:5000; udp 10.77.1.4 $VIP:5000; udp 10.77.1.4 $VIP:81
conns
ipvsadm -Ln --persistent-conn
