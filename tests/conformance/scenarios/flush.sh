# What becomes of connections when the table is cleared.
net 2
ipvsadm -A -t $VIP:80 -s rr
add 1; add 2
open a $C; open b $C
ipvsadm -C
ipvsadm -Ln
conns
hit 1
ipvsadm -A -t $VIP:80 -s rr
add 1
ipvsadm -Ln
hit 2
conns
