# What each segment makes of a connection in each state, where both directions are seen.
net 1
vs conn_reuse_mode 0
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -a -t $VIP:80 -r $SERVER:80 -m
EVENTS="cS cF cA cR sS sSA sF sA sR"
walk $VIP:80 SYN_RECV "cS"
walk $VIP:80 ESTABLISHED "cS sSA cA"
walk $VIP:80 SYN_SENT "cS sSA cA sF sS"
walk $VIP:80 FIN_WAIT "cS sSA cA sF"
walk $VIP:80 TIME_WAIT "cS sSA cA cF sF"
walk $VIP:80 CLOSE "cS sSA cA cR"
walk $VIP:80 CLOSE_WAIT "cS sSA cA cF"
