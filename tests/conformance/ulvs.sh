# The side of ulvs. One worker, so that packets do not overtake each other.
director_start() {
  mkdir -p /run/ulvs
  on d ulvs run --detach --compat ipvs --workers 1 --log /run/ulvs/log >/dev/null || { cat /run/ulvs/log; exit 1; }
}
vs_set() { director ulvs sysctl "net.ipv4.vs.$1=$2" >/dev/null; }
vs_get() { director ulvs sysctl "net.ipv4.vs.$1" | sed 's/.*= *//'; }
