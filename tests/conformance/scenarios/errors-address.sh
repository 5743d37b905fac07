# Services at addresses that are no host's.
net 1
ipvsadm -A -t 0.0.0.0:80 -s rr
ipvsadm -A -t 224.0.0.1:80 -s rr
ipvsadm -A -t 255.255.255.255:80 -s rr
ipvsadm -A -t 127.0.0.1:80 -s rr
ipvsadm -A -t [ff02::1]:80 -s rr
ipvsadm -Ln
