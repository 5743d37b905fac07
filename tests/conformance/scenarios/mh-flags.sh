# Maglev hashing with its flags.
net 3
ipvsadm -A -t $VIP:80 -s mh -b mh-fallback
round() { for i in {2..21}; do hit 1 10.77.1.$i; done | tr '\n' ' '; echo; }
add 1; add 2; add 3
round
edit 3 -w 0
round
ipvsadm -E -t $VIP:80 -s mh -b mh-port
edit 3 -w 1
for i in {1..24}; do hit 1 10.77.1.2:$((40000 + i)); done | tr '\n' ' '; echo
ipvsadm -E -t $VIP:80 -s mh -b mh-fallback,mh-port
edit 1 -w 0
for i in {1..24}; do hit 1 10.77.1.3:$((40000 + i)); done | tr '\n' ' '; echo
ipvsadm -Ln
ipvsadm -Sn
