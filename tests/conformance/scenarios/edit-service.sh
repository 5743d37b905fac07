# An edited service: what is not named goes back to the default.
net 1
ipvsadm -A -t $VIP:80 -s sh -b sh-fallback,sh-port -p 100 -M 255.255.0.0
add 1
ipvsadm -Sn
ipvsadm -E -t $VIP:80 -s sh -b sh-port
ipvsadm -Sn
ipvsadm -E -t $VIP:80 -s mh -p 50
ipvsadm -Sn
ipvsadm -E -t $VIP:80 -p
ipvsadm -Sn
ipvsadm -E -t $VIP:80 -s rr -b sh-port
ipvsadm -E -t $VIP:80 -s rr -b flag-1
ipvsadm -Sn
ipvsadm -A -u $VIP:80 -s rr -o -p 20
ipvsadm -Sn -u $VIP:80
ipvsadm -E -u $VIP:80 -s rr
ipvsadm -Sn -u $VIP:80
ipvsadm -Ln
