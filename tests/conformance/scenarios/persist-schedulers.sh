# Persistence comes before any scheduler.
net 3
for scheduler in wrr lc sh fo; do
  ipvsadm -A -t $VIP:80 -s $scheduler -p 50
  add 1 -w 1; add 2 -w 3; add 3 -w 2
  hit 3 10.77.1.8; hit 3 10.77.1.9; hit 3 10.77.1.10
  ipvsadm -Ln
  ipvsadm -D -t $VIP:80
done
