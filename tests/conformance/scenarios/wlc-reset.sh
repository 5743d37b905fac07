# Load counts inactive connections too: the kernel's measure of it.
net 3
ipvsadm -A -t $VIP:80 -s wlc
add 1 -w 1; add 2 -w 1; add 3 -w 2
hit 20
hold 3
hit 10
edit 3 -w 1
hit 10
ipvsadm -Ln
ipvsadm -E -t $VIP:80 -s lc
hit 10
hold 4
ipvsadm -Ln
