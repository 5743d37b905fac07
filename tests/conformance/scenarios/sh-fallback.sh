# Source hashing with a fallback for servers that have weight 0 or are full.
net 3
ipvsadm -A -t $VIP:80 -s sh -b sh-fallback
round() { for i in {2..25}; do hit 1 10.77.1.$i; done | tr '\n' ' '; echo; }
add 1; add 2; add 3
round
edit 2 -w 0
round
edit 2 -w 1
edit 3 -w 1 -x 1
hold 2 10.77.1.5
hold 2 10.77.1.6
hold 2 10.77.1.7
round
ipvsadm -Ln
ipvsadm -Sn
