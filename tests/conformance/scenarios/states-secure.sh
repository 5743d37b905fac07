# The states under secure_tcp.
net 1
vs conn_reuse_mode 0
vs secure_tcp 3
sleep 2
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -a -t $VIP:80 -r $SERVER:80 -m
ipvsadm -A -t $VIP:81 -s rr
ipvsadm -a -t $VIP:81 -r $SERVER:81 -g
EVENTS="cS cF cA cR sS sSA sF sA sR"
walk $VIP:80 SYN_RECV "cS"
walk $VIP:80 SYNACK "cS sSA"
walk $VIP:80 ESTABLISHED "cS sSA sA cA"
walk $VIP:80 TIME_WAIT "cS sSA sA cF sF"
EVENTS="cS cF cA cR"
walk $VIP:81 SYNACK "cS"
walk $VIP:81 ESTABLISHED "cS cA"
walk $VIP:81 FIN_WAIT "cS cA cF"
