# SCTP begins with INIT, or with anything under sloppy_sctp.
net 1
ipvsadm -A --sctp-service $VIP:2905 -s rr
ipvsadm -a --sctp-service $VIP:2905 -r $SERVER:2905 -m
EVENTS="c0 c1 c2 c6 c7 c8 c9 c10 c11 c14"
walk $VIP:2905 "nothing" ""
vs sloppy_sctp 1
walk $VIP:2905 "nothing, sloppy" ""
