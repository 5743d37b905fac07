# How long each state lasts, by default and as set.
net 1
vs conn_reuse_mode 0
for service in -t -u --sctp-service; do
  ipvsadm -A $service $VIP:80 -s rr
  ipvsadm -a $service $VIP:80 -r $SERVER:80 -m
done
ipvsadm -Ln --timeout
round() {
  local n=0 path
  for path in "cS" "cS sSA cA" "cS sSA cA sF sS" "cS sSA cA sF" "cS sSA cA cF sF" "cS sSA cA cR" "cS sSA cA cF" "c1" "c1 s2" "c1 s2 c10 s11"; do
    for step in $path; do packet $step $(($1 + n)) $VIP:80; done
    n=$((n + 1))
  done
  datagram c 10.77.3.1:$(($1 + n)) $VIP:80
  timers
}
round 1100
# The short ones end.
sleep 12
ipvsadm --set 200 50 70
ipvsadm -Ln --timeout
round 1200
ipvsadm --set 0 0 90
ipvsadm -Ln --timeout
ipvsadm --set 1 2
ipvsadm -L --timeout
