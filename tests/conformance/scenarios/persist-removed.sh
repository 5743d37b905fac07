# The templates of a server that is deleted, and that comes back.
net 2
ipvsadm -A -t $VIP:80 -s rr -p 100
add 1; add 2
hit 1; hit 1 10.77.1.3
del 2
hit 2; hit 2 10.77.1.3
conns
add 2
hit 1; hit 1 10.77.1.3; hit 1 10.77.1.4; hit 1 10.77.1.5
ipvsadm -Ln --persistent-conn
