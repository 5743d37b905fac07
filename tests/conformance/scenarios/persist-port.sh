# Persistence of a port: clients stick, each to its own server; the template and its count.
net 3
ipvsadm -A -t $VIP:80 -s rr -p 100
add 1; add 2; add 3
hit 3; hit 3 10.77.1.3; hit 2 10.77.1.4; hit 2 10.77.1.5; hit 2
conns
timers ':0 '
ipvsadm -Ln --persistent-conn
ipvsadm -Ln
hold 2
ipvsadm -E -t $VIP:80 -s rr
hit 3
ipvsadm -Ln --persistent-conn
ipvsadm -E -t $VIP:80 -s rr -p 200
hit 2
timers ':0 '
