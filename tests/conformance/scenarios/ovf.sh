# Overflow: the heaviest server until it has as many connections as its weight.
net 3
ipvsadm -A -t $VIP:80 -s ovf
add 1 -w 2; add 2 -w 4; add 3 -w 3
hold 9
ipvsadm -Ln
hold 4
release r2 3
hold 3
edit 3 -w 0
hold 2
edit 1 -w 5
hold 3
hold 9
ipvsadm -Ln
