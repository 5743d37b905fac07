//! The addresses of the cases, once per family.

use std::net::{IpAddr, SocketAddr};

use sched::{DestSpec, Family, ForwardMethod, Path, Proto, ServiceKey, ServiceSpec, Tunnel};
use wire::build::{self, Build};

use crate::case::Leg;

/// Who is who, as text. The director's own address is none of them unless a step says so.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) family: Family,
    /// That of the servers: through tunnels it may be another.
    pub(crate) outer: Family,
    /// How packets get to the servers.
    pub(crate) method: ForwardMethod,
    client: &'static str,
    vip: &'static str,
    servers: [&'static str; 2],
    router: &'static str,
    stranger: &'static str,
}

impl Net {
    pub(crate) const BOTH: [Self; 2] = [
        Self {
            family: Family::Ipv4,
            outer: Family::Ipv4,
            method: ForwardMethod::Masq,
            client: "198.51.100.7",
            vip: "192.0.2.80",
            servers: ["10.0.0.1", "10.0.0.2"],
            router: "10.0.0.254",
            stranger: "203.0.113.9",
        },
        Self {
            family: Family::Ipv6,
            outer: Family::Ipv6,
            method: ForwardMethod::Masq,
            client: "2001:db8:c::7",
            vip: "2001:db8:80::80",
            servers: ["fd00::1", "fd00::2"],
            router: "fd00::fe",
            stranger: "2001:db8:9::9",
        },
    ];

    /// The same with servers of another method.
    pub(crate) fn by(self, method: ForwardMethod) -> Self {
        Self { method, ..self }
    }

    /// The same with servers of this family at the end of tunnels.
    pub(crate) fn through(self, tunnel: Tunnel, outer: Family) -> Self {
        let far = if outer == Family::Ipv4 { &Self::BOTH[0] } else { &Self::BOTH[1] };
        Self { outer, servers: far.servers, router: far.router, ..self.by(ForwardMethod::Tunnel(tunnel)) }
    }

    /// The client, from its usual port.
    pub(crate) fn client(&self) -> SocketAddr {
        self.client_port(40_000)
    }

    pub(crate) fn client_port(&self, port: u16) -> SocketAddr {
        at(self.client, port)
    }

    /// The TCP service.
    pub(crate) fn web(&self) -> SocketAddr {
        self.vip_port(80)
    }

    /// A second TCP service with the same servers.
    pub(crate) fn web2(&self) -> SocketAddr {
        self.vip_port(8080)
    }

    /// The UDP service.
    pub(crate) fn dns(&self) -> SocketAddr {
        self.vip_port(53)
    }

    /// The SCTP service.
    pub(crate) fn signals(&self) -> SocketAddr {
        self.vip_port(2905)
    }

    pub(crate) fn vip(&self) -> IpAddr {
        self.web().ip()
    }

    pub(crate) fn vip_port(&self, port: u16) -> SocketAddr {
        at(self.vip, port)
    }

    /// The first server to be chosen, as the TCP services have it.
    pub(crate) fn s1(&self) -> SocketAddr {
        self.server(0, 80, 8000)
    }

    pub(crate) fn s2(&self) -> SocketAddr {
        self.server(1, 80, 8000)
    }

    /// The first server to be chosen, as the UDP service has it.
    pub(crate) fn d1(&self) -> SocketAddr {
        self.server(0, 53, 5300)
    }

    pub(crate) fn d2(&self) -> SocketAddr {
        self.server(1, 53, 5300)
    }

    /// The servers as the SCTP service has them.
    pub(crate) fn g1(&self) -> SocketAddr {
        self.server(0, 2905, 2900)
    }

    pub(crate) fn g2(&self) -> SocketAddr {
        self.server(1, 2905, 2900)
    }

    /// On the service's port where the method does not change it.
    fn server(&self, index: usize, same: u16, other: u16) -> SocketAddr {
        at(self.servers[index], if self.method.changes_port() { other } else { same })
    }

    /// An address of the director's on the servers' side, and the one port of it that it may use (FullNAT).
    pub(crate) fn lip(&self) -> SocketAddr {
        at(if self.outer == Family::Ipv4 { "10.0.0.250" } else { "fd00::fa" }, 7000)
    }

    /// How the host would send to a server: through a neighbour on its third device.
    pub(crate) fn way(&self) -> Path {
        Path { device: 3, next_hop: self.router(), source: Some(self.lip().ip()) }
    }

    /// The legs of the TCP service, of the second one, and of the UDP service.
    pub(crate) fn w1(&self) -> Leg {
        Leg(self.web(), self.s1())
    }

    pub(crate) fn w2(&self) -> Leg {
        Leg(self.web(), self.s2())
    }

    pub(crate) fn x1(&self) -> Leg {
        Leg(self.web2(), self.s1())
    }

    pub(crate) fn x2(&self) -> Leg {
        Leg(self.web2(), self.s2())
    }

    pub(crate) fn u1(&self) -> Leg {
        Leg(self.dns(), self.d1())
    }

    pub(crate) fn u2(&self) -> Leg {
        Leg(self.dns(), self.d2())
    }

    /// A client of the same network.
    pub(crate) fn neighbour(&self) -> SocketAddr {
        let text = if self.family == Family::Ipv4 { "198.51.100.8" } else { "2001:db8:c::8" };
        at(text, 40_000)
    }

    /// A router between director and servers.
    pub(crate) fn router(&self) -> IpAddr {
        at(self.router, 0).ip()
    }

    /// Somebody that no service knows.
    pub(crate) fn stranger(&self) -> SocketAddr {
        at(self.stranger, 50_000)
    }

    /// Bytes of an IP header.
    pub(crate) fn ip(&self) -> u64 {
        if self.family == Family::Ipv4 { 20 } else { 40 }
    }

    /// Bytes of an IP header and a TCP header.
    pub(crate) fn tcp(&self) -> u64 {
        self.ip() + 20
    }

    pub(crate) fn key(&self, service: SocketAddr) -> ServiceKey {
        let proto = match service {
            _ if service == self.dns() => Proto::Udp,
            _ if service == self.signals() => Proto::Sctp,
            _ => Proto::Tcp,
        };
        ServiceKey::addr(proto, service)
    }

    /// The services of every case: round robin, the first server first (the newest is the first to be chosen).
    pub(crate) fn services(&self) -> Vec<ServiceSpec> {
        let service = |vip, servers: [SocketAddr; 2]| ServiceSpec {
            dests: servers
                .map(|addr| DestSpec { method: self.method, ..spec(addr, 1) })
                .into_iter()
                .rev()
                .collect(),
            ..ServiceSpec::new(self.key(vip), "rr")
        };
        vec![
            service(self.web(), [self.s1(), self.s2()]),
            service(self.web2(), [self.s1(), self.s2()]),
            service(self.dns(), [self.d1(), self.d2()]),
            service(self.signals(), [self.g1(), self.g2()]),
        ]
    }

    /// Port unreachable for `quote`, from the VIP to the client.
    pub(crate) fn unreachable(&self, quote: &[u8]) -> Build {
        self.own(build::unreachable_port(self.vip(), self.client().ip(), quote))
    }

    /// Packet too big for `quote`, from the VIP to the client.
    pub(crate) fn too_big(&self, mtu: u32, quote: &[u8]) -> Build {
        self.own(build::too_big(self.vip(), self.client().ip(), mtu, quote))
    }

    /// An ICMP error of the director's own has the precedence of network control.
    fn own(&self, error: Build) -> Build {
        if self.family == Family::Ipv4 { error.class(0xc0) } else { error }
    }
}

pub(crate) fn spec(addr: SocketAddr, weight: u32) -> DestSpec {
    DestSpec { weight: sched::Weight(weight), ..DestSpec::new(addr) }
}

fn at(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse().expect("an address"), port)
}
