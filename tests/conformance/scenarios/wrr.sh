# Weighted round robin: the first round, the cycle, and weights changed in the middle of one.
net 3
ipvsadm -A -t $VIP:80 -s wrr
add 1 -w 4; add 2 -w 3; add 3 -w 2
hit 20
edit 1 -w 6
hit 9
edit 3 -w 0
hit 9
edit 1 -w 0
hit 4
edit 2 -w 0
hit 2
edit 3 -w 10
edit 1 -w 20
hit 8
ipvsadm -Ln
