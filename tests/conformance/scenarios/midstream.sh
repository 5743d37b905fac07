# Packets of connections that nobody knows, and scheduling of any packet: sloppy_tcp.
net 1
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -a -t $VIP:80 -r $SERVER:80 -m
EVENTS="cA cF cR cSA cSR cSF sA sSA"
walk $VIP:80 "nothing" ""
vs sloppy_tcp 1
walk $VIP:80 "nothing, sloppy" ""
ipvsadm -Ln
