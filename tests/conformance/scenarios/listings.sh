# Every listing of one table.
net 1
ipvsadm -A -t $VIP:80 -s wlc -p 360 -M 255.255.255.0
ipvsadm -a -t $VIP:80 -r 192.168.1.1:80 -i -w 0
ipvsadm -a -t $VIP:80 -r 192.168.1.2:8080 -m -w 3 -x 100 -y 50
ipvsadm -a -t $VIP:80 -r 192.168.1.3:80 -i --tun-type gue --tun-port 6080
ipvsadm -a -t $VIP:80 -r 192.168.1.4 -i --tun-type gre --tun-csum
ipvsadm -a -t $VIP:80 -r 192.168.1.5 -i --tun-type gue --tun-port 6081 --tun-remcsum
ipvsadm -A -u $VIP:53 -s rr -o
ipvsadm -a -u $VIP:53 -r 192.168.1.3 -g
ipvsadm -A -f 5 -s sh -b sh-fallback,sh-port
ipvsadm -a -f 5 -r 192.168.1.4 -g -x 7
ipvsadm -A -t $VIP:0 -p
ipvsadm -A -f 2147483647 -s mh -b mh-port -p 2678400
for options in "" --stats --rate "--stats --exact" --thresholds --persistent-conn --tun-info --timeout --daemon -c "-c --persistent-conn" "--thresholds --tun-info" --sort; do
  echo "-Ln $options"
  ipvsadm -Ln $options
done
ipvsadm -Ln -t $VIP:80
ipvsadm -Ln -t $VIP:80 --nosort | sort
ipvsadm -Ln -f 5 --thresholds
ipvsadm -Ln -u $VIP:53 --stats
ipvsadm -ln -u $VIP:53 --tun-info
ipvsadm -L -n -t $VIP:80 --persistent-conn
ipvsadm -Sn
