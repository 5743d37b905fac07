# Connection thresholds: full at the upper, back below the lower, or below three quarters of the upper without one.
net 2
ipvsadm -A -t $VIP:80 -s rr
add 1 -x 4 -y 2; add 2 -x 4
ipvsadm -Ln --thresholds
hold 9
ipvsadm -Ln
release r1; hit 1
ipvsadm -Ln --thresholds
for port in 20001 20002 20003 20004; do tcp c 10.77.1.2:$port $VIP:80 R; done
ipvsadm -Ln
