# Weighted failover.
net 3
ipvsadm -A -t $VIP:80 -s fo
add 1 -w 10; add 2 -w 30; add 3 -w 20
hit 4
edit 2 -w 0
hit 3
del 3
hit 3
edit 2 -w 10
hit 2
edit 1 -w 9
hit 2
edit 2 -x 1 -w 10
hold 2
hit 2
ipvsadm -Ln
