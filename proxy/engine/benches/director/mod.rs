//! A director with its services, and the packets that are put to it: what all benches measure.

#![allow(dead_code, reason = "each bench uses a part")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Engine, Knobs, Limits, Verdict, Worker};
use sched::{
    DestSpec, ForwardMethod, Op, Path, Proto, ServiceKey, ServiceSpec, Trash, Tunnel, TunnelChecksum,
    TunnelKind,
};
use wire::build::{Build, tcp, udp};
use wire::frame::{Frame, HEADROOM, MAX_PACKET, Offload};

/// Bytes that a forwarding method may change.
const HEADERS: usize = 96;

/// How many servers a service has.
const SERVERS: u8 = 10;

/// Forwarding, with a name.
pub(crate) const METHODS: [(&str, ForwardMethod, bool); 5] = [
    ("nat", ForwardMethod::Masq, false),
    ("nat6", ForwardMethod::Masq, true),
    ("fullnat", ForwardMethod::FullNat, false),
    ("dr", ForwardMethod::Route, false),
    (
        "ipip",
        ForwardMethod::Tunnel(Tunnel { kind: TunnelKind::Ipip, port: 0, checksum: TunnelChecksum::None }),
        false,
    ),
];

/// What kind of packet is put to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first of a connection.
    Syn,
    /// From a client whose connection is established.
    Data,
    /// The same in one super-packet of 64 KiB.
    Super,
    /// From the server.
    Reply,
    /// A datagram of a flow that is known.
    Udp,
    /// A segment of no connection, to a VIP.
    Miss,
}

impl Kind {
    /// Every kind, with its name.
    pub(crate) const ALL: [(&str, Self); 6] = [
        ("syn", Self::Syn),
        ("data", Self::Data),
        ("super", Self::Super),
        ("reply", Self::Reply),
        ("udp", Self::Udp),
        ("miss", Self::Miss),
    ];

    /// Whether it exists by that method.
    pub(crate) fn is_of(self, method: ForwardMethod) -> bool {
        match self {
            Self::Reply => method.sees_replies(),
            Self::Miss => method == ForwardMethod::Masq,
            _ => true,
        }
    }
}

/// An engine with its only worker.
pub(crate) struct Director {
    pub(crate) engine: Engine,
    pub(crate) worker: Worker,
    pub(crate) now: Instant,
    frame: Frame,
}

impl Director {
    /// With so many services of TCP and UDP, each with ten servers.
    pub(crate) fn new(method: ForwardMethod, v6: bool, services: u32) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(7, Limits { max_connections: 2_000_000 }, 1, now);
        let service = |proto, n| ServiceSpec {
            dests: (0..SERVERS).map(|i| DestSpec { method, ..DestSpec::new(server(v6, n, i)) }).collect(),
            ..ServiceSpec::new(ServiceKey::addr(proto, vip(v6, n)), "rr")
        };
        let services = (0..services).flat_map(|n| [service(Proto::Tcp, n), service(Proto::Udp, n)]);
        let ops: Vec<_> = services.map(|service| Op::AddService { service }).collect();
        let table = engine.services().apply(&mut Trash::default(), &ops).expect("legal edits");
        let own = if v6 { "2001:db8:2::1" } else { "10.9.0.1" }.parse().ok();
        for dest in table.services().flat_map(|service| service.dests.iter()) {
            let next_hop = dest.live.key.ip();
            dest.live.set_path(Some(Path { device: 2, next_hop, source: own }));
        }
        engine.set_services(Arc::new(table));
        engine.set_knobs(Knobs { udp_timeout: Duration::from_secs(300), ..Knobs::default() });
        Self { engine, worker: workers.remove(0), now, frame: Frame::new() }
    }

    /// Gives the worker a packet of its own.
    pub(crate) fn put(&mut self, packet: &Build) -> Verdict {
        self.frame = packet.frame();
        self.worker.process(&mut self.frame, self.now)
    }

    /// Makes a connection with the first service and says from where its server answers.
    pub(crate) fn establish(&mut self, client: SocketAddr, v6: bool) -> (SocketAddr, SocketAddr) {
        assert!(matches!(self.put(&tcp(client, vip(v6, 0)).syn().seq(100)), Verdict::Transmit(_)));
        let (server, peer) = self.sent_to();
        let _ = self.put(&tcp(server, peer).syn().seq(500).ack(101));
        let _ = self.put(&tcp(client, vip(v6, 0)).seq(101).ack(501));
        (server, peer)
    }

    /// To whom the last packet has gone, and from whom.
    fn sent_to(&self) -> (SocketAddr, SocketAddr) {
        let packet = wire::packet::Packet::parse(self.frame.packet()).expect("a packet");
        let (from, to) = packet.ports().expect("with ports");
        (SocketAddr::new(packet.dst, to), SocketAddr::new(packet.src, from))
    }
}

/// One packet that is put to an engine again and again.
pub(crate) struct Case {
    pub(crate) director: Director,
    frame: Frame,
    headers: Vec<u8>,
    offload: Offload,
    /// The next one comes from another port.
    moves: bool,
    n: u32,
    v6: bool,
}

impl Case {
    /// A packet of that kind, and an engine that knows what it belongs to.
    pub(crate) fn new(method: ForwardMethod, v6: bool, kind: Kind) -> Self {
        let mut director = Director::new(method, v6, 1);
        let (client, vip) = (client(v6, 1 << 20), vip(v6, 0));
        let (server, peer) = director.establish(client, v6);
        let data = tcp(client, vip).seq(101).ack(501);
        let frame = match kind {
            Kind::Syn => tcp(client, vip).syn().seq(100).frame(),
            Kind::Data => data.payload_len(100).frame(),
            Kind::Super => data.payload_len(64_000).gso(1448).frame(),
            Kind::Reply => tcp(server, peer).seq(501).ack(101).payload_len(100).frame(),
            Kind::Udp => udp(client, vip).payload_len(100).frame(),
            Kind::Miss => tcp(self::client(v6, 3 << 20), self::vip(v6, 1)).ack(1).payload_len(100).frame(),
        };
        let headers = frame.packet()[..frame.len().min(HEADERS)].to_vec();
        let offload = frame.offload;
        let mut case = Self { director, headers, offload, frame, moves: kind == Kind::Syn, n: 0, v6 };
        // The first datagram of a flow is not like the others.
        case.restore();
        let _ = case.process();
        case
    }

    /// Makes the packet what it was, or the first of another connection.
    #[inline]
    pub(crate) fn restore(&mut self) {
        self.frame.packet_mut()[..self.headers.len()].copy_from_slice(&self.headers);
        self.frame.encap = None;
        if self.moves {
            self.n += 1;
            come_from(self.frame.packet_mut(), self.v6, self.n);
        } else {
            self.frame.offload = self.offload;
        }
    }

    /// Has the engine decide about it.
    #[inline(never)]
    pub(crate) fn process(&mut self) -> Verdict {
        self.director.worker.process(&mut self.frame, self.director.now)
    }
}

/// As many empty frames, as they lie in a ring: in memory of their own for as long as the process lives, an odd number of
/// lines from each other, so that they do not compete for the same few lines of the cache.
pub(crate) fn ring(frames: usize) -> impl Iterator<Item = Frame> {
    let stride = ((HEADROOM + MAX_PACKET).div_ceil(64) | 1) * 64;
    let memory = vec![0; stride * frames].leak();
    memory.chunks_exact_mut(stride).map(Frame::in_memory)
}

/// The `n`th client's address and port.
pub(crate) fn client(v6: bool, n: u32) -> SocketAddr {
    let port = 1024 + (n % 50_000) as u16;
    let host = 0x0a40_0000 + n / 50_000;
    if v6 {
        let net = u128::from(0x2001_0db8_0001_u64) << 80;
        SocketAddr::new(IpAddr::V6(Ipv6Addr::from_bits(net | u128::from(host))), port)
    } else {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(host)), port)
    }
}

/// Has a packet come from the `n`th client. Its transport checksum is no longer right, which nobody looks at.
#[inline]
pub(crate) fn come_from(packet: &mut [u8], v6: bool, n: u32) {
    let host = (0x0a40_0000 + n / 50_000).to_be_bytes();
    let (host_at, ports) = if v6 { (20, 40) } else { (12, 20) };
    packet[host_at..host_at + 4].copy_from_slice(&host);
    packet[ports..ports + 2].copy_from_slice(&(1024 + (n % 50_000) as u16).to_be_bytes());
    if !v6 {
        packet[10..12].fill(0);
        let sum = wire::checksum::sum(&packet[..20]);
        packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
    }
}

/// The address of a service.
pub(crate) fn vip(v6: bool, n: u32) -> SocketAddr {
    let [_, a, b, c] = (n + 1).to_be_bytes();
    if v6 {
        let addr = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, a.into(), u16::from_be_bytes([b, c]));
        SocketAddr::new(addr.into(), 80)
    } else {
        SocketAddr::new(Ipv4Addr::new(172, 16 + a, b, c).into(), 80)
    }
}

pub(crate) fn server(v6: bool, service: u32, n: u8) -> SocketAddr {
    let [_, _, b, c] = (service + 1).to_be_bytes();
    if v6 {
        let addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, b.into(), c.into(), 10 + u16::from(n));
        SocketAddr::new(addr.into(), 8080)
    } else {
        SocketAddr::new(Ipv4Addr::new(10, 100 + n, b, c).into(), 8080)
    }
}
