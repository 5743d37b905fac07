# Never queue: an idle server first, whatever its weight.
net 3
ipvsadm -A -t $VIP:80 -s nq
add 1 -w 9; add 2 -w 2; add 3 -w 1
hold 3
hold 6
release r3
hold 1
release r2 1
hold 2
edit 3 -w 0
release r3 2
hold 2
edit 3 -w 1
hold 2
hit 3
ipvsadm -Ln
