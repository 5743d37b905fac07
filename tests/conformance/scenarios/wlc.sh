# Weighted least connections: shares, weight edits, a server that comes empty.
net 3
ipvsadm -A -t $VIP:80 -s wlc
add 1 -w 3; add 2 -w 2; add 3 -w 1
hold 12
ipvsadm -Ln
edit 3 -w 6
hold 6
edit 1 -w 0
hold 4
add 1 -w 3
release r3 4
hold 5
del 2
hold 2
add 2 -w 2
hold 3
hit 4
ipvsadm -Ln
