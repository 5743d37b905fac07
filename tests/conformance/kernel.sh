# The side of a kernel with IPVS: the director is there already.
director_start() { :; }
vs_set() { director sysctl -qw "net.ipv4.vs.$1=$2"; }
vs_get() { director sysctl -n "net.ipv4.vs.$1"; }
