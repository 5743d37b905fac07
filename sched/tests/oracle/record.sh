#!/usr/bin/env bash
# Asks a kernel IPVS again for every answer in the *.txt files beside this script, and rewrites them.
#
#   ORACLE='COMMAND [ARG...]' ./record.sh [FILE.txt...]
#
# COMMAND gets two more arguments: a bash script and a limit in seconds. It must run that script as root on a machine
# whose kernel has IPVS with the schedulers asked for, where iproute2, ipvsadm, bash and busybox are installed, and
# print what the script prints. A throw-away virtual machine is the usual choice. The script works in namespaces of
# its own, ulvs-*, which must not exist yet and are gone afterwards. All files take about four minutes.
#
# A file is a list of steps, one a line; "->" and "load" lines are what the kernel said and are written anew.
#   scenario TEXT      begins one: its service and servers are new
#   scheduler NAME     makes the service (-A), or gives it that scheduler (-E)
#   drop               deletes the service (-D)
#   add X [WEIGHT [UPPER [LOWER]]]   adds server X (-a), a letter from A to F, perhaps with thresholds
#   edit X WEIGHT [UPPER [LOWER]]    changes it (-e)
#   del X              deletes it (-d)
#   hit N              N connections, one after the other, each closed before the next; "-" where nobody was available
#   hold N             N connections that stay open
#   release X [N]      closes the N oldest open connections of server X
#   lapse X [N]        lets the N oldest open connections of server X time out
# After each of the last four the kernel's count of active+inactive connections follows.
set -euo pipefail
cd "$(dirname "$0")"
: "${ORACLE:?set it to a command that runs a bash script on a machine with kernel IPVS; see the head of $0}"
[ $# -gt 0 ] || set -- *.txt
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

{
  cat <<'DRIVER'
VIP=10.77.9.9 LETTERS=ABCDEF
if [ "${1:-}" != inside ]; then
  set -e
  spaces="c d $(seq ${#LETTERS} | sed s/^/r/)"
  for n in $spaces; do ip netns add "ulvs-$n"; ip -n "ulvs-$n" link set lo up; done
  link() { # SPACE DEVICE ADDRESS SPACE DEVICE ADDRESS
    ip link add "$2" netns "ulvs-$1" type veth peer name "$5" netns "ulvs-$4"
    ip -n "ulvs-$1" addr add "$3/24" dev "$2"; ip -n "ulvs-$1" link set "$2" up
    ip -n "ulvs-$4" addr add "$6/24" dev "$5"; ip -n "ulvs-$4" link set "$5" up
  }
  link c e0 10.77.1.2 d c0 10.77.1.1
  ip -n ulvs-c route add default via 10.77.1.1
  ip netns exec ulvs-d sysctl -qw net.ipv4.ip_forward=1
  ip -n ulvs-d addr add $VIP/32 dev lo
  pids=
  for i in $(seq ${#LETTERS}); do
    link "r$i" e0 "10.77.2$i.2" d "b$i" "10.77.2$i.1"
    ip -n "ulvs-r$i" route add default via "10.77.2$i.1"
    # Says its name at once and stays until the client has gone.
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
server() { local before=${LETTERS%"$1"*}; echo "10.77.2$((${#before} + 1)).2:80"; }
# Fills ACTIVE and LOAD from the director's table, in listing order of the kernel: newest server first.
table() {
  local a b address c d active inactive
  ACTIVE=0 LOAD=
  while read -r a address c d active inactive; do
    [ "$a" = '->' ] && [ "${address%:*}" != RemoteAddress ] || continue
    b=$((16#${address:4:2} - 20))
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
connect() { # keep|close, adds to ANSWERS
  local fd name
  if { exec {fd}<>"/dev/tcp/$VIP/$PORT"; } 2>/dev/null; then
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
place() { # -a|-e LETTER [WEIGHT [UPPER [LOWER]]]
  adm "$1" -t "$VIP:$PORT" -r "$(server "$2")" -m -w "${3:-1}" ${4:+-x "$4"} ${5:+-y "$5"}
}
PORT=1000 HELD=() MADE=
reset() {
  local h fd
  for h in "${HELD[@]}"; do fd=${h:1}; exec {fd}>&-; done
  HELD=(); adm -C; PORT=$((PORT + 1)) MADE=
}
while read -r step a b; do
  a=${a%% ->*}; b=${b%%->*}; b=${b%% }
  line="$step${a:+ $a}${b:+ $b}"
  case $step in
    '#'* | load) continue ;;
    =====) reset; echo "===== $a"; echo "# Kernel $(uname -r). Recorded by record.sh, which explains the steps."; continue ;;
    '') continue ;;
    scenario) reset; echo ;;
    scheduler) if [ $MADE ]; then adm -E -t "$VIP:$PORT" -s "$a"; else adm -A -t "$VIP:$PORT" -s "$a"; MADE=1; fi ;;
    drop) adm -D -t "$VIP:$PORT"; MADE= ;;
    add) place -a "$a" $b ;;
    edit) place -e "$a" $b ;;
    del) adm -d -t "$VIP:$PORT" -r "$(server "$a")" ;;
    hit) ANSWERS=; for i in $(seq "$a"); do connect close; done; echo "$line -> $ANSWERS"; echo "load$LOAD"; continue ;;
    hold) ANSWERS=; for i in $(seq "$a"); do connect keep; done; echo "$line -> $ANSWERS"; echo "load$LOAD"; continue ;;
    release | lapse) $step "$a" "${b:-1}"; echo "$line"; echo "load$LOAD"; continue ;;
    *) line="record: unknown step: $line" ;;
  esac
  echo "$line"
done <<'STEPS'
DRIVER
  for file; do echo "===== $file"; cat "$file"; done
  echo STEPS
} > "$work/script"

$ORACLE "$work/script" "${SECONDS_LIMIT:-900}" > "$work/out"
if grep -n -B9 '^record: ' "$work/out" >&2; then echo "$0: nothing rewritten, see above" >&2; exit 1; fi
for file; do
  sed -n "/^===== ${file//./\\.}\$/,/^=====/{/^=====/d;p}" "$work/out" > "$work/new"
  [ -s "$work/new" ] || { echo "$0: no answers for $file" >&2; exit 1; }
  cp "$work/new" "$file"
done
