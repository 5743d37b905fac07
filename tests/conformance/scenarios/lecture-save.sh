# The lecture: saving and restoring services and rules.
lecture
iptables -t mangle -A PREROUTING -d 172.16.0.99 -p tcp -m multiport --dports 80,443 -j MARK --set-mark 3
ipvsadm -A -f 3 -s sh
ipvsadm -a -f 3 -r 172.16.0.7 -g
ipvsadm -a -f 3 -r 172.16.0.8 -g
ipvsadm -E -f 3 -s rr
ipvsadm-save > $RUN/ipvsadm
cat $RUN/ipvsadm
ipvsadm -S > $RUN/again
cmp $RUN/ipvsadm $RUN/again
iptables-save | grep -v '^#' > $RUN/iptables
grep MARK $RUN/iptables
ipvsadm -C
ipvsadm -ln
ipvsadm-restore < $RUN/ipvsadm
ipvsadm -ln
ipvsadm -C
ipvsadm -R < $RUN/ipvsadm
ipvsadm -ln
iptables -t mangle -F
iptables -t mangle -S
iptables-restore < $RUN/iptables
iptables -t mangle -S PREROUTING
