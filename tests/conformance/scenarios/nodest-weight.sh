# With expire_nodest_conn, a new SYN of an old connection leaves a server of weight 0.
net 2
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -a -t $VIP:80 -r 10.77.41.9:80 -m
ipvsadm -a -t $VIP:80 -r 10.77.42.9:80 -m
for p in 7001 7002; do tcp c 10.77.3.1:$p $VIP:80 S; tcp c 10.77.3.1:$p $VIP:80 A; done
ipvsadm -e -t $VIP:80 -r 10.77.42.9:80 -m -w 0
for p in 7001 7002; do tcp c 10.77.3.1:$p $VIP:80 S; done
conns
vs expire_nodest_conn 1
for p in 7001 7002; do tcp c 10.77.3.1:$p $VIP:80 S; done
conns
