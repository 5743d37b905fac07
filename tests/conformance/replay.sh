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

one() {
  local name=$1 began=$EPOCHREALTIME
  if ! is_current "$name"; then
    echo "FAIL $name: its script has changed since it was recorded (make oracle records again)"; return
  fi
  timeout --kill-after 5 90 ./side ulvs "$name" > "$work/$name.out" || echo "scenario: exit code $?" >> "$work/$name.out"
  expected "$name" > "$work/$name.expected"
  if diff -u --label kernel --label ulvs "$work/$name.expected" "$work/$name.out" > "$work/$name.diff"; then
    printf 'ok   %s (%.1f s)\n' "$name" "$(echo "$EPOCHREALTIME - $began" | bc 2>/dev/null || echo 0)"
  else
    { echo "FAIL $name: "; sed 's/^/     /' "$work/$name.diff"; } > "$work/$name.report"; cat "$work/$name.report"
  fi
}
running=0
for name; do
  one "$name" > "$work/$name.result" &
  running=$((running + 1)); [ $running -lt "${AT_ONCE:-4}" ] || { wait -n; running=$((running - 1)); }
done
wait
failed=0
for name; do
  cat "$work/$name.result"; head -1 "$work/$name.result" | grep -q ^ok || failed=$((failed + 1))
done
echo "conformance: $(($# - failed)) scenarios print what the kernel prints, $failed do not, $deviations differ on purpose"
[ $failed = 0 ]
