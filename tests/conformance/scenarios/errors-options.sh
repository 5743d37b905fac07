# What ipvsadm says about its own options.
net 1
ipvsadm -A
ipvsadm -A -t $VIP
ipvsadm -A -t 10.77.9:80
ipvsadm -A -t $VIP:80 -u $VIP:80
ipvsadm -A -t $VIP:80 -r 10.77.21.2:80
ipvsadm -A -t $VIP:80 -w 3
ipvsadm -A -t $VIP:80 -p 0
ipvsadm -A -t $VIP:80 -p 99999999
ipvsadm -A -t $VIP:80 -p -M 256.0.0.0
ipvsadm -A -t $VIP:80 -M 255.255.255.0
ipvsadm -A -t $VIP:80 -s rr -b sh-port
ipvsadm -A -t $VIP:80 -s sh -b bogus
ipvsadm -A -t $VIP:80 -o
ipvsadm -A -f 0
ipvsadm -A -6 -f 3
ipvsadm -A -t $VIP:81 --pe nosuch -p
ipvsadm -A -t $VIP:80 -D -t $VIP:80
ipvsadm -a -t $VIP:80
ipvsadm -a -r 10.77.21.2:80
ipvsadm -a -t $VIP:80 -r nosuch:80:1
ipvsadm -a -t $VIP:80 -r 10.77.21.2 -m -g
ipvsadm -a -t $VIP:80 -r 10.77.21.2 -w -1
ipvsadm -a -t $VIP:80 -r 10.77.21.2 -x -1
ipvsadm -a -t $VIP:80 -r 10.77.21.2 -m --tun-type gue
ipvsadm -a -t $VIP:80 -r 10.77.21.2 -i --tun-type gue
ipvsadm -a -t $VIP:80 -r 10.77.21.2 -i --tun-type nosuch
ipvsadm -a -t $VIP:80 -r [fd77:21::2]:80 -m
ipvsadm -L -c --stats
ipvsadm -L --timeout --daemon
ipvsadm -L -t $VIP:80 -c
ipvsadm --set 1 2
ipvsadm --bogus
ipvsadm -t
ipvsadm -A -t
ipvsadm -C extra
ipvsadm -D
ipvsadm -Z -s rr
ipvsadm -Ln
