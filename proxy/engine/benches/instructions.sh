#!/usr/bin/env bash
# Instructions (by callgrind, so that a busy machine does not matter) and allocations of a packet by forwarding method
# and kind, beside those of the committed baseline.
#   proxy/engine/benches/instructions.sh          what has changed by more than a hundredth, and ends with 1 if more came
#   proxy/engine/benches/instructions.sh --save   makes what there is now the baseline
set -euo pipefail
cd "$(dirname "$0")/../../.."
baseline=proxy/engine/benches/baseline.txt
packets=1000

command -v valgrind >/dev/null || { echo "instructions: valgrind is missing: run tests/setup.sh bench-core" >&2; exit 1; }
bench=$(cargo bench -p engine --bench instructions --no-run --message-format json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*\/instructions-[^"]*\)".*/\1/p' | tail -n 1)
[ -n "$bench" ] || { echo "instructions: the bench does not build: cargo bench -p engine --no-run" >&2; exit 1; }

now=$(mktemp)
trap 'rm -f "$now"' EXIT
"$bench" | while read -r name allocations; do
  collected=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no \
    --toggle-collect='*Case::process' "$bench" "$name" 2>&1 | sed -n 's/.*Collected : \([0-9]*\).*/\1/p')
  [ "${collected:-0}" -gt 0 ] || { echo "instructions: callgrind has counted nothing for $name" >&2; exit 1; }
  echo "$name $((collected / packets)) $allocations"
done >"$now"

if [ "${1:-}" = --save ]; then
  { echo "# packet instructions allocations"; cat "$now"; } >"$baseline"
fi
awk '
  FNR == NR { if ($1 != "#") { was[$1] = $2; alloc[$1] = $3 } next }
  FNR == 1 { printf "%-16s %12s %10s %8s %12s %10s\n", "packet", "instructions", "baseline", "change", "allocations", "baseline" }
  {
    change = was[$1] ? 100 * ($2 - was[$1]) / was[$1] : 0
    worse = !($1 in was) || change > 1 || $3 > alloc[$1]
    bad += worse
    mark = worse ? "  <- more" : change < -1 || $3 < alloc[$1] ? "  less" : ""
    printf "%-16s %12d %10s %7.1f%% %12s %10s%s\n", $1, $2, was[$1], change, $3, alloc[$1], mark
  }
  END { exit bad > 0 }' "$baseline" "$now"
