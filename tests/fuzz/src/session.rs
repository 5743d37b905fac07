//! An engine with every kind of service, and what has to hold after each frame.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use engine::{Engine, HostView, Limits, Part, Verdict, Worker};
use sched::marks::{MarkCounts, Match, SetMark};
use sched::{
    DestSpec, Family, ForwardMethod, MarkRule, Netmask, Op, Path, Persistence, PersistenceEngine, Proto,
    ProxyProtocol, ServiceKey, ServiceSpec, TcpOptions, Trash, Tunnel, TunnelChecksum, TunnelKind, Weight,
};
use wire::build::{self, Build, ping, raw, sctp, tcp, udp};
use wire::checksum;
use wire::encap::Encap;
use wire::frame::{Frame, GsoKind, Offload};
use wire::packet::Packet;

/// Who takes part, in one family.
#[derive(Clone, Copy, Debug)]
pub struct Net {
    /// Whose packets there are.
    pub client: SocketAddr,
    /// The address of all services.
    pub vip: IpAddr,
    /// The servers' addresses: two of each service.
    pub servers: [IpAddr; 2],
    /// An address of the director's towards them (FullNAT).
    pub lip: IpAddr,
    /// A neighbour of the director, through which the servers are reached (DR).
    pub router: IpAddr,
}

/// Both families.
pub fn nets() -> [Net; 2] {
    let net = |client, vip, [first, second]: [&str; 2], lip, router| Net {
        client: addr(client),
        vip: ip(vip),
        servers: [ip(first), ip(second)],
        lip: ip(lip),
        router: ip(router),
    };
    let v4 = ["10.0.0.1", "10.0.0.2"];
    let v6 = ["fd00::1", "fd00::2"];
    [
        net("198.51.100.7:4000", "192.0.2.80", v4, "10.0.0.254", "10.0.0.253"),
        net("[2001:db8::7]:4000", "2001:db8::80", v6, "fd00::fe", "fe80::1"),
    ]
}

/// Ports of the services; a service's servers have the same, or [`NAT_SHIFT`] more where the method may change it.
const WEB: u16 = 80;
const DNS: u16 = 53;
const SINGLE: u16 = 540;
const SIP: u16 = 5060;
const SIGNALS: u16 = 2905;
const FTP: u16 = 21;
const TOLD: u16 = 25;
const LASTING: [u16; 2] = [443, 444];
const NAT_SHIFT: u16 = 8000;

/// The one port of the local address: towards each server it is known which one a connection has.
const LOCAL_PORT: u16 = 7000;

/// Connections and templates that fit in.
const ROOM: usize = 50;

/// Each service's position after [`WEB`] and [`DNS`] is its method's here.
fn methods() -> [ForwardMethod; 7] {
    let tunnel = |kind, port, checksum| ForwardMethod::Tunnel(Tunnel { kind, port, checksum });
    [
        ForwardMethod::Masq,
        ForwardMethod::FullNat,
        ForwardMethod::Route,
        tunnel(TunnelKind::Ipip, 0, TunnelChecksum::default()),
        tunnel(TunnelKind::Gre, 0, TunnelChecksum::Full),
        tunnel(TunnelKind::Gue, 6080, TunnelChecksum::default()),
        tunnel(TunnelKind::Gue, 6080, TunnelChecksum::Remote),
    ]
}

/// A running engine.
#[derive(Debug)]
pub struct Session {
    engine: Engine,
    worker: Worker,
    trash: Trash,
    now: Instant,
    /// A fragment with wrong checksums has been waiting: what it has become is as wrong.
    damaged: bool,
    /// Notes are taken of each frame, which keeps all of them off the way of most packets.
    noted: bool,
    /// What has left unasked since the last comparison.
    left: Vec<Frame>,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// With every service, and no connection.
    pub fn new() -> Self {
        Self::begun(Instant::now(), false)
    }

    /// Two that are alike, but that notes are taken in the second: what becomes of frames must be the same.
    pub fn pair() -> [Self; 2] {
        let now = Instant::now();
        [false, true].map(|noted| Self::begun(now, noted))
    }

    fn begun(now: Instant, noted: bool) -> Self {
        let (engine, mut workers) = Engine::new(5, Limits { max_connections: ROOM }, 1, now);
        engine.set_local_ports(&[LOCAL_PORT], &[LOCAL_PORT]);
        let mut session = Self {
            engine,
            worker: workers.remove(0),
            trash: Trash::default(),
            now,
            damaged: false,
            noted,
            left: Vec::new(),
        };
        let services =
            nets().into_iter().flat_map(|net| services(&net)).map(|service| Op::AddService { service });
        // The mark is no service's: its packets are counted, and go where they would go anyway.
        let rules = [Family::Ipv4, Family::Ipv6]
            .map(|family| MarkRule { protocol: Some(Match::is(6)), ..MarkRule::new(family, SetMark::to(9)) });
        let rules = rules.map(|rule| Op::AddMark { rule, at: None, counts: MarkCounts::default() });
        let ops: Vec<_> = services.chain(rules).collect();
        assert!(session.edit(&ops), "the services are legal");
        session.mtu(1400);
        session
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Time passes, and what is due happens at its end.
    pub fn wait(&mut self, time: Duration) {
        self.now += time;
        while self.worker.poll_timeout().is_some_and(|due| due <= self.now) {
            self.worker.handle_timeout(self.now);
            self.own();
        }
    }

    /// The services change; `false` when that is not legal.
    pub fn edit(&mut self, ops: &[Op]) -> bool {
        let Ok(table) = self.engine.services().apply(&mut self.trash, ops) else { return false };
        for service in table.services() {
            for dest in service.dests.iter() {
                let net = nets()[usize::from(dest.live.key.ip().is_ipv6())];
                let path = Path { device: 3, next_hop: net.router, source: Some(net.lip) };
                dest.live.set_path(Some(path));
            }
        }
        self.engine.set_services(Arc::new(table));
        true
    }

    /// What there was of a service and its servers at the beginning.
    pub fn origin(&self, which: usize) -> ServiceSpec {
        let mut all: Vec<_> = nets().iter().flat_map(services).collect();
        all.swap_remove(which % all.len())
    }

    /// The way to every server has this MTU.
    pub fn mtu(&self, mtu: u32) {
        for service in self.engine.services().services() {
            service.dests.iter().for_each(|dest| dest.live.mtu.store(mtu, Relaxed));
        }
    }

    /// The host has the addresses of these bits: the VIPs, the local addresses, the clients.
    pub fn host(&self, bits: u8) {
        let addrs = nets().into_iter().flat_map(|net| [net.vip, net.lip, net.client.ip()]).enumerate();
        let addrs = addrs.filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, addr)| addr);
        self.engine.set_host(HostView::new(addrs));
    }

    /// A frame comes in. It is counted once, right checksums stay right, and what leaves is a packet.
    pub fn frame(&mut self, mut frame: Frame) -> Verdict {
        self.left.clear();
        self.put(&mut frame)
    }

    /// A frame comes in to both of a pair, and the same becomes of it.
    pub fn frame_to_both(pair: &mut [Self; 2], frame: &Frame) -> Verdict {
        let [mut one, mut other] = [frame.clone(), frame.clone()];
        let verdict = pair[0].put(&mut one);
        let before = || format!("{:?} {:?}", frame.offload, frame.packet().get(..80));
        assert_eq!(verdict, pair[1].put(&mut other), "of {}", before());
        assert!(seen(&one) == seen(&other), "{verdict:?} of {}", before());
        verdict
    }

    /// Both of a pair are the same; `all` as in [`Session::state`].
    pub fn compare(pair: &mut [Self; 2], all: bool) {
        let [one, other] = &*pair;
        let (one, other) = (one.state(all), other.state(all));
        let difference = one.iter().zip(&other).find(|(one, other)| one != other);
        assert!(one.len() == other.len() && difference.is_none(), "{difference:#?}");
        let [one, other] = pair.each_mut().map(|session| std::mem::take(&mut session.left));
        assert!(one.iter().map(seen).eq(other.iter().map(seen)), "others have left unasked");
    }

    /// Says what can be known of the engine; `all` is down to what no listing shows, in no order.
    pub fn state(&self, all: bool) -> Vec<String> {
        let mut connections = Vec::new();
        self.engine.for_each_connection(self.now, Part::ALL, |conn| connections.push(format!("{conn:?}")));
        connections.sort();
        connections.push(format!("{:?} {:?}", self.engine.counters(), self.worker.poll_timeout()));
        if all {
            let table = self.engine.services();
            connections.extend(table.services().map(|service| format!("{service:?}")));
            for family in [Family::Ipv4, Family::Ipv6] {
                let rules =
                    table.marks().entries(family).iter().map(|rule| format!("{:?}", rule.live.read()));
                connections.extend(rules.chain([format!("{:?}", table.marks().passed(family).read())]));
            }
            let whole = format!("{:#?}", self.worker);
            // Which cell something is in may go by where its server is in memory.
            let lines = whole.lines().filter(|line| !line.trim_start().starts_with("value:"));
            let mut lines: Vec<_> = lines.map(str::to_owned).collect();
            lines.sort();
            connections.extend(lines);
        }
        connections
    }

    fn put(&mut self, frame: &mut Frame) -> Verdict {
        let (before, offload) = (self.engine.counters(), frame.offload);
        let right = checksum::verify_frame(frame).is_ok();
        let ported = Packet::parse(frame.packet()).is_ok_and(|packet| packet.ports().is_some());
        let verdict = if self.noted {
            self.worker.process_noted(frame, self.now).0
        } else {
            self.worker.process(frame, self.now)
        };
        self.damaged |= verdict == Verdict::Wait && !right;

        let mut after = before;
        after.received += 1;
        after.super_packets += u64::from(offload.gso != GsoKind::None);
        match verdict {
            Verdict::Transmit(_) => after.transmitted += 1,
            Verdict::Reply => after.replied += 1,
            Verdict::Divert(_) => after.diverted += 1,
            Verdict::Pass => after.passed += 1,
            Verdict::Wait => after.waiting += 1,
            Verdict::Drop(reason) => after.dropped[reason as usize] += 1,
        }
        let counters = self.engine.counters();
        (after.created, after.expired, after.resets) = (counters.created, counters.expired, counters.resets);
        after.greetings = counters.greetings;
        if counters.waiting == after.waiting {
            assert_eq!(counters, after);
        }
        let drops: u64 = counters.dropped.iter().sum();
        let others =
            counters.transmitted + counters.replied + counters.diverted + counters.passed + counters.waiting;
        assert_eq!(counters.received, others + drops);
        assert_eq!(self.engine.connections_held() as u64, counters.created - counters.expired);
        assert!(self.engine.connections_held() <= ROOM);
        if !matches!(verdict, Verdict::Drop(_)) {
            assert!(Packet::parse(frame.packet()).is_ok(), "{verdict:?} of what is no packet");
            // A ping is echoed with its error, all other answers are made anew.
            let anew = verdict == Verdict::Reply && ported;
            if right || anew {
                assert_eq!(checksum::verify_frame(frame), Ok(()), "{verdict:?} of it");
            }
        }
        self.own();
        verdict
    }

    /// So much later nothing is held any more, for nobody, and no timer runs.
    pub fn end(&mut self) {
        self.wait(Duration::from_secs(4000));
        assert_eq!((self.engine.connections_held(), self.worker.poll_timeout()), (0, None));
        self.engine.local_ports_in_use(|pool| assert_eq!(pool.taken, 0, "ports are given back"));
        for service in self.engine.services().services() {
            for dest in service.dests.iter() {
                let live = &dest.live;
                let loads = [&live.active, &live.inactive, &live.persistent].map(|load| load.load(Relaxed));
                assert_eq!(loads, [0; 3], "{} of {:?}", live.key, service.key);
            }
        }
    }

    /// What leaves unasked is a packet with right checksums.
    fn own(&mut self) {
        let mut frame = Frame::new();
        while self.worker.next_own(&mut frame).is_some() {
            assert!(self.damaged || checksum::verify_frame(&frame).is_ok(), "a frame of our own");
            self.left.push(frame.clone());
        }
    }
}

/// All there is to see of a frame.
fn seen(frame: &Frame) -> (&[u8], Offload, Option<Encap>) {
    (frame.packet(), frame.offload, frame.encap)
}

fn services(net: &Net) -> Vec<ServiceSpec> {
    let dest = |ip, port, method: ForwardMethod| {
        let port = if method.changes_port() { port + NAT_SHIFT } else { port };
        DestSpec { weight: Weight(1), method, ..DestSpec::new(SocketAddr::new(ip, port)) }
    };
    let service = |proto, port, method| ServiceSpec {
        dests: net.servers.iter().map(|ip| dest(*ip, port, method)).collect(),
        ..ServiceSpec::new(ServiceKey::addr(proto, SocketAddr::new(net.vip, port)), "rr")
    };
    let mut services = Vec::new();
    for (n, method) in (0..).zip(methods()) {
        services.push(service(Proto::Tcp, WEB + n, method));
        services.push(service(Proto::Udp, DNS + n, method));
    }
    services.push(service(Proto::Sctp, SIGNALS, ForwardMethod::Masq));
    services.push(ServiceSpec { one_packet: true, ..service(Proto::Udp, SINGLE, ForwardMethod::Masq) });
    services.push(service(Proto::Tcp, FTP, ForwardMethod::Masq));
    services.push(ServiceSpec {
        tcp: TcpOptions { proxy_protocol: Some(ProxyProtocol::V2), ..TcpOptions::default() },
        ..service(Proto::Tcp, TOLD, ForwardMethod::Masq)
    });
    for (port, method) in LASTING.into_iter().zip([ForwardMethod::Masq, ForwardMethod::Route]) {
        let service = service(Proto::Tcp, port, method);
        let mask = Netmask::full(service.key.family());
        services.push(ServiceSpec { persistence: Some(Persistence { timeout: 300, mask }), ..service });
    }
    let sip = service(Proto::Udp, SIP, ForwardMethod::Masq);
    let mask = Netmask::full(sip.key.family());
    services.push(ServiceSpec {
        persistence: Some(Persistence { timeout: 300, mask }),
        pe: Some(PersistenceEngine::Sip),
        ..sip
    });
    services
}

/// Packets of which most begin or belong to a connection, for each service and both families.
pub fn packets() -> &'static [Frame] {
    static PACKETS: OnceLock<Vec<Frame>> = OnceLock::new();
    PACKETS.get_or_init(|| {
        let nets = nets();
        let whole = nets.iter().flat_map(packets_of).map(|build| build.frame());
        let pieces = nets.iter().flat_map(fragments).map(|bytes| Frame::from_packet(&bytes));
        whole.chain(pieces).collect()
    })
}

/// Of datagrams to services of each method, of a ping and of an answer.
fn fragments(net: &Net) -> Vec<Vec<u8>> {
    let client = net.client;
    let mut whole = vec![
        ping(client.ip(), net.vip, 1, 1).payload_len(3000),
        udp(client, (net.vip, SINGLE)).payload_len(3000),
        udp((net.servers[0], DNS + NAT_SHIFT), client).payload_len(3000),
    ];
    let ports = (0..).zip(methods()).map(|(n, _)| DNS + n);
    whole.extend(ports.map(|port| udp(client, (net.vip, port)).payload_len(3000)));
    whole.iter().flat_map(|build| build.clone().may_fragment().fragments(1200)).collect()
}

fn packets_of(net: &Net) -> Vec<Build> {
    let client = net.client;
    let mut packets = vec![
        ping(client.ip(), net.vip, 1, 1),
        raw(client.ip(), net.vip, 47).payload_len(40),
        tcp(client, (net.vip, 9)).syn().tcp_options(&[2, 4, 5, 180]),
        udp(client, (net.vip, 9)).payload_len(900),
        udp(client, (net.vip, SINGLE)).payload_len(30),
        udp((net.servers[0], SINGLE + NAT_SHIFT), client).payload_len(30),
        udp(client, (net.vip, SIP)).payload(b"INVITE sip:a\r\nCall-ID: 7@a\r\n\r\n"),
        sctp(client, (net.vip, SIGNALS)).chunk(1, &[0; 16]),
        sctp((net.servers[0], SIGNALS + NAT_SHIFT), client).tag(1).chunk(2, &[0; 20]),
    ];
    for (n, method) in (0..).zip(methods()) {
        let [web, dns] = [WEB, DNS].map(|port| SocketAddr::new(net.vip, port + n));
        packets.extend([
            tcp(client, web).syn(),
            tcp(client, web).ack(1).payload_len(30),
            tcp(client, web).fin().ack(1),
            tcp(client, web).ack(1).payload_len(3000).gso(1000),
            udp(client, dns).payload_len(30),
            udp(client, dns).payload_len(3000).gso(1000),
        ]);
        let seen = tcp(web, client).ack(1).payload_len(40).bytes();
        packets.push(build::too_big(client.ip(), net.vip, 1280, &seen));
        if !method.changes_port() {
            continue;
        }
        let shift = NAT_SHIFT + n;
        let peer = if method == ForwardMethod::Masq { client } else { SocketAddr::new(net.lip, LOCAL_PORT) };
        let [server, resolver] = [WEB, DNS].map(|port| SocketAddr::new(net.servers[0], port + shift));
        let sent = tcp(peer, server).ack(1).payload_len(40).bytes();
        packets.extend([
            tcp(server, peer).syn().ack(1),
            tcp(server, peer).ack(1).payload_len(3000).gso(1000),
            tcp(server, peer).rst(),
            udp(resolver, peer).payload_len(90).partial(),
            build::unreachable_port(server.ip(), peer.ip(), &sent),
            build::time_exceeded(net.router, peer.ip(), &sent),
        ]);
    }
    for port in [FTP, TOLD].into_iter().chain(LASTING) {
        let (vip, server) =
            (SocketAddr::new(net.vip, port), SocketAddr::new(net.servers[0], port + NAT_SHIFT));
        packets.extend([
            tcp(client, vip).syn(),
            tcp(server, client).syn().ack(1),
            tcp(client, vip).ack(1).payload_len(30),
            tcp(server, client).ack(1).payload_len(40),
        ]);
    }
    packets.push(about_a_tunnel(net));
    let web = SocketAddr::new(net.vip, WEB);
    if client.is_ipv6() {
        let options = [1, 4, 0, 0, 0, 0];
        packets.push(tcp(client, web).ack(1).extension(0, &options).extension(60, &options));
        packets.push(tcp(client, web).ack(1).extension(43, &[0; 6]));
    } else {
        packets.push(tcp(client, web).ack(1).ipv4_options(&[7, 7, 4, 0, 0, 0, 0]));
        packets.push(udp(client, (net.vip, DNS)).payload_len(20).no_checksum());
    }
    packets
}

/// What a router on the way to a server says of a packet inside IPIP.
fn about_a_tunnel(net: &Net) -> Build {
    const IPIP: u16 = 3;
    let inner = tcp(net.client, (net.vip, WEB + IPIP)).ack(1).payload_len(1300).bytes();
    let protocol = if net.vip.is_ipv4() { 4 } else { 41 };
    let outer = raw(net.lip, net.servers[0], protocol).payload(&inner[..100]).bytes();
    build::too_big(net.router, net.lip, 1280, &outer)
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
