# The lecture: one service for all ports of an address, which must be persistent.
lecture
web() { tcp c "$1:$2" 172.16.0.99:$3 S; }
ipvsadm -A -t 172.16.0.99:0 -s rr
ipvsadm -A -t 172.16.0.99:0 -s rr -p
ipvsadm -a -t 172.16.0.99:0 -r 172.16.0.7 -g
ipvsadm -a -t 172.16.0.99:0 -r 172.16.0.8 -g
ipvsadm -ln
for i in 1 2 3; do web 172.16.0.67 4000$i 80; web 172.16.0.67 5000$i 443; web 172.16.0.68 4000$i 22; done
conns
timers ':0 '
ipvsadm -ln --persistent-conn
ipvsadm-save -n
