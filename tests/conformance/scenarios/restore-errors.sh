# Restore goes line by line: what came before an error stays.
net 1
printf '%s\n' "-A -t 10.77.9.9:80 -s rr" "-a -t 10.77.9.9:80 -r 10.77.21.2:80 -m" "-A -t 10.77.9.9:80 -s wrr" "-A -t 10.77.9.9:81 -s rr" | ipvsadm -R
ipvsadm -Sn
printf '%s\n' "-A -t 10.77.9.9:82 -s rr" "-A -t 10.77.9.9:83 -s nosuch" | ipvsadm -R
ipvsadm -Sn
printf '%s\n' "-A -t 10.77.9.9:84 -s rr" "-A -t 10.77.9.9:85 -w 3" "-A -t 10.77.9.9:86 -s rr" | ipvsadm -R
ipvsadm -Sn
printf '%s\n' "-A -t 10.77.9.9:87 -s rr" "-Z -t 10.77.9.9:80" "-D -t 10.77.9.9:80" "-e -t 10.77.9.9:81 -r 10.77.21.2:80 -m" | ipvsadm -R
ipvsadm -Sn
