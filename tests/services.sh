#!/usr/bin/env bash
# How long commands take with many services. Needs root; runs in a network namespace of its own.
#
#   services.sh BINARY [SERVICES]      default 16000, a server each, all on one address
#
# Prints microseconds, the least of five runs each: adding a service and a server to an empty table and to the full
# one, and what lists it. Starting a program is in all of them; `ipvsadm -v` does nothing else.
set -euo pipefail
if [ -z "${ULVS_BENCH:-}" ]; then ULVS_BENCH=1 exec unshare --net --mount "$0" "$@"; fi
ulvs=$(realpath "$1") count=${2:-16000} work=$(mktemp -d)
ip link set lo up
"$ulvs" run --state-dir "$work" > "$work/log" 2>&1 & engine=$!
trap '"$ulvs" stop; wait $engine; rm -r "$work"' EXIT
until "$ulvs" status > /dev/null 2>&1; do kill -0 $engine; sleep 0.05; done
service() { echo "-t 10.0.0.1:$((1000 + $1))"; }
server() { echo "-r 10.$((1 + $1 / 50000)).$(($1 / 250 % 200)).$((1 + $1 % 250)):80 -m"; }
least() { # NAME COMMAND...: the command runs five times, with N counting on
  local best= i begun took
  for i in 1 2 3 4 5; do
    begun=$(date +%s%N); "${@:2}" > "$work/out"; took=$((($(date +%s%N) - begun) / 1000))
    [ -n "$best" ] && [ "$best" -le "$took" ] || best=$took
  done
  printf '%9d us  %s\n' "$best" "$1"
}
add_service() { n=$((n + 1)); "$ulvs" ipvsadm -A $(service $n) -s rr; }
add_server() { m=$((m + 1)); "$ulvs" ipvsadm -a $(service $n) $(server $m); }
n=0 m=0
least 'add a service to none' add_service
least 'add a server to none' add_server
for i in $(seq 6 "$count"); do echo "-A $(service "$i") -s rr"; echo "-a $(service "$i") $(server "$i")"; done > "$work/rules"
begun=$(date +%s%N); "$ulvs" ipvsadm -R < "$work/rules"; took=$((($(date +%s%N) - begun) / 1000))
printf '%9d us  %s\n' "$took" "restore $count services and servers"
n=$count m=$count
least "add a service to $count" add_service
least "add a server to $count" add_server
least 'ipvsadm -Sn' "$ulvs" ipvsadm -Sn
least 'ipvsadm -Ln' "$ulvs" ipvsadm -Ln
least 'ipvsadm -v' "$ulvs" ipvsadm -v
