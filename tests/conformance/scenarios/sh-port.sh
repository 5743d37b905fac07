# Source hashing that takes the port in, with and without fallback.
net 3
ipvsadm -A -t $VIP:80 -s sh -b sh-port
round() { for i in {1..24}; do hit 1 10.77.1.2:$((40000 + i)); done | tr '\n' ' '; echo; }
add 1; add 2 -w 2; add 3
round
ipvsadm -E -t $VIP:80 -s sh -b sh-fallback,sh-port
edit 2 -w 0
for i in {1..12}; do hit 1 10.77.1.3:$((40000 + i)); done | tr '\n' ' '; echo
ipvsadm -Ln
