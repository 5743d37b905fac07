# Least connections: ties, held and closed connections, weight 0.
net 3
ipvsadm -A -t $VIP:80 -s lc
for i in 1 2 3; do add $i -w $i; done
hold 5
hit 6
release r3
hold 2
ipvsadm -Ln
edit 1 -w 0
hold 4
edit 1 -w 9
hold 3
del 2
hold 3
add 2
hold 3
ipvsadm -Ln
