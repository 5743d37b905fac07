# Source hashing without flags: weight 0 means nobody.
net 3
ipvsadm -A -t $VIP:80 -s sh
round() { for i in {2..25}; do hit 1 10.77.1.$i; done | tr '\n' ' '; echo; }
add 1; add 2; add 3
round
edit 2 -w 3
round
edit 1 -w 0
round
del 1
round
add 1 -w 2
round
ipvsadm -Ln
