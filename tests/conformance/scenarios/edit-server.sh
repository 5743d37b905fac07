# An edited server: method, weight and thresholds all at once, whatever is not named goes back to the default.
net 2
ipvsadm -A -t $VIP:80 -s wrr
add 1 -w 5 -x 9 -y 3; add 2 -w 2
ipvsadm -Sn
hold 3
edit 1
ipvsadm -Ln; ipvsadm -Ln --thresholds
ipvsadm -e -t $VIP:80 -r 10.77.21.2:80
ipvsadm -Ln
hit 2
ipvsadm -e -t $VIP:80 -r 10.77.21.2:80 -i -w 3
ipvsadm -Ln --tun-info
edit 1 -w 7
conns
hit 3
