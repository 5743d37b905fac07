#!/usr/bin/env bash
# One client, one director, one server, and a service that is reached by DR, by NAT and by a tunnel, one after the other:
# the topology, the addresses and the order of commands of the kernel's own test of IPVS. Nobody starts an engine: the
# first ipvsadm does, as `path/ipvsadm` is that one. Wants `ulvs` on PATH; makes three network namespaces for each phase and
# removes them.
#   tests/selftest/phases.sh        the last line is "phases: PASS", exit code 0
set -euo pipefail
PATH=$(dirname "$(readlink -f "$0")")/path:$PATH

vip=207.175.44.110 port=8080
client=client-$$ director=director-$$ server=server-$$
files=$(mktemp -d)

on() { ip netns exec "$@"; }

clean() {
  for ns in $client $director $server; do
    # What the engine and the decapsulator do by themselves within a second or two.
    ip netns del "$ns" 2>/dev/null || true
  done
}
trap 'clean; rm -rf "$files"' EXIT

# The client's bridge reaches the director, and the server directly.
topology() {
  for ns in $client $director $server; do ip netns add "$ns"; done
  ip link add to-director netns $client type veth peer name to-client netns $director
  ip link add to-server netns $client type veth peer name to-client netns $server
  ip link add to-server netns $director type veth peer name to-director netns $server
  on $client ip link add br0 type bridge
  on $client ip link set to-director up master br0
  on $client ip link set to-server up master br0
  on $client ip link set br0 up
  on $client ip addr add 10.0.0.2/24 dev br0
  on $client ip route add $vip via 10.0.0.1 dev br0
  on $director ip link set lo up
  on $director ip link set to-client up
  on $director ip link set to-server up
  on $director ip addr add 10.0.0.1/24 dev to-client
  on $director ip addr add 172.16.0.1/24 dev to-server
  on $server ip link set lo up
  on $server ip link set to-client up
  on $server ip link set to-director up
  on $server ip addr add 10.0.0.3/24 dev to-client
  on $server ip addr add 172.16.0.2/24 dev to-director
}

real_server() {
  on $server sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
  on $server sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.to-director.rp_filter=0
  on $server ip addr add $vip/32 dev lo:1
}

# Bytes go one way; the same ones have to arrive.
talk() {
  head -c 32 /dev/urandom >"$files/sent"
  on $server timeout 10 socat -u -4 TCP-LISTEN:$port,reuseaddr "STDOUT" >"$files/received" &
  local listener=$!
  for _ in $(seq 50); do
    if on $server ss -Hltn "sport = :$port" | grep -q .; then break; fi
    sleep 0.1
  done
  on $client timeout 5 socat -u -4 STDIN TCP:$vip:$port <"$files/sent"
  wait $listener
  cmp "$files/sent" "$files/received"
}

dr() {
  on $director sysctl -qw net.ipv4.ip_forward=1
  on $director ipvsadm -A -t $vip:$port -s rr
  on $director ipvsadm -a -t $vip:$port -r 172.16.0.2:$port
  on $director ip addr add $vip/32 dev lo:1
  real_server
  talk
}

nat() {
  on $server ip link del to-client
  on $server ip route add default via 172.16.0.1 dev to-director
  on $director sysctl -qw net.ipv4.ip_forward=1
  on $director ipvsadm -A -t $vip:$port -s rr
  on $director ipvsadm -a -m -t $vip:$port -r 172.16.0.2:$port
  on $director ip addr add $vip/32 dev lo:1
  talk
}

tunnel() {
  on $director ipvsadm -A -t $vip:$port -s rr
  on $director ipvsadm -a -i -t $vip:$port -r 172.16.0.2:$port
  # Written after the engine has begun.
  on $director sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.all.send_redirects=0
  on $director ip addr add $vip/32 dev lo:1
  real_server
  # In the place of the kernel's tunl0.
  on $server ulvs real start --vip $vip --method tun --state-dir "$files/real" >/dev/null
  talk
  on $server ulvs real stop --state-dir "$files/real" >/dev/null
}

engines=()
for phase in dr nat tunnel; do
  topology
  $phase || { echo "phases: $phase: FAIL"; exit 1; }
  on $director ipvsadm -Ln --stats | grep -q "$vip:$port *1 " || { echo "phases: $phase: not counted"; exit 1; }
  engines+=("$(on $director ulvs status --json | sed -n 's/^ *"pid": *\([0-9]*\).*/\1/p')")
  clean
  echo "phases: $phase: ok"
done

# Nobody keeps the namespaces alive.
for _ in $(seq 100); do
  left=
  [ ${#engines[@]} = 3 ]
  for pid in "${engines[@]}"; do
    if kill -0 "$pid" 2>/dev/null; then left=$pid; fi
  done
  if [ -z "$left" ]; then
    echo "phases: PASS"
    exit 0
  fi
  sleep 0.1
done
echo "phases: engine $left has outlived its network namespace: FAIL"
exit 1
