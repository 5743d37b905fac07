# A service that changes its scheduler keeps its servers and their connections.
net 3
ipvsadm -A -t $VIP:80 -s rr
add 1; add 2 -w 2; add 3 -w 3
hit 4
for scheduler in wrr sh lc fo mh sed rr; do
  ipvsadm -E -t $VIP:80 -s $scheduler
  echo $scheduler $(hit 5)
done
ipvsadm -E -t $VIP:80
ipvsadm -Ln
ipvsadm -E -t $VIP:80 -s nosuch
ipvsadm -Ln
