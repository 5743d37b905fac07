# The states of SCTP.
net 1
vs conn_reuse_mode 0
ipvsadm -A --sctp-service $VIP:2905 -s rr
ipvsadm -a --sctp-service $VIP:2905 -r $SERVER:2905 -m
EVENTS="c0 c1 c2 c6 c7 c8 c10 c11 c14 s0 s1 s2 s6 s7 s8 s10 s11 s14"
walk $VIP:2905 INIT1 "c1"
walk $VIP:2905 COOKIE_WAIT "c1 s2"
walk $VIP:2905 COOKIE "c1 s2 c10"
walk $VIP:2905 ESTABLISHED "c1 s2 c10 s11"
walk $VIP:2905 SHUTDOWN "c1 s2 c10 s11 c7"
walk $VIP:2905 SHUTDOWN_ACK "c1 s2 c10 s11 c7 s8"
walk $VIP:2905 CLOSED "c1 s2 c10 s11 c6"
