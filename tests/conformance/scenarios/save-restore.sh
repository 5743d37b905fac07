# What is saved, restores to the same.
net 1
{ echo "-A -t 10.77.9.9:80 -s wrr -p 300 -M 255.255.255.0"
  echo "-a -t 10.77.9.9:80 -r 10.77.21.2:80 -m -w 3"
  echo "-a -t 10.77.9.9:80 -r 10.77.22.2:80 -g"
  echo
  echo "ipvsadm -A -u 10.77.9.9:53 -s rr -o"
  echo "-a -u 10.77.9.9:53 -r 10.77.21.2 -i --tun-type gue --tun-port 6080 --tun-csum"
  echo "-A -f 9 -s mh -b mh-fallback"
  echo "-A -f 9 -6 -s sh"
  echo "-a -f 9 -6 -r [fd77:21::2] -m -w 0"
  echo "-A -t [fd77:9::9]:443 -s lc -p"
  echo "-A -u 10.77.9.9:5060 -s rr -p 60 --pe sip"
} > $RUN/in
ipvsadm -R < $RUN/in
ipvsadm -Sn | tee $RUN/saved
ipvsadm -Ln
ipvsadm-save -n | cmp - $RUN/saved
ipvsadm -C
ipvsadm -R < $RUN/saved
ipvsadm -Sn | cmp - $RUN/saved
ipvsadm-restore < $RUN/saved
ipvsadm -Sn | cmp - $RUN/saved
ipvsadm -Sn -t 10.77.9.9:80
ipvsadm -R < /dev/null
