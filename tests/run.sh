#!/usr/bin/env bash
# Runs every test and ends with one line that counts them. Namespace tests drive the release binary.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
  echo "tests: the tests make network namespaces and TUN devices: run them as root" >&2
  exit 1
fi
cargo build --release --quiet || exit 1
export ULVS_BIN=$PWD/target/release/ulvs

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --workspace --no-fail-fast "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit skipped > 0 }' "$log" ||
  { echo "tests: a skipped test proves nothing" >&2; status=1; }
exit "$status"
