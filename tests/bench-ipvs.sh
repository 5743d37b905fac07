#!/usr/bin/env bash
# ulvs beside a kernel's IPVS: boots the machine of the conformance tests with our binary in it and runs the benchmark
# there, NAT only. Prints its report.
#
#   bench-ipvs.sh BINARY [OPTION...]      options of `ulvs lab bench`; they replace those below
#
# The machine is emulated, each of its two processors by a thread, some ten times slower than a real one. Rates say
# nothing. Ratios say what ratios of instructions say, with system calls and changes of address spaces, of which IPVS has
# none, dearer than they are. How much that distorts is seen by comparing ulvs with nftables here and in `make bench`.
# It takes two cores with nothing else to do: with less, the emulated threads wait for each other and ulvs falls to a
# tenth. RAM and time: 2 GiB, about ten minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
ulvs=$(realpath "$1"); shift
contenders=route,nft,ipvs,ulvs-tun,ulvs-packet
[ $# -gt 0 ] || set -- --rounds 5 --seconds 4 --workloads bulk1,requests64,connections
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$work/files/bin"
cp "$ulvs" "$work/files/bin/ulvs"
# Modules that nftables asks the kernel for.
cat > "$work/script" <<S
echo /bin/modprobe > /proc/sys/kernel/modprobe
ulvs lab bench --contenders $contenders --methods nat $* 2>/tmp/progress || { cat /tmp/progress; exit 1; }
S
FILES=$work/files "${ORACLE:-$here/conformance/machine}" "$work/script" "${LIMIT:-3600}"
