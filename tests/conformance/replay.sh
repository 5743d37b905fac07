#!/usr/bin/env bash
# Runs scenarios on ulvs and compares with what the kernel said. Needs root and the built programs, no emulator.
#
#   replay.sh [--quick] [NAME...]      all, the representative fifth, or these
#
# ULVS_BIN is the program under test (default: target/release/ulvs), PEER_BIN the traffic's. So many scenarios run at once: AT_ONCE (default 4);
# they mostly wait.
set -uo pipefail
cd "$(dirname "$0")"
. ./recordings.sh
case ${1:-} in --quick) set -- $(cat quick) ;; '') set -- $(scenarios) ;; esac
if [ -z "${PEER_BIN:-}" ]; then
  cargo build --quiet --workspace --bin peer || exit 1
  PEER_BIN=$(target_dir)/debug/peer
fi
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ulvs=$(realpath "${ULVS_BIN:-$(target_dir)/release/ulvs}") || exit 1
for name in ulvs ipvsadm ipvsadm-save ipvsadm-restore iptables iptables-save iptables-restore; do ln -s "$ulvs" "$work/bin/$name"; done
ln -s "$PEER_BIN" "$work/bin/peer"
export PATH=$work/bin:/usr/sbin:/sbin:$PATH

deviations=$(ls recorded/*.ours.txt 2>/dev/null | wc -l)
[ "$deviations" -le 6 ] || { echo "conformance: $deviations scenarios differ on purpose; at most six may" >&2; exit 1; }

judge() { # NAME: prints "ok" or why not
  is_current "$1" || { echo "its script has changed since it was recorded: make oracle records again"; return; }
  timeout --kill-after 5 90 ./side ulvs "$1" > "$work/$1.out" || echo "scenario: exit code $?" >> "$work/$1.out"
  if [ -e "recorded/$1.ours.txt" ] && kernels "$1" | cmp -s - "$work/$1.out"; then
    echo "it prints what the kernel prints: recorded/$1.ours.txt has to go"; return
  fi
  if diff -u --label kernel --label ulvs <(expected "$1") "$work/$1.out" > "$work/$1.diff"; then echo ok; return; fi
  echo "it prints something else:"; sed 's/^/     /' "$work/$1.diff"
}
one() {
  local began=${EPOCHREALTIME/./}
  judge "$1" > "$work/$1.result"
  if [ "$(cat "$work/$1.result")" = ok ]; then
    echo "ok   $1 ($(((${EPOCHREALTIME/./} - began) / 1000)) ms)"
  else echo "FAIL $1: $(cat "$work/$1.result")"; fi
}
running=0
for name; do
  one "$name" &
  running=$((running + 1)); [ $running -lt "${AT_ONCE:-4}" ] || { wait -n; running=$((running - 1)); }
done
wait
failed=0
for name; do [ "$(cat "$work/$name.result")" = ok ] || failed=$((failed + 1)); done
echo "conformance: $(($# - failed)) scenarios print what they should, $failed do not; $deviations of all differ from the kernel on purpose"
[ $failed = 0 ]
