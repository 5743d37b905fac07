# IPv6 in the schedulers that hash.
net 3
SERVICE="-t [$VIP6]:80"
for scheduler in sh mh dh; do
  ipvsadm -A $SERVICE -s $scheduler
  for i in 1 2 3; do ipvsadm -a $SERVICE -r [fd77:2$i::2]:80 -m -w $i; done
  for i in {2..9}; do hit 1 fd77:1::$i [$VIP6]:80; done | tr '\n' ' '; echo
  ipvsadm -D $SERVICE
done
