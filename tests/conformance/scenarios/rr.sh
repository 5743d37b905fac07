# Round robin under weight 0, additions and deletions.
net 3
ipvsadm -A -t $VIP:80 -s rr
for i in 1 2 3; do ipvsadm -a -t $VIP:80 -r 10.77.2$i.2:80 -m; done
hit 7
ipvsadm -e -t $VIP:80 -r 10.77.22.2:80 -m -w 0
hit 5
ipvsadm -d -t $VIP:80 -r 10.77.21.2:80
hit 3
ipvsadm -a -t $VIP:80 -r 10.77.21.2:80 -m -w 5
ipvsadm -e -t $VIP:80 -r 10.77.22.2:80 -m -w 2
hit 7
ipvsadm -Ln
conns
ipvsadm -e -t $VIP:80 -r 10.77.21.2:80 -m -w 0
ipvsadm -e -t $VIP:80 -r 10.77.22.2:80 -m -w 0
ipvsadm -e -t $VIP:80 -r 10.77.23.2:80 -m -w 0
hit 2
