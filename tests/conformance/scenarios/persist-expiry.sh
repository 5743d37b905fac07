# A template without members ends when its time is up, and use puts that off.
net 3 53
ipvsadm --set 0 0 1
ipvsadm -A -u $VIP:53 -s rr -p 3
SERVICE="-u $VIP:53" RPORT=53
add 1; add 2; add 3
udp $C $VIP:53; udp 10.77.1.3 $VIP:53
sleep 2
udp $C $VIP:53
sleep 2
udp $C $VIP:53
ipvsadm -Ln --persistent-conn
sleep 6
conns
udp $C $VIP:53; udp 10.77.1.3 $VIP:53
ipvsadm -Ln --persistent-conn
