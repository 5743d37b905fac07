# Thresholds that are changed under connections.
net 2
ipvsadm -A -t $VIP:80 -s wrr
add 1 -x 2; add 2
hold 6
edit 1 -x 0
hold 2
edit 1 -x 3
hold 2
edit 2 -x 3
hold 2
edit 1 -x 20 -y 10
hold 2
ipvsadm -Ln --thresholds
ipvsadm -Ln
add 1 -x 5 -y 6
edit 1 -x 5 -y 6
edit 1 -x 5 -y 5
ipvsadm -Ln --thresholds
ipvsadm -Sn
