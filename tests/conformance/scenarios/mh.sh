# Maglev hashing: removal of a server disturbs few.
net 3
ipvsadm -A -t $VIP:80 -s mh
round() { for i in {2..25}; do hit 1 10.77.1.$i; done | tr '\n' ' '; echo; }
add 1; add 2; add 3
round
edit 2 -w 4
round
edit 1 -w 0
round
del 1
round
add 1
round
ipvsadm -Ln
