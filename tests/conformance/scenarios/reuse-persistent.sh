# A reused port of a persistent client.
net 2
ipvsadm -A -t $VIP:80 -s rr -p 100
ipvsadm -a -t $VIP:80 -r 10.77.41.9:80 -m
ipvsadm -a -t $VIP:80 -r 10.77.42.9:80 -m
tcp c 10.77.3.2:9000 $VIP:80 S
for step in cS sSA cA cF sF; do case $step in c*) tcp c 10.77.3.1:9001 $VIP:80 ${step#c} ;; s*) tcp r1 10.77.41.9:80 10.77.3.1:9001 ${step#s} ;; esac; done
conns
tcp c 10.77.3.1:9001 $VIP:80 S
conns
ipvsadm -Ln --persistent-conn
