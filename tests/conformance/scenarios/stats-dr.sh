# Counters where replies are not seen, of marks, and of servers that are edited, deleted and added again.
net 1
iptables -t mangle -A PREROUTING -d $VIP -p tcp --dport 81 -j MARK --set-mark 4
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -a -t $VIP:80 -r 10.77.41.9 -g
ipvsadm -A -f 4 -s rr
ipvsadm -a -f 4 -r 10.77.41.9 -i
for p in 1001 1002; do for flags in S A A F; do tcp c 10.77.3.1:$p $VIP:80 $flags; tcp c 10.77.3.1:$p $VIP:81 $flags; done; done
sleep 4
ipvsadm -Ln --stats
ipvsadm -e -t $VIP:80 -r 10.77.41.9 -g -w 5
ipvsadm -E -t $VIP:80 -s wlc
sleep 4
ipvsadm -Ln --stats
ipvsadm -d -t $VIP:80 -r 10.77.41.9
ipvsadm -Ln --stats -t $VIP:80
ipvsadm -a -t $VIP:80 -r 10.77.41.9 -g
tcp c 10.77.3.1:1003 $VIP:80 S
sleep 4
ipvsadm -Ln --stats
ipvsadm -Ln
ipvsadm -Lnc | head -2
