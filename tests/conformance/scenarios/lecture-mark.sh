# The lecture: http and https of one address as one service by a mark; sh binds a client, rr alternates.
lecture
web() { tcp c "$1:$2" 172.16.0.99:$3 S; }
iptables -F
iptables -t mangle -vnL
iptables -t mangle -A PREROUTING -d 172.16.0.99 -p tcp -m multiport --dports 80,443 -j MARK --set-mark 3
iptables -t mangle -vnL
ipvsadm -A -f 3 -s sh
ipvsadm -a -f 3 -r 172.16.0.7 -g
ipvsadm -a -f 3 -r 172.16.0.8 -g
ipvsadm -ln
for i in 1 2 3; do web 172.16.0.67 4000$i 80; web 172.16.0.67 5000$i 443; web 172.16.0.68 4000$i 80; done
conns
ipvsadm -E -f 3 -s rr
for i in {4..8}; do web 172.16.0.67 4000$i 80; web 172.16.0.67 5000$i 443; done
conns
ipvsadm -ln
# Whether packets that no rule took are counted depends on the kind of iptables.
iptables -t mangle -vnL | sed 's/policy ACCEPT.*)/policy ACCEPT)/'
