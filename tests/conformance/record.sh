#!/usr/bin/env bash
# Asks a kernel's IPVS for the answers to scenarios, and writes them to recorded/.
#
#   record.sh [--stale] [NAME...]      all, or these; --stale: only those whose script has changed since
#
# ORACLE=command that gets a bash script and a limit in seconds, and runs the script as root on a machine with IPVS with
# the files of $FILES around it; without it that is ./machine. All take about ten minutes.
set -euo pipefail
cd "$(dirname "$0")"
. ./recordings.sh
: "${ORACLE:=$PWD/machine}"
only_stale=; [ "${1:-}" != --stale ] || { only_stale=1; shift; }
[ $# -gt 0 ] || set -- $(scenarios)
if [ $only_stale ]; then
  names=(); for name; do is_current "$name" || names+=("$name"); done
  [ ${#names[@]} -gt 0 ] || { echo "every recording is of its script as it is"; exit; }
  set -- "${names[@]}"
fi
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export FILES=$work/files
mkdir -p "$FILES/bin"
cp -r side ./*.sh scenarios fixtures "$FILES/"
cargo build --quiet --workspace --bin peer
cp "$(target_dir)/debug/peer" "$FILES/bin/"
failed=0

# A boot for so many scenarios: a failure costs only these.
batch=12
while [ $# -gt 0 ]; do
  names=("${@:1:batch}"); shift ${#names[@]}
  cat > "$work/script" <<S
echo "===== kernel \$(uname -r)"
one() { timeout 120 ./side kernel "\$1" > "/tmp/\$1.out" || echo "scenario: exit code \$?" >> "/tmp/\$1.out"; }
running=0
for name in ${names[*]}; do
  one "\$name" &
  running=\$((running + 1)); [ \$running -lt ${AT_ONCE:-2} ] || { wait -n; running=\$((running - 1)); }
done
wait
for name in ${names[*]}; do echo "===== \$name"; cat "/tmp/\$name.out"; done
echo "====="
S
  "$ORACLE" "$work/script" $((60 + 60 * ${#names[@]})) > "$work/out"
  kernel=$(sed -n 's/^===== kernel //p' "$work/out")
  for name in "${names[@]}"; do
    sed -n "/^===== $name\$/,/^=====/{/^=====/d;p}" "$work/out" > "$work/answer"
    if [ ! -s "$work/answer" ] || grep -q '^scenario: \|^peer: \|: command not found' "$work/answer"; then
      { echo "$name: not recorded, it failed:"; sed 's/^/     /' "$work/answer"; } >&2; failed=1; continue
    fi
    { echo "# kernel $kernel, script $(cd "$FILES" && fingerprint "$name")"; cat "$work/answer"; } > "recorded/$name.txt"
    echo "$name: recorded"
  done
done
exit $failed
