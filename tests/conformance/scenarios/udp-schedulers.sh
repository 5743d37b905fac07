# UDP entries are inactive: what schedulers that count make of them.
net 3 53
SERVICE="-u $VIP:53" RPORT=53
for scheduler in lc wlc sed nq ovf; do
  ipvsadm -A $SERVICE -s $scheduler
  add 1 -w 1; add 2 -w 2; add 3 -w 3
  for i in {1..9}; do udp $C $VIP:53; done | tr '\n' ' '; echo
  ipvsadm -D $SERVICE
done
