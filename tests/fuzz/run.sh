#!/usr/bin/env bash
# Searches for bytes that break a target, with the stable toolchain: coverage comes from the compiler itself, and the
# address sanitizer is not needed by code without `unsafe`.
#   tests/fuzz/run.sh packet|engine [seconds] [options of libFuzzer...]
# What it finds is written to the working directory; move it to the target's corpus, where everyday tests replay it.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${1:?usage: tests/fuzz/run.sh packet|engine [seconds] [options of libFuzzer...]}
seconds=${2:-60}
shift $(($# < 2 ? $# : 2))
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions -Coverflow-checks \
  -Ccodegen-units=1"
cargo build --quiet --release --target "$host" -p fuzz --features libfuzzer --bin "$target"
target_dir=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
mkdir -p "$target_dir/fuzz/$target"
# New inputs that reach new code gather there; the corpus in the tree stays small.
"$target_dir/$host/release/$target" "$target_dir/fuzz/$target" "tests/fuzz/corpus/$target" \
  -max_total_time="$seconds" -max_len=4096 -len_control=0 -print_final_stats=1 "$@"
