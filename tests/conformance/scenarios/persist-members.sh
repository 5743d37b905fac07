# A template whose members outlive it lives on, sixty seconds at a time.
net 2
ipvsadm -A -t $VIP:80 -s rr -p 2
add 1; add 2
hold 1; hold 1 10.77.1.3
sleep 5
timers
hit 2
timers ':0 '
ipvsadm -Ln --persistent-conn
