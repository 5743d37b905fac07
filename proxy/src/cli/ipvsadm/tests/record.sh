#!/usr/bin/env bash
# Records the transcripts again from a real ipvsadm on a real IPVS.
#
#   ORACLE=command record.sh [transcripts/FILE.txt ...]        default: all but ours.txt
#
# The command gets a bash script and a limit in seconds, runs the script as root on a machine of its own where `ipvsadm`
# works (name service files are replaced), and prints what it printed.
# Only the lines that begin with $, <, host, port, # and blank ones are read; everything else is written anew.
set -euo pipefail
: "${ORACLE:?set it to a command that runs a script on a machine with IPVS}"
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- $(ls transcripts/*.txt | grep -v /ours.txt)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

scenario() {
  cat <<'S'
for m in ip_vs_pe_sip sctp; do modprobe -q $m; done
printf 'hosts: files\nservices: files\n' > /etc/nsswitch.conf
printf '127.0.0.1 localhost\n' > /etc/hosts; : > /etc/services; : > /tmp/in
host() { echo "$1 $2" >> /etc/hosts; echo "host $*"; }
port() { printf '%s\t%s\n' "$1" "$2" >> /etc/services; echo "port $*"; }
input() { printf '%s\n' "$1" >> /tmp/in; echo "<${1:+ }$1"; }
run() {
  local rc=0; echo "\$ $1"
  eval "ipvsadm $1" < /tmp/in > /tmp/out 2> /tmp/err || rc=$?
  sed 's/^/> /' /tmp/out; sed 's/^/! /' /tmp/err; echo "= $rc"; : > /tmp/in
}
echo '=== transcript begins'
S
  while IFS= read -r line; do
    case $line in
      '$ '*) printf 'run %q\n' "${line#\$ }" ;;
      '<'*) line=${line#<}; printf 'input %q\n' "${line# }" ;;
      'host '* | 'port '*) echo "$line" ;;
      '#'* | '') printf 'echo %q\n' "$line" ;;
    esac
  done < "$1"
  echo "echo '=== transcript ends'"
}

for file; do
  scenario "$file" > "$work/scenario.sh"
  $ORACLE "$work/scenario.sh" "${SECONDS_LIMIT:-300}" | tr -d '\r' | sed -n '/^=== transcript begins$/,/^=== transcript ends$/{/^===/!p}' > "$work/out"
  [ -s "$work/out" ] || { echo "$file: nothing was recorded" >&2; exit 1; }
  cp "$work/out" "$file"
  echo "$file: $(grep -c '^\$' "$file") commands"
done
