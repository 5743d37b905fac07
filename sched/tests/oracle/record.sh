#!/usr/bin/env bash
# Asks a kernel IPVS again for every answer in the *.txt files beside this script, and rewrites them.
#
#   ORACLE='COMMAND [ARG...]' ./record.sh [FILE.txt...]
#
# COMMAND gets two more arguments: a bash script and a limit in seconds. It must run that script as root on a machine
# whose kernel has IPVS with the schedulers asked for, where iproute2, ipvsadm, bash and busybox are installed, and
# print what the script prints. A throw-away virtual machine is the usual choice. The script works in namespaces of
# its own, ulvs-*, which must not exist yet and are gone afterwards. All files take about fifteen minutes.
#
# A file is a list of steps, one a line; "->" and "load" lines are what the kernel said and are written anew.
#   scenario TEXT      begins one: its service and servers are new
#   ipv6               before anything else: the service, its clients and servers have IPv6 addresses
#   mark               before anything else: the service takes every packet with a mark, and clients' packets have it
#   scheduler NAME [FLAGS]  makes the service (-A), or gives it that scheduler (-E), with those flags (-b)
#   drop               deletes the service (-D)
#   add X [WEIGHT [UPPER [LOWER]]]   adds server X (-a), a letter from A to F; UPPER and LOWER are thresholds (-x, -y)
#   edit X WEIGHT [UPPER [LOWER]]    changes it (-e)
#   del X              deletes it (-d)
#   hit N [WHO]        N connections, one after the other, each closed before the next; "-" where nobody was available
#   hold N [WHO]       N connections that stay open
#   fan N WHO          as hit, and what WHO names last goes up by one with each connection
#   release X [N]      closes the N oldest open connections of server X
#   lapse X [N]        lets the N oldest open connections of server X time out
#   knob NAME VALUE    sets net.ipv4.vs.NAME
#   wait SECONDS       lets time pass
# WHO is [from ADDRESS] [port PORT] [to ADDRESS], each with a default; "to" an address other than the service's is
# for marks. One client port can be used once in a scenario for each client and destination.
# After hit, hold, fan, release and lapse the kernel's count of active+inactive connections follows.
set -euo pipefail
cd "$(dirname "$0")"
: "${ORACLE:?set it to a command that runs a bash script on a machine with kernel IPVS; see the head of $0}"
[ $# -gt 0 ] || set -- *.txt
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

{
  cat <<'DRIVER'
VIP4=10.77.9.9 VIP6=2001:db8:9::9 LETTERS=ABCDEF
if [ "${1:-}" != inside ]; then
  set -e
  spaces="c d $(seq ${#LETTERS} | sed s/^/r/)"
  for n in $spaces; do ip netns add "ulvs-$n"; ip -n "ulvs-$n" link set lo up; done
  link() { # SPACE DEVICE NET [DEVICE IN d]: the space gets number 2 of 10.77.NET.0/24 and 2001:db8:NET::/64, d number 1
    ip link add "$2" netns "ulvs-$1" type veth peer name "$4" netns ulvs-d
    ip -n "ulvs-$1" addr add "10.77.$3.2/24" dev "$2"; ip -n ulvs-d addr add "10.77.$3.1/24" dev "$4"
    ip -n "ulvs-$1" addr add "2001:db8:$3::2/64" dev "$2" nodad; ip -n ulvs-d addr add "2001:db8:$3::1/64" dev "$4" nodad
    ip -n "ulvs-$1" link set "$2" up; ip -n ulvs-d link set "$4" up
    ip -n "ulvs-$1" route add default via "10.77.$3.1"; ip -n "ulvs-$1" route add default via "2001:db8:$3::1"
  }
  link c e0 1 c0
  # Clients have any address.
  ip -n ulvs-d route add default via 10.77.1.2; ip -n ulvs-d route add default via 2001:db8:1::2
  ip netns exec ulvs-d sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  ip -n ulvs-d addr add $VIP4/32 dev lo; ip -n ulvs-d addr add $VIP6/128 dev lo nodad
  ip netns exec ulvs-d nft 'add table inet record
    add chain inet record marks { type filter hook prerouting priority mangle; }'
  pids=
  for i in $(seq ${#LETTERS}); do
    link "r$i" e0 "2$i" "b$i"
    # Says its name at once and stays until the client has gone. Takes IPv4 as well.
    ip netns exec "ulvs-r$i" busybox nc -ll -p 80 -e sh -c "echo ${LETTERS:i-1:1}; read x" & pids+=" $!"
  done
  ip netns exec ulvs-d sleep 100000 & DIRECTOR=$!
  sleep 1
  export DIRECTOR
  ip netns exec ulvs-c bash "$0" inside
  set +e
  kill $pids $DIRECTOR; wait 2>/dev/null
  for n in $spaces; do ip netns del "ulvs-$n"; done
  exit
fi
adm() { ip netns exec ulvs-d ipvsadm "$@" || echo "record: ipvsadm $* failed"; }
server() {
  local before=${LETTERS%"$1"*}
  if [ $FAMILY = 4 ]; then echo "10.77.2$((${#before} + 1)).2:80"; else echo "[2001:db8:2$((${#before} + 1))::2]:80"; fi
}
# Fills ACTIVE and LOAD from the director's table, in listing order of the kernel: newest server first.
table() {
  local a b address c d active inactive
  ACTIVE=0 LOAD=
  while read -r a address c d active inactive; do
    case $a$address in
      '->[2001:0db8:'*) b=$((10#${address:11:4} - 20)) ;;
      '->0A4D'*) b=$((16#${address:4:2} - 20)) ;;
      *) continue ;;
    esac
    ACTIVE=$((ACTIVE + active)) LOAD+=" ${LETTERS:b-1:1}:$active+$inactive"
  done < "/proc/$DIRECTOR/net/ip_vs"
}
# A close is seen by the director a moment after it is made; the next step must not come before that. Connections of
# deleted servers are not in the table.
settle() {
  local i h expected
  for i in $(seq 500); do
    table; expected=0
    for h in "${HELD[@]}"; do case $LOAD in *" ${h:0:1}:"*) expected=$((expected + 1)) ;; esac; done
    [ $ACTIVE -ne $expected ] || return 0
    sleep 0.01
  done
  echo "record: $ACTIVE connections are active, not $expected"
}
# Makes the next connection one of this client. An address is added where it is missing, and stays.
aim() { # [from ADDRESS] [port PORT] [to ADDRESS]
  local from port='32768 60999'
  if [ $FAMILY = 4 ]; then from=10.77.1.2 TO=$VIP4; else from=2001:db8:1::2 TO=$VIP6; fi
  while [ $# -gt 1 ]; do
    case $1 in from) from=$2 ;; port) port="$2 $2" ;; to) TO=$2 ;; esac
    shift 2
  done
  if [ "$from" != "$FROM" ]; then
    FROM=$from
    if [ $FAMILY = 4 ]; then
      ip addr add "$from/32" dev lo 2>/dev/null || true
      ip route replace default via 10.77.1.1 src "$from"
    else
      ip addr add "$from/128" dev lo nodad 2>/dev/null || true
      ip route replace default via 2001:db8:1::1 src "$from"
    fi
  fi
  [ "$port" = "$RANGE" ] || { RANGE=$port; echo "$port" > /proc/sys/net/ipv4/ip_local_port_range; }
  case " $HOME_OF " in *" $TO "*) return ;; esac
  HOME_OF+=" $TO"
  if [ $FAMILY = 4 ]; then ip -n ulvs-d addr add "$TO/32" dev lo; else ip -n ulvs-d addr add "$TO/128" dev lo nodad; fi
}
plus() { # ADDRESS-OR-PORT N: the Nth after it; the carry ends at the last part of an address
  case $1 in
    *:*) printf '%s:%x' "${1%:*}" $((16#${1##*:} + $2)) ;;
    *.*) echo "${1%.*}.$((${1##*.} + $2))" ;;
    *) echo $(($1 + $2)) ;;
  esac
}
connect() { # keep|close, adds to ANSWERS
  local fd name
  if { exec {fd}<>"/dev/tcp/$TO/$PORT"; } 2>/dev/null; then
    read -r -t 5 name <&$fd || name='?'
    if [ "$1" = keep ]; then HELD+=("$name$fd"); else exec {fd}>&-; fi
    ANSWERS+=$name
  else ANSWERS+=-; fi
  settle
}
release() { # LETTER COUNT
  local i fd left=$2
  for i in "${!HELD[@]}"; do
    [ $left -gt 0 ] && [ "${HELD[i]:0:1}" = "$1" ] || continue
    fd=${HELD[i]:1}; exec {fd}>&-; unset "HELD[i]"; left=$((left - 1))
  done
  settle
}
# An open connection's next packet gives it the timeout that is in force at that moment. The server behind waits for
# a line, so a dot does not end it.
lapse() { # LETTER COUNT
  local i fd left=$2 over=()
  adm --set 1 0 0
  for i in "${!HELD[@]}"; do
    [ $left -gt 0 ] && [ "${HELD[i]:0:1}" = "$1" ] || continue
    fd=${HELD[i]:1}; printf . >&$fd; over+=("$fd"); unset "HELD[i]"; left=$((left - 1))
  done
  settle
  for fd in "${over[@]}"; do exec {fd}>&-; done
  adm --set 900 0 0
}
PORT=1000 HELD=() MADE= FAMILY=4 MARK= FROM= RANGE= HOME_OF="$VIP4 $VIP6"
reset() {
  local h fd
  for h in "${HELD[@]}"; do fd=${h:1}; exec {fd}>&-; done
  HELD=(); adm -C; PORT=$((PORT + 1)) MADE= FAMILY=4 MARK= FROM=
  ip netns exec ulvs-d sysctl -qw net.ipv4.vs.lblc_expiration=86400 net.ipv4.vs.lblcr_expiration=86400
}
service() { # the options that name it
  if [ $MARK ]; then echo "-f $PORT"; [ $FAMILY = 4 ] || echo -6
  elif [ $FAMILY = 4 ]; then echo "-t $VIP4:$PORT"
  else echo "-t [$VIP6]:$PORT"; fi
}
thresholds() { echo "${1:+-x $1} ${2:+-y $2}"; }
answers() { echo "$line -> $ANSWERS"; echo "load$LOAD"; }
while read -r line; do
  line=${line%% ->*}; set -- $line
  case ${1:-} in
    '#'* | load | '') continue ;;
    =====) reset; echo "$line"; echo "# Kernel $(uname -r). Recorded by record.sh, which explains the steps."; continue ;;
    scenario) reset; echo ;;
    ipv6) FAMILY=6 ;;
    mark) MARK=1; ip netns exec ulvs-d nft add rule inet record marks tcp dport $PORT meta mark set $PORT ;;
    scheduler) adm ${MADE:--A} $(service) -s "$2" ${3:+-b "$3"}; MADE=-E ;;
    drop) adm -D $(service); MADE= ;;
    add) adm -a $(service) -r "$(server "$2")" -m -w "${3:-1}" $(thresholds ${4:-} ${5:-}) ;;
    edit) adm -e $(service) -r "$(server "$2")" -m -w "$3" $(thresholds ${4:-} ${5:-}) ;;
    del) adm -d $(service) -r "$(server "$2")" ;;
    hit | hold)
      ANSWERS= KEEP=$([ "$1" = hold ] && echo keep || echo close) COUNT=$2
      shift 2; aim "$@"
      for i in $(seq "$COUNT"); do connect $KEEP; done; answers; continue ;;
    fan)
      ANSWERS= COUNT=$2 LAST=${!#}
      shift 2
      for i in $(seq 0 $((COUNT - 1))); do aim "${@:1:$#-1}" "$(plus "$LAST" "$i")"; connect close; done; answers; continue ;;
    release | lapse) $1 "$2" "${3:-1}"; echo "$line"; echo "load$LOAD"; continue ;;
    knob) ip netns exec ulvs-d sysctl -qw "net.ipv4.vs.$2=$3" ;;
    wait) sleep "$2" ;;
    *) line="record: unknown step: $line" ;;
  esac
  echo "$line"
done <<'STEPS'
DRIVER
  for file; do echo "===== $file"; cat "$file"; done
  echo STEPS
} > "$work/script"

$ORACLE "$work/script" "${SECONDS_LIMIT:-1800}" > "$work/out" || { tail "$work/out" >&2; exit 1; }
if grep -n -B9 '^record: ' "$work/out" >&2; then echo "$0: nothing rewritten, see above" >&2; exit 1; fi
for file; do
  sed -n "/^===== ${file//./\\.}\$/,/^=====/{/^=====/d;p}" "$work/out" > "$work/new"
  [ -s "$work/new" ] || { echo "$0: no answers for $file" >&2; exit 1; }
  cp "$work/new" "$file"
done
