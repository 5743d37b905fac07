# Persistence of a client's network.
net 3
ipvsadm -A -t $VIP:80 -s rr -p 100 -M 255.255.255.248
add 1; add 2; add 3
for i in {2..24}; do hit 1 10.77.1.$i; done | tr '\n' ' '; echo
conns ':0 '
ipvsadm -Ln
ipvsadm -Sn
ipvsadm -E -t $VIP:80 -s rr -p 100
hit 1 10.77.1.2; hit 1 10.77.1.3; hit 1 10.77.1.2
conns ':0 '
