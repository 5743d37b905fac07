# Servers whose ports are others than the service's, and one server in several services.
net 2 80 8080 9090
ipvsadm -A -t $VIP:80 -s rr
ipvsadm -A -t $VIP:81 -s rr
for s in 80 81; do
  ipvsadm -a -t $VIP:$s -r 10.77.21.2:8080 -m
  ipvsadm -a -t $VIP:$s -r 10.77.21.2:9090 -m
  ipvsadm -a -t $VIP:$s -r 10.77.22.2 -m
  hit 5 $C $VIP:$s
done
ipvsadm -d -t $VIP:80 -r 10.77.21.2:8080
hit 4
conns
ipvsadm -Ln
