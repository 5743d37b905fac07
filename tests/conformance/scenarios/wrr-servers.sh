# Weighted round robin while servers come and go.
net 4
ipvsadm -A -t $VIP:80 -s wrr
add 1 -w 10; add 2 -w 20
hit 5
add 3 -w 30
hit 9
del 2
hit 8
add 4 -w 5
add 2 -w 20
hit 14
del 3
del 1
hit 6
del 2
del 4
hit 1
ipvsadm -Ln
