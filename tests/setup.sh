#!/usr/bin/env bash
# Installs what building, testing or measuring needs beyond the Rust toolchain: quietly, and only what is missing.
#   tests/setup.sh build|demo|test|bench|bench-core|fuzz
set -euo pipefail

case ${1:-} in
  build) need=(cc:gcc cc:libc6-dev) ;;
  demo) need=(bash:bash curl:curl openssl:openssl ping:iputils-ping ip:iproute2 ss:iproute2) ;;
  test) need=(cc:gcc cc:libc6-dev ip:iproute2 nft:nftables curl:curl openssl:openssl ping:iputils-ping arping:iputils-arping
    awk:mawk ss:iproute2 unshare:util-linux setpriv:util-linux tcpdump:tcpdump ethtool:ethtool ldirectord:ldirectord perl:perl socat:socat sysctl:procps vsftpd:vsftpd
    haproxy:haproxy nginx:nginx /usr/lib/nginx/modules/ngx_stream_module.so:libnginx-mod-stream
    wrk:wrk python3:python3 testssl:testssl.sh tmux:tmux script:bsdutils
    mandoc:mandoc zsh:zsh fish:fish) ;;
  fuzz) need=(cc:gcc c++:g++ cc:libc6-dev) ;;
  bench) need=(cc:gcc nft:nftables ip:iproute2 haproxy:haproxy nginx:nginx /usr/lib/nginx/modules/ngx_stream_module.so:libnginx-mod-stream
    wrk:wrk curl:curl openssl:openssl) ;;
  bench-core) need=(cc:gcc cc:libc6-dev valgrind:valgrind) ;;
  *) echo "usage: tests/setup.sh build|demo|test|bench|bench-core|fuzz" >&2; exit 2 ;;
esac

# Packages whose examples are read, and that are not installed for it: a daemon would start.
read=()
if [ "$1" = test ]; then read=(/usr/share/doc/keepalived/samples:keepalived /usr/share/doc/ldirectord/examples:ldirectord); fi

missing=()
for pair in "${need[@]}"; do
  [ -e "${pair%%:*}" ] || command -v "${pair%%:*}" >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null ||
    missing+=("${pair#*:}")
done
unread=()
for pair in "${read[@]}"; do
  [ -e "${pair%%:*}" ] || unread+=("${pair#*:}")
done
command -v cargo >/dev/null || { echo "setup: cargo is missing: install a Rust toolchain (https://rustup.rs)" >&2; exit 1; }
[ ${#missing[@]} -gt 0 ] || [ ${#unread[@]} -gt 0 ] || exit 0

# Only the tests that read them fail without.
without() { echo "setup: going on without the examples of $* in /usr/share/doc" >&2; }
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  [ ${#unread[@]} = 0 ] || without "${unread[@]}"
  [ ${#missing[@]} -gt 0 ] || exit 0
  echo "setup: please install: ${missing[*]} (as root on Debian this happens by itself)" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
unpacked=$(mktemp -d)
trap 'rm -rf "$log" "$unpacked"' EXIT
fails() { cat "$log" >&2; echo "setup: cannot $1" >&2; exit 1; }
if ! apt-get update -qq >"$log" 2>&1; then
  [ ${#missing[@]} = 0 ] || fails "ask for packages"
  cat "$log" >&2
  without "${unread[@]}"
  exit 0
fi
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}" >&2
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1 || fails "install ${missing[*]}"
fi
for package in "${unread[@]}"; do
  echo "setup: unpacking the examples of $package" >&2
  { cd "$unpacked" && apt-get download -qq "$package" && dpkg-deb --fsys-tarfile "$package"_*.deb |
    tar -x -C / "./usr/share/doc/$package"; } >"$log" 2>&1 || { cat "$log" >&2; without "$package"; }
done
