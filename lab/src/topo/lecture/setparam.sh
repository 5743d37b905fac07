#!/bin/bash
# Makes a real server of direct routing: it takes packets for the VIP, and its neighbours do not notice.
vip=172.16.0.99
case $1 in
start)
  echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore
  echo 2 > /proc/sys/net/ipv4/conf/all/arp_announce
  ip addr add $vip/32 dev lo label lo:0
  ;;
stop)
  ip addr del $vip/32 dev lo
  echo 0 > /proc/sys/net/ipv4/conf/all/arp_announce
  echo 0 > /proc/sys/net/ipv4/conf/all/arp_ignore
  ;;
*)
  echo "usage: $0 start|stop" >&2
  exit 1
  ;;
esac
