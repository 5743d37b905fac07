# What each segment makes of a connection in each state, where replies are not seen.
net 1
vs conn_reuse_mode 0
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -a -t $VIP:80 -r $SERVER:80 -g
EVENTS="cS cF cA cR"
walk $VIP:80 SYN_RECV "cS"
walk $VIP:80 ESTABLISHED "cS cA"
walk $VIP:80 FIN_WAIT "cS cA cF"
walk $VIP:80 TIME_WAIT "cS cF"
walk $VIP:80 CLOSE "cS cA cR"
ipvsadm -Ln
