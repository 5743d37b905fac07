# Both families on one table: order of the listing, marks with -6.
net 1
ipvsadm -A -t [fd77:9::9]:80 -s rr
ipvsadm -A -u 10.77.9.9:53 -s rr
ipvsadm -A -t 10.77.9.9:80 -s rr
ipvsadm -A -t 10.77.9.9:443 -s wrr
ipvsadm -A -t 10.77.9.8:443 -s wrr
ipvsadm -A --sctp-service 10.77.9.9:2905 -s lc
ipvsadm -A -f 5 -s rr
ipvsadm -A -f 5 -6 -s wlc
ipvsadm -A -f 4 -6 -s wlc -p 60 -M 64
ipvsadm -a -f 5 -6 -r [fd77:21::2]:0 -m
ipvsadm -a -f 5 -6 -r 10.77.21.2:0 -m
ipvsadm -a -f 5 -r 10.77.21.2 -g -w 3
ipvsadm -a -t 10.77.9.9:80 -r [fd77:21::2]:80 -i
ipvsadm -a -t [fd77:9::9]:80 -r [fd77:21::2]:81 -m -w 7
ipvsadm -a -t [fd77:9::9]:80 -r [fd77:21::1]:81 -m
ipvsadm -Ln
ipvsadm -Sn
ipvsadm -Ln -t 10.77.9.9:80
ipvsadm -Ln -f 5
ipvsadm -Ln -f 5 -6
ipvsadm -Ln -f 6
ipvsadm -D -f 5
ipvsadm -Sn -f 4 -6
