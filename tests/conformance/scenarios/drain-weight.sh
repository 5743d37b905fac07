# A server of weight 0 keeps its connections and gets no new ones.
net 2
ipvsadm -A -t $VIP:80 -s rr
add 1; add 2
open a $C; open b $C
edit 2 -w 0
say a; say b
hit 4
ipvsadm -Ln
close a
edit 1 -w 0
say b
hit 1
ipvsadm -Ln
edit 2 -w 1
hit 2
close b
state end
