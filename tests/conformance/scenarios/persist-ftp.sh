# Persistence of FTP: data ports go where the control connection went.
net 3 21 2000 80
ipvsadm -A -t $VIP:21 -s rr -p 100
ipvsadm -A -t $VIP:80 -s rr
for i in 1 2 3; do ipvsadm -a -t $VIP:21 -r 10.77.2$i.2:21 -m; add $i; done
hit 1 $C $VIP:21; hit 2 $C $VIP:2000; hit 1 10.77.1.3 $VIP:21; hit 1 10.77.1.3 $VIP:2000; hit 1 10.77.1.4 $VIP:2000; hit 1 10.77.1.4 $VIP:21
hit 3
conns
ipvsadm -Ln --persistent-conn
