#!/usr/bin/env bash
# Runs every test, or those that `cargo test` finds by the arguments, and ends with one line that counts them. Namespace tests
# drive the program that ULVS_BIN names (default: built here), on the port that ULVS_PORT names.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
  echo "tests: the tests make network namespaces and TUN devices: run them as root" >&2
  exit 1
fi
if [ -z "${ULVS_BIN:-}" ]; then
  # In one go with the tests, so that both are made of the same parts.
  cargo build --workspace --bins --tests --quiet || exit 1
  export ULVS_BIN=$PWD/target/debug/ulvs
fi
# Most of their time tests wait.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-4}

[ $# -gt 0 ] || set -- --workspace
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --no-fail-fast "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

awk -v port="${ULVS_PORT:+ on the $ULVS_PORT port}" '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "%d passed, %d failed, %d skipped%s\n", passed, failed, skipped, port; exit skipped > 0 }' "$log" ||
  { echo "tests: a skipped test proves nothing" >&2; status=1; }
exit "$status"
