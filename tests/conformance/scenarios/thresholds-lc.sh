# Thresholds with schedulers that look at load.
net 3
for scheduler in lc wlc sed nq; do
  ipvsadm -A -t $VIP:80 -s $scheduler
  add 1 -w 9 -x 2; add 2 -w 1; add 3 -w 1 -x 1
  hold 7
  ipvsadm -Ln
  ipvsadm -D -t $VIP:80
done
