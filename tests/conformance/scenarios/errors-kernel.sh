# What ipvsadm says when the table says no.
net 1
ipvsadm -E -t $VIP:80 -s rr
ipvsadm -D -t $VIP:80
ipvsadm -Z -t $VIP:80
ipvsadm -L -n -t $VIP:80
ipvsadm -a -t $VIP:80 -r 10.77.21.2:80 -m
ipvsadm -A -t $VIP:80 -s nosuch
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -A -t $VIP:80 -s wrr
ipvsadm -E -t $VIP:80 -s nosuch
ipvsadm -a -t $VIP:80 -r 10.77.21.2:80 -m
ipvsadm -a -t $VIP:80 -r 10.77.21.2:80 -g
ipvsadm -a -t $VIP:80 -r 10.77.21.2:81 -g
ipvsadm -e -t $VIP:80 -r 10.77.21.2:81 -m
ipvsadm -d -t $VIP:80 -r 10.77.21.2:81
ipvsadm -d -t $VIP:80
ipvsadm -a -t $VIP:80 -r 224.0.0.1:80 -m
ipvsadm -a -t $VIP:80 -r 10.77.21.2:82 -m -x 3 -y 4
ipvsadm -a -t $VIP:80 -r 10.77.21.2:83 -m -w 2147483648
ipvsadm -a -t $VIP:80 -r 10.77.21.2:84 -m -w 2147483647
ipvsadm -A -u $VIP:80 -s rr --pe sip
ipvsadm -E -u $VIP:80 -s rr
ipvsadm -Ln
ipvsadm -C
ipvsadm -C
ipvsadm -Ln
