//! What the checks go by. All of it can be made up, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use control::api::{CertView, Status};
use netio::probe::{Answer, Echoed};
use netio::survey::{BaseChain, Listener, Mac, Survey, Way};
use sched::{DestSpec, Family, ForwardMethod, MarkRule, ServiceKey, ServiceSpec, counted};

/// One look at everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) services: Vec<ServiceSpec>,
    pub(crate) marks: Vec<MarkRule>,
    /// The file that the services are from, where no engine has them yet.
    pub(crate) config: Option<PathBuf>,
    /// The engine, where one runs.
    pub(crate) engine: Option<Engine>,
    /// Devices that the packet port was told to use, by their names.
    pub(crate) interfaces: Vec<String>,
    pub(crate) host: Survey,
    /// How this host gets to servers, or why not.
    pub(crate) ways: BTreeMap<IpAddr, Result<Way, String>>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) chains: Vec<BaseChain>,
    /// Settings by their names, those that there are.
    pub(crate) sysctls: BTreeMap<String, i64>,
    /// `/proc/sys` cannot be written.
    pub(crate) sysctls_fixed: bool,
    /// The kernel's counters, and those a moment later.
    pub(crate) counters: [BTreeMap<String, u64>; 2],
    /// Services of the kernel's IPVS.
    pub(crate) ipvs: Vec<String>,
    /// Names that this host's own file has for addresses (`/etc/hosts`): those with a dot.
    pub(crate) names: BTreeMap<IpAddr, Vec<String>>,
    /// What a dead engine has noted and not put back.
    pub(crate) left_behind: Option<PathBuf>,
    pub(crate) tls: Vec<Front>,
    /// What came of packets that were sent; none where none were.
    pub(crate) probes: Option<Probes>,
    /// This host as a real server.
    pub(crate) real: Option<Real>,
    /// What was sent, in words.
    pub(crate) asked: Vec<String>,
    /// What could not be seen, and why.
    pub(crate) unseen: Vec<String>,
}

/// A running engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Engine {
    pub(crate) status: Status,
    /// The same a moment later.
    pub(crate) later: Status,
    /// Clients on a server's link are served by FullNAT.
    pub(crate) hairpin: bool,
    /// Open descriptors, and how many there may be.
    pub(crate) descriptors: Option<(u64, u64)>,
    /// What its connections say of servers.
    pub(crate) servers: BTreeMap<SocketAddr, Seen>,
}

impl Engine {
    /// It uses rings on real devices.
    pub(crate) fn is_packet(&self) -> bool {
        self.status.port.starts_with("packet")
    }
}

/// A server's connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Connections of which only the client has been heard.
    pub(crate) half_open: u64,
    /// Others.
    pub(crate) other: u64,
    /// Clients of the half-open ones.
    pub(crate) clients: BTreeSet<IpAddr>,
}

/// A place where TLS ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Front {
    pub(crate) service: String,
    /// The addresses at which TLS ends, where an engine has said so.
    pub(crate) vips: Vec<IpAddr>,
    pub(crate) certificates: Vec<CertView>,
    /// Why its files cannot be used.
    pub(crate) error: Option<String>,
    /// What somebody should look at, besides.
    pub(crate) warnings: Vec<String>,
    /// Files with a private key that others may read, with their modes.
    pub(crate) open_keys: Vec<(PathBuf, u32)>,
    /// Seconds since 1970 UTC.
    pub(crate) now: i64,
}

/// What came of packets that were sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probes {
    /// Who answers ARP for an address, where it lies on a link of this host's: IPv4 only.
    pub(crate) arp: BTreeMap<IpAddr, BTreeSet<Mac>>,
    /// A connection to a server, as this host's own.
    pub(crate) connect: BTreeMap<SocketAddr, Connected>,
    /// A connection to a server that comes from a VIP: the server's answer takes the way of answers to clients.
    pub(crate) way_back: BTreeMap<(IpAddr, SocketAddr), Option<Answer>>,
    /// A connection to a VIP and port at a server, by the way of the service.
    pub(crate) at_server: BTreeMap<(SocketAddr, SocketAddr), Option<Answer>>,
    /// The same in the name of a client that waits, where this host forwards nothing: who it was, and whether the answer
    /// came here.
    pub(crate) led_here: BTreeMap<(SocketAddr, SocketAddr), (IpAddr, bool)>,
    /// The largest packet that the way takes: its length, and what came of it.
    pub(crate) large: BTreeMap<IpAddr, (u16, Option<Echoed>)>,
    /// A small one.
    pub(crate) small: BTreeMap<IpAddr, Option<Echoed>>,
    /// By how many seconds the clock of a server of HTTP is ahead of this host's; negative where it is behind.
    pub(crate) ahead: BTreeMap<SocketAddr, i64>,
    /// The certificate of a server that ends TLS itself.
    pub(crate) shown: BTreeMap<SocketAddr, Shown>,
}

/// A server's certificate. Times are seconds since 1970 UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) names: Vec<String>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    /// When it was shown.
    pub(crate) now: i64,
}

impl Shown {
    /// What it is for, in words.
    pub(crate) fn words(&self) -> String {
        if self.names.is_empty() { "no name".to_owned() } else { self.names.join(", ") }
    }
}

/// How a connection went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Connected {
    Yes,
    Refused,
    /// Nothing came back.
    Silence,
    /// An error: the kernel's, or what ICMP said.
    Failed(String),
}

/// This host as a real server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Real {
    /// Its VIPs: what was started, and /32 addresses where no neighbour sees them.
    pub(crate) vips: BTreeMap<IpAddr, String>,
    /// Those of them that packets come for in tunnels.
    pub(crate) tunnelled: BTreeSet<IpAddr>,
    /// What `ulvs real status` misses.
    pub(crate) lost: Vec<String>,
    /// Devices of the kernel that take packets out of tunnels too.
    pub(crate) rivals: Vec<String>,
    /// Somebody takes packets out of tunnels here.
    pub(crate) decapsulates: bool,
}

impl Facts {
    /// What was looked at, in words.
    pub(crate) fn subject(&self) -> String {
        if let Some(real) = &self.real {
            return format!("this host as a real server, {}", counted(real.vips.len(), "VIP"));
        }
        let servers: BTreeSet<_> = self.services.iter().flat_map(|s| &s.dests).map(|d| d.addr).collect();
        let whose = match (&self.engine, &self.config) {
            (Some(engine), _) => format!("the engine with pid {}", engine.status.pid),
            (None, Some(file)) => file.display().to_string(),
            (None, None) => "this host".to_owned(),
        };
        format!("{whose}, {}, {}", counted(self.services.len(), "service"), counted(servers.len(), "server"))
    }

    /// All services with each of their servers.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&ServiceSpec, &DestSpec)> {
        self.services.iter().flat_map(|service| service.dests.iter().map(move |dest| (service, dest)))
    }

    /// The addresses of a service: a mark's are those of the rules that set it.
    pub(crate) fn vips_of(&self, key: &ServiceKey) -> BTreeSet<IpAddr> {
        match *key {
            ServiceKey::Addr { vip, .. } => BTreeSet::from([vip]),
            ServiceKey::Mark { mark, family } => {
                let rules = self.marks.iter().filter(|rule| rule.family == family && rule.set.can_make(mark));
                let prefixes = rules.filter_map(MarkRule::only_dest);
                let bits = if family == Family::Ipv4 { 32 } else { 128 };
                prefixes.filter(|prefix| prefix.len() == bits).map(|prefix| prefix.addr()).collect()
            }
        }
    }

    /// All VIPs.
    pub(crate) fn vips(&self) -> BTreeSet<IpAddr> {
        self.services.iter().flat_map(|service| self.vips_of(&service.key)).collect()
    }

    /// The server on a link of this host's that has a link address.
    pub(crate) fn server_of(&self, mac: Mac) -> Option<IpAddr> {
        let probes = self.probes.as_ref()?;
        let servers: BTreeSet<_> = self.pairs().map(|(_, dest)| dest.addr.ip()).collect();
        let found = probes.arp.iter().filter(|(ip, macs)| macs.contains(&mac) && servers.contains(ip));
        found.map(|(ip, _)| *ip).next()
    }

    /// Whether this host forwards packets of such an address, from whichever device to whichever.
    pub(crate) fn is_router(&self, ip: IpAddr) -> bool {
        self.sysctl(if ip.is_ipv4() { "net.ipv4.ip_forward" } else { "net.ipv6.conf.all.forwarding" }) != 0
    }

    /// A setting; 0 where there is none.
    pub(crate) fn sysctl(&self, name: &str) -> i64 {
        self.sysctls.get(name).copied().unwrap_or_default()
    }

    /// A setting of IPv4 that counts for a device as the larger of its own and that of all.
    pub(crate) fn conf4(&self, device: &str, key: &str) -> i64 {
        let device = device.replace('.', "/");
        let of = |at: &str| self.sysctl(&format!("net.ipv4.conf.{at}.{key}"));
        of("all").max(of(&device))
    }

    /// How much a counter of the kernel's is, and by how much it grew while the doctor looked.
    pub(crate) fn counter(&self, name: &str) -> (u64, u64) {
        let [before, after] = self.counters.each_ref().map(|all| all.get(name).copied().unwrap_or_default());
        (after, after.saturating_sub(before))
    }

    /// Whether a server answers at all, as far as that was asked.
    pub(crate) fn is_there(&self, server: SocketAddr) -> bool {
        let Some(probes) = &self.probes else { return false };
        matches!(probes.connect.get(&server), Some(Connected::Yes | Connected::Refused))
    }
}

/// A server of a service, in words.
pub(crate) fn words(service: &ServiceSpec, dest: &DestSpec) -> String {
    format!("server {} of {} ({})", dest.addr, service.key.word(), dest.method.name())
}

/// Whether the server gets packets to the VIP and answers clients itself.
pub(crate) const fn is_one_way(method: ForwardMethod) -> bool {
    !method.sees_replies()
}
