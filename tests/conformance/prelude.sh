# The words of scenarios. Sourced by `side`, which has given the scenario private mounts and processes; $SIDE (kernel or
# ulvs) brings three words of its own: director_start, vs and vs_get.
#
# The world, all of it in namespaces: client c --- director d --- servers r1..rN, each behind its own link.
# A client's ports go up from 20001 where a scenario names none.
#   c    10.77.1.2 to .40, fd77:1::2 to ::9; for raw packets also 10.77.3.0/24, whose packets nobody answers
#   d    VIP 10.77.9.9 and VIP6 fd77:9::9 (on lo), 10.77.1.1 towards c, 10.77.2N.1 towards rN
#   rN   10.77.2N.2, fd77:2N::2, default route through d; for raw packets also 10.77.4N.0/24
#
#   net N [PORT...]        makes it, with servers on these ports (80 if none is given); they say rN
#   lecture                the network of the lecture instead: all on one wire, 172.16.0.0/16; names c d r7 r8
#   ipvsadm ..., ipvsadm-save, ipvsadm-restore, iptables ..., iptables-save, iptables-restore
#                          on the director; a failure prints its exit code
#   add N [OPTION...], edit N ..., del N
#                          server N of $SERVICE (-t VIP:80), 10.77.2N.2:$RPORT (80), masqueraded
#   vip ADDRESS...         more addresses of the director
#   vs NAME [VALUE]        sets, or prints, net.ipv4.vs.NAME
#   hit N [SRC [DST]]      N connections one after the other, each closed before the next: prints who answered
#   hold N [SRC [DST]]     N connections that stay open
#   release rX [N]         closes the N oldest of a server, or all if there are fewer
#   open ID SRC DST, say ID, close ID, reset ID    one connection
#   udp SRC DST [TEXT]     a datagram, and who answered; TEXT has %XX for anything but letters and digits
#   walk TARGET STATE PATH what each further packet makes of connections in that state; PATH leads there from nothing
#   tcp FROM SRC DST FLAGS, datagram FROM SRC DST, sctp FROM SRC DST CHUNK
#                          a raw packet put on the wire by c or rN
#   conns [PATTERN]        the connections, without their timers, sorted
#   timers [PATTERN]       the same with timers in seconds, rounded up to ten
#   state TEXT             one line: the states of all connections
# $RUN is a directory for files.
VIP=10.77.9.9 VIP6=fd77:9::9 C=10.77.1.2 C6=fd77:1::2
HERE=$PWD
SERVICE="-t $VIP:80" RPORT=80
RUN=$(mktemp -d -p /run)
exec 9>&1
. "$HERE/$SIDE.sh"

on() { local ns=$1; shift; ip netns exec "$ns" "$@"; }

node() { # NAME...
  local n; for n; do ip netns add "$n"; ip -n "$n" link set lo up; done
}
link() { # NODE DEVICE V4 V6 NODE DEVICE V4 V6
  ip link add "$2" netns "$1" type veth peer name "$6" netns "$5"
  ip -n "$1" -batch - <<< "addr add $3/24 dev $2
addr add $4/64 dev $2 nodad
link set $2 up"
  ip -n "$5" -batch - <<< "addr add $7/24 dev $6
addr add $8/64 dev $6 nodad
link set $6 up"
}

net() {
  local n=$1 i; shift; [ $# -gt 0 ] || set -- 80
  node c d; on d sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  link c e0 10.77.1.2 fd77:1::2 d c0 10.77.1.1 fd77:1::1
  { for i in $(seq 3 40); do echo "addr add 10.77.1.$i/24 dev e0"; done
    for i in $(seq 3 9); do echo "addr add fd77:1::$i/64 dev e0 nodad"; done
    echo "route add default via 10.77.1.1"; } | ip -n c -batch -
  ip -6 -n c route add default via fd77:1::1
  ip -n d -batch - <<< "addr add $VIP/32 dev lo
addr add $VIP6/128 dev lo nodad
route add 10.77.3.0/24 via 10.77.1.2"
  for i in $(seq "$n"); do
    node "r$i"; link "r$i" e0 "10.77.2$i.2" "fd77:2$i::2" d "b$i" "10.77.2$i.1" "fd77:2$i::1"
    ip -n "r$i" route add default via "10.77.2$i.1"; ip -6 -n "r$i" route add default via "fd77:2$i::1"
    ip -n d route add "10.77.4$i.0/24" via "10.77.2$i.2"
    serve "r$i" "$@"
  done
  talker c; talker r1
  director_start
}

lecture() {
  local n i; node w c d r7 r8; on d sysctl -qw net.ipv4.ip_forward=1
  ip -n w link add br0 type bridge; ip -n w link set br0 up
  for n in c:67 d:6 r7:7 r8:8; do
    i=${n#*:} n=${n%:*}
    ip link add e0 netns "$n" type veth peer name "w$n" netns w; ip -n w link set dev "w$n" master br0 up
    ip -n "$n" addr add "172.16.0.$i/16" dev e0; ip -n "$n" link set e0 up
  done
  ip -n d addr add 172.16.0.99/32 dev lo
  ip -n c -batch - <<< "route add 172.16.0.99/32 via 172.16.0.6"
  for n in c d; do on "$n" sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.e0.send_redirects=0; done
  VIP=172.16.0.99 C=172.16.0.67
  talker c
  director_start
}

serve() { # NODE PORT...
  local line; exec {SERVE}< <(on "$1" peer serve "$@"); read -r line <&$SERVE
}

# Commands to the peers: one process in each namespace that has something to say.
declare -A TO FROM
talker() { # NODE
  local to from
  mkfifo "$RUN/$1.to" "$RUN/$1.from"
  ip netns exec "$1" peer talk "$VIP" < "$RUN/$1.to" > "$RUN/$1.from" &
  exec {to}> "$RUN/$1.to" {from}< "$RUN/$1.from"
  TO[$1]=$to FROM[$1]=$from
}
ask() { # NODE WORDS...
  local n=$1 answer; shift
  echo "$*" >&"${TO[$n]}"
  read -r answer <&"${FROM[$n]}"
  [ -z "$answer" ] || echo "$answer"
}

hit() { ask c hit "$1" "${2:-$C}" "${3:-$VIP:80}"; }
hold() { ask c hold "$1" "${2:-$C}" "${3:-$VIP:80}"; }
release() { ask c release "$1" "${2:-1}"; }
open() { ask c open "$1" "$2" "${3:-$VIP:80}"; }
say() { ask c say "$1"; }
close() { ask c close "$1"; }
reset() { ask c reset "$1"; }
udp() { ask c udp "$@"; }
tcp() { ask "$1" tcp "$2" "$3" "$4"; }
datagram() { ask "$1" datagram "$2" "$3"; }
sctp() { ask "$1" sctp "$2" "$3" "$4"; }

# A path is packets like cS, sSA or c10: from the client or the server, with these TCP flags or this SCTP chunk.
# SERVER is a raw server behind r1.
SERVER=10.77.41.9 WALKED=30000
packet() { # PACKET CLIENTPORT TARGET
  case $1 in
    c[0-9]*) sctp c "10.77.3.1:$2" "$3" "${1#c}" ;;
    s[0-9]*) sctp r1 "$SERVER:${3##*:}" "10.77.3.1:$2" "${1#s}" ;;
    c*) tcp c "10.77.3.1:$2" "$3" "${1#c}" ;;
    s*) tcp r1 "$SERVER:${3##*:}" "10.77.3.1:$2" "${1#s}" ;;
  esac
}
walk() { # TARGET STATE PATH, EVENTS="cS cF ..."
  local event first=$WALKED step line="$2:" port
  for event in $EVENTS; do
    for step in $3 $event; do packet "$step" $WALKED "$1"; done
    WALKED=$((WALKED + 1))
  done
  local table; table=$(on d ipvsadm -Lnc)
  port=$first
  for event in $EVENTS; do
    line+=" $event=$(awk -v port=":$port" 'index($4, port) { print $3; exit }' <<< "$table")"; port=$((port + 1))
  done
  echo "$line"
}

# A function's name may be that of a program: scenarios have the words of the lecture.
director() {
  local rc=0; on d "$@" || rc=$?
  [ $rc = 0 ] || echo "exit $rc" >&9
  return $rc
}
ipvsadm() { director ipvsadm "$@"; }
ipvsadm-save() { director ipvsadm-save "$@"; }
ipvsadm-restore() { director ipvsadm-restore "$@"; }
iptables() { director iptables "$@"; }
iptables-save() { director iptables-save "$@"; }
iptables-restore() { director iptables-restore "$@"; }

add() { ipvsadm -a $SERVICE -r "10.77.2$1.2:$RPORT" -m "${@:2}"; }
edit() { ipvsadm -e $SERVICE -r "10.77.2$1.2:$RPORT" -m "${@:2}"; }
del() { ipvsadm -d $SERVICE -r "10.77.2$1.2:$RPORT"; }
vip() { local a; for a; do ip -n d addr add "$a" dev lo; done; }

vs() { if [ $# = 2 ]; then vs_set "$1" "$2"; else vs_get "$1"; fi; }

# An entry that moves while the kernel lists it is listed twice: once is enough.
conns() {
  on d ipvsadm -Lnc "${@:2}" | awk -v want="${1:-}" 'NR > 2 && $0 ~ want { print $1, $3, $4, $5, $6, $7, $8 }' |
    sed 's/ *$//' | LC_ALL=C sort -u
}
timers() {
  on d ipvsadm -Lnc | awk -v want="${1:-}" 'NR > 2 && $0 ~ want {
    split($2, t, ":"); left = t[1] * 60 + t[2]; print $1, int((left + 9) / 10) * 10, $3, $4, $5, $6 }' | LC_ALL=C sort -u
}
state() { echo "$1:$(on d ipvsadm -Lnc | awk 'NR > 2 { print $3 }' | LC_ALL=C sort | sed 's/^/ /' | tr -d '\n')"; }
