# Round robin under weight 0, additions and deletions.
net 3
ipvsadm -A -t $VIP:80 -s rr
for i in 1 2 3; do add $i; done
hit 7
edit 2 -w 0
hit 5
del 1
hit 3
add 1 -w 5
edit 2 -w 2
hit 7
ipvsadm -Ln
conns
for i in 1 2 3; do edit $i -w 0; done
hit 2
