# Persistent clients still come to a server of weight 0; new ones do not.
net 2
ipvsadm -A -t $VIP:80 -s rr -p 100
add 1; add 2
hit 1; hit 1 10.77.1.3
edit 2 -w 0
hit 2; hit 2 10.77.1.3; hit 2 10.77.1.4; hit 1 10.77.1.5
ipvsadm -Ln
edit 1 -w 0
hit 1; hit 1 10.77.1.3; hit 1 10.77.1.6
ipvsadm -Ln --persistent-conn
