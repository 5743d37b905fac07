# A client uses its port again: conn_reuse_mode.
net 2
vs conn_reuse_mode
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -a -t $VIP:80 -r 10.77.41.9:80 -m
ipvsadm -a -t $VIP:80 -r 10.77.42.9:80 -m
again() { # PORT PATH...: a connection, closed so, then a SYN
  local port=$1 step server; shift
  tcp c 10.77.3.1:$port $VIP:80 S
  server=$(conns ":$port " | awk '{ print $5 }')
  for step; do
    case $step in
      c*) tcp c 10.77.3.1:$port $VIP:80 ${step#c} ;;
      s*) case $server in 10.77.41.*) tcp r1 $server 10.77.3.1:$port ${step#s} ;; *) tcp r2 $server 10.77.3.1:$port ${step#s} ;; esac ;;
    esac
  done
  conns ":$port "
  tcp c 10.77.3.1:$port $VIP:80 S
  conns ":$port "
}
talker r2
for mode in 1 0 2; do
  vs conn_reuse_mode $mode
  echo "mode $mode"
  again $((8000 + mode * 10)) sSA cA cF sF
  again $((8001 + mode * 10)) sSA cA cR
  again $((8002 + mode * 10)) sSA cA cF
  again $((8003 + mode * 10)) sSA cA sF
  again $((8004 + mode * 10)) sSA cA
  again $((8005 + mode * 10))
done
