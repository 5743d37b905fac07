# Shortest expected delay.
net 3
ipvsadm -A -t $VIP:80 -s sed
add 1 -w 5; add 2 -w 2; add 3 -w 1
hold 12
hit 5
edit 2 -w 8
hold 5
edit 1 -w 0
hold 3
release r2 6
hold 3
del 2
hold 2
ipvsadm -Ln
