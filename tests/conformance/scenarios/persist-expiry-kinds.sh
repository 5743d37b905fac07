# Templates of FTP, of a mark, of all ports and of networks: kept while they are used, then gone.
net 3 21 80 2000
vip 10.77.9.{10,11,12}/32
ipvsadm --set 1 1 1
iptables -t mangle -A PREROUTING -d 10.77.9.10 -p tcp -m multiport --dports 80,2000 -j MARK --set-mark 5
services=("-t $VIP:21" "-f 5" "-t 10.77.9.11:0" "-t 10.77.9.12:80")
for SERVICE in "${services[@]}"; do
  case $SERVICE in *.12:80) mask="-M 255.255.255.240" ;; *) mask= ;; esac
  case $SERVICE in *:21) RPORT=21 ;; *:80) RPORT=80 ;; *) RPORT=0 ;; esac
  ipvsadm -A $SERVICE -s rr -p 4 $mask
  add 1; add 2; add 3
done
round() { # CLIENT CLIENT
  local client
  for client; do
    echo "$client: $(hold 1 $client $VIP:21) $(hold 1 $client $VIP:2000)" \
      "$(hold 1 $client 10.77.9.10:80) $(hold 1 $client 10.77.9.10:2000)" \
      "$(hold 1 $client 10.77.9.11:80) $(hold 1 $client 10.77.9.11:2000) $(hold 1 $client 10.77.9.12:80)"
  done
}
round 10.77.1.2 10.77.1.3 10.77.1.20
sleep 1
round 10.77.1.2 10.77.1.3
sleep 12
conns
round 10.77.1.3 10.77.1.2
