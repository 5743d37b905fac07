# A reused port where replies are not seen.
net 1
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -a -t $VIP:80 -r 10.77.41.9:80 -g
ipvsadm -a -t $VIP:80 -r 10.77.41.10:80 -g
for mode in 1 2 0; do
  vs conn_reuse_mode $mode
  for f in F R A; do
    port=$((9000 + mode * 100 + ${#f} + $(printf %d "'$f")))
    for flags in S A $f; do tcp c 10.77.3.1:$port $VIP:80 $flags; done
    conns ":$port "
    tcp c 10.77.3.1:$port $VIP:80 S
    conns ":$port "
  done
done
