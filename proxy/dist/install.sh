#!/usr/bin/env bash
# Installs a built ulvs with all its names and papers: proxy/dist/install.sh BINARY [PREFIX]; DESTDIR goes before PREFIX.
#   sbin/ulvs, and ipvsadm, ipvsadm-save, ipvsadm-restore as links to it
#   libexec/ulvs: the same and iptables ..., for a PATH on which they shall be ulvs (elsewhere they are the host's own)
#   share/man, completions for bash, zsh and fish, lib/systemd/system/ulvs.service
set -euo pipefail
cd "$(dirname "$0")"

binary=${1:?usage: install.sh BINARY [PREFIX]}
prefix=${2:-/usr/local}
root=${DESTDIR:-}$prefix
[ -x "$binary" ] || { echo "install: $binary is no program: run \`make build\` first" >&2; exit 1; }

install -D -m 755 "$binary" "$root/sbin/ulvs"
mkdir -p "$root/libexec/ulvs"
for name in ipvsadm ipvsadm-save ipvsadm-restore; do
  ln -sfn ulvs "$root/sbin/$name"
done
for name in ulvs ipvsadm{,-save,-restore} iptables{,-save,-restore} ip6tables{,-save,-restore}; do
  ln -sfn ../../sbin/ulvs "$root/libexec/ulvs/$name"
done

"$binary" man --out "$root/share/man"
for place in bash:share/bash-completion/completions/ulvs zsh:share/zsh/site-functions/_ulvs \
  fish:share/fish/vendor_completions.d/ulvs.fish; do
  mkdir -p "$(dirname "$root/${place#*:}")"
  "$binary" completions "${place%%:*}" >"$root/${place#*:}"
done

mkdir -p "$root/lib/systemd/system"
sed "/^#/d; s,/usr/sbin/,$prefix/sbin/,g" ulvs.service >"$root/lib/systemd/system/ulvs.service"
echo "installed below $root; next: systemctl enable --now ulvs.service, or ulvs run --detach"
