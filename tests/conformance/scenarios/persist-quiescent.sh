# With expire_quiescent_template, templates of servers with weight 0 end.
net 2
vs expire_quiescent_template
vs expire_quiescent_template 1
vs expire_quiescent_template
ipvsadm -A -t $VIP:80 -s rr -p 100
add 1; add 2
hit 1; hit 1 10.77.1.3
open a 10.77.1.2
edit 2 -w 0
hit 2; hit 2 10.77.1.3; say a
edit 2 -w 1
hit 2; hit 2 10.77.1.3; hit 1 10.77.1.4
conns
