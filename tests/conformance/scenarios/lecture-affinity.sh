# The lecture: persistence of each port, and of a mark.
lecture
web() { tcp c "$1:$2" 172.16.0.99:$3 S; }
for port in 80 443; do
  ipvsadm -A -t 172.16.0.99:$port -s rr -p 300
  ipvsadm -a -t 172.16.0.99:$port -r 172.16.0.7 -g
  ipvsadm -a -t 172.16.0.99:$port -r 172.16.0.8 -g
done
web 172.16.0.66 40000 80
for i in 1 2; do web 172.16.0.67 4000$i 80; web 172.16.0.67 5000$i 443; done
conns
ipvsadm -C
iptables -t mangle -A PREROUTING -d 172.16.0.99 -p tcp --dport 80 -j MARK --set-mark 10
iptables -t mangle -A PREROUTING -d 172.16.0.99 -p tcp --dport 443 -j MARK --set-mark 10
ipvsadm -A -f 10 -s rr -p 300
ipvsadm -a -f 10 -r 172.16.0.7 -g
ipvsadm -a -f 10 -r 172.16.0.8 -g
for i in 3 4; do web 172.16.0.69 4000$i 80; web 172.16.0.69 5000$i 443; web 172.16.0.70 4000$i 80; done
conns 172.16.0.69
conns 172.16.0.70
timers ':0 '
ipvsadm -ln
