//! Datagrams in fragments, by every method: the first one decides and the others follow, whenever they come.

#[path = "end_all/mod.rs"]
mod end_all;
#[path = "foreseen/mod.rs"]
mod foreseen;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use engine::{DropReason, Egress, Engine, HostView, Limits, Verdict, Worker};
use sched::{
    DestSpec, ForwardMethod, OnDown, Op, Path, Proto, ProxyProtocol, ServiceKey, ServiceSpec, TcpOptions,
    Trash, Tunnel,
};
use wire::build::{self, Build, ping, sctp, tcp, udp};
use wire::frame::Frame;
use wire::packet::Packet;

use end_all::end_all;
use foreseen::foresee;

/// Who takes part, in one family.
#[derive(Clone, Copy)]
struct Net {
    client: SocketAddr,
    vip: SocketAddr,
    server: SocketAddr,
    /// The director's own address.
    own: IpAddr,
}

fn nets() -> [Net; 2] {
    let net = |[client, vip, server]: [&str; 3], own: &str| Net {
        client: client.parse().expect("an address and a port"),
        vip: vip.parse().expect("an address and a port"),
        server: server.parse().expect("an address and a port"),
        own: own.parse().expect("an address"),
    };
    [
        net(["198.51.100.10:4000", "203.0.113.1:53", "10.0.0.11:5353"], "10.0.0.2"),
        net(["[2001:db8:1::10]:4000", "[2001:db8:ff::1]:53", "[2001:db8:2::11]:5353"], "2001:db8:2::2"),
    ]
}

const METHODS: [ForwardMethod; 4] = [
    ForwardMethod::Masq,
    ForwardMethod::FullNat,
    ForwardMethod::Route,
    ForwardMethod::Tunnel(Tunnel {
        kind: sched::TunnelKind::Ipip,
        port: 0,
        checksum: sched::TunnelChecksum::None,
    }),
];

struct Director {
    engine: Engine,
    workers: Vec<Worker>,
    now: Instant,
}

impl Director {
    fn new(net: Net, method: ForwardMethod, spec: impl FnOnce(ServiceSpec) -> ServiceSpec) -> Self {
        let now = Instant::now();
        let (engine, workers) = Engine::new(5, Limits::default(), 2, now);
        engine.set_host(HostView::new([net.own]));
        let service = ServiceSpec::new(ServiceKey::addr(Proto::Udp, net.vip), "rr");
        let mut service = spec(service);
        let port = if method.changes_port() { net.server.port() } else { net.vip.port() };
        let server = SocketAddr::new(net.server.ip(), port);
        service.dests = vec![DestSpec { method, ..DestSpec::new(server) }];
        let table = engine.services().apply(&mut Trash::default(), &[Op::AddService { service }]);
        engine.set_services(Arc::new(table.expect("a legal edit")));
        for service in engine.services().services() {
            let path = Path { device: 3, next_hop: net.server.ip(), source: Some(net.own) };
            service.dests[0].live.set_path(Some(path));
            service.dests[0].live.mtu.store(1500, Relaxed);
        }
        Self { engine, workers, now }
    }

    fn plain(net: Net, method: ForwardMethod) -> Self {
        Self::new(net, method, |service| service)
    }

    /// What one worker makes of a packet.
    fn by(&mut self, worker: usize, bytes: &[u8]) -> (Verdict, Frame) {
        let mut frame = Frame::from_packet(bytes);
        let foreseen = foresee(&self.engine, &self.workers[worker], &frame, self.now, 1);
        let verdict = self.workers[worker].process(&mut frame, self.now);
        foreseen.comes_true(verdict, &frame, &[]);
        (verdict, frame)
    }

    fn verdict(&mut self, bytes: &[u8]) -> Verdict {
        self.by(0, bytes).0
    }

    /// What is sent behind the last packet.
    fn behind(&mut self, worker: usize) -> Vec<(Egress, Frame)> {
        assert!(self.workers[worker].next_own(&mut Frame::new()).is_none(), "not before it");
        if self.workers[worker].poll_timeout().is_none_or(|at| at > self.now) {
            return Vec::new();
        }
        self.workers[worker].handle_timeout(self.now);
        let mut all = Vec::new();
        let mut frame = Frame::new();
        while let Some(egress) = self.workers[worker].next_own(&mut frame) {
            all.push((egress, frame.clone()));
        }
        all
    }

    fn adds_up(&self) {
        let counters = self.engine.counters();
        let drops: u64 = counters.dropped.iter().sum();
        let others =
            counters.transmitted + counters.replied + counters.diverted + counters.passed + counters.waiting;
        assert_eq!(counters.received, others + drops);
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.engine.counters().dropped(reason)
    }
}

fn datagram(from: SocketAddr, to: SocketAddr) -> Build {
    udp(from, to).payload_len(3000).may_fragment().id(77)
}

/// Every fragment has been given the same identification, and otherwise is as it should be.
fn as_fragments_of(whole: &Build, sent: &[Frame], method: ForwardMethod) {
    let id = |bytes: &[u8]| {
        let packet = Packet::parse(bytes).expect("a packet");
        packet.piece(bytes).expect("a fragment").id
    };
    let ids: Vec<_> = sent.iter().map(|frame| id(frame.packet())).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    if !method.changes_port() {
        assert_eq!(ids[0], 77, "{method:?}");
    }
    for (is, should) in sent.iter().zip(whole.fragments(1400)) {
        let mut should = Frame::from_packet(&should);
        let packet = Packet::parse(should.packet()).expect("a packet");
        wire::packet::piece::set_identification(&mut should, &packet, ids[0]);
        assert_eq!(is.packet(), should.packet(), "{method:?}: {packet}");
    }
}

fn each(test: impl Fn(Net, ForwardMethod)) {
    for net in nets() {
        for method in METHODS {
            test(net, method);
        }
    }
}

/// What a datagram of the client's becomes for the server, which sees this peer.
fn request(net: Net, method: ForwardMethod, peer: SocketAddr) -> Build {
    match method {
        ForwardMethod::Masq | ForwardMethod::FullNat => datagram(peer, net.server).ttl(65),
        _ => datagram(net.client, net.vip).ttl(64),
    }
}

fn peer(net: Net, method: ForwardMethod, frame: &Frame) -> SocketAddr {
    let packet = Packet::parse(frame.packet()).expect("a packet");
    let (port, _) = packet.ports().expect("ports");
    let peer = SocketAddr::new(packet.src, port);
    assert_eq!(peer.ip(), if method == ForwardMethod::FullNat { net.own } else { net.client.ip() });
    peer
}

#[test]
fn the_others_follow_the_first_to_the_server_and_back() {
    each(|net, method| {
        let mut director = Director::plain(net, method);
        let pieces = datagram(net.client, net.vip).fragments(1400);
        // Whichever worker they come to.
        let sent: Vec<_> = pieces.iter().enumerate().map(|(n, piece)| director.by(n % 2, piece)).collect();
        assert!(matches!(sent[0].0, Verdict::Transmit(_)));
        assert!(sent.iter().all(|(verdict, frame)| *verdict == sent[0].0
            && frame.encap.is_some() == matches!(method, ForwardMethod::Tunnel(_))));
        let frames: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
        let peer = peer(net, method, &frames[0]);
        as_fragments_of(&request(net, method, peer), &frames, method);
        let stats = director.engine.services().services().next().expect("a service").live.stats.read();
        assert_eq!((stats.conns, stats.in_packets), (1, 3));
        if method.sees_replies() {
            let pieces = datagram(net.server, peer).fragments(1400);
            let sent: Vec<_> = pieces.iter().map(|piece| director.by(0, piece)).collect();
            assert!(sent.iter().all(|(verdict, _)| *verdict == Verdict::Transmit(Egress::Route)));
            let frames: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
            as_fragments_of(&datagram(net.vip, net.client).ttl(65), &frames, method);
        }
        director.adds_up();
        assert_eq!(director.engine.counters().dropped.iter().sum::<u64>(), 0);
    });
}

#[test]
fn those_that_come_before_the_first_follow_behind_it() {
    each(|net, method| {
        let mut director = Director::plain(net, method);
        let pieces = datagram(net.client, net.vip).fragments(1400);
        for late in [2, 1] {
            assert_eq!(director.by(late % 2, &pieces[late]).0, Verdict::Wait);
        }
        assert_eq!(director.engine.counters().waiting, 2);
        let (verdict, first) = director.by(0, &pieces[0]);
        let behind = director.behind(0);
        assert_eq!(behind.len(), 2);
        assert!(behind.iter().all(|(egress, _)| Verdict::Transmit(*egress) == verdict));
        let peer = peer(net, method, &first);
        let frames = [first, behind[1].1.clone(), behind[0].1.clone()];
        as_fragments_of(&request(net, method, peer), &frames, method);
        assert_eq!(director.engine.counters().transmitted, 3);
        director.adds_up();
    });
}

#[test]
fn nothing_waits_for_ever() {
    let net = nets()[0];
    let mut director = Director::plain(net, ForwardMethod::Masq);
    let pieces = datagram(net.client, net.vip).fragments(1400);
    assert_eq!(director.verdict(&pieces[1]), Verdict::Wait);
    let due = director.workers[0].poll_timeout().expect("a timer");
    assert_eq!(due - director.now, Duration::from_secs(2));
    director.workers[0].handle_timeout(due);
    assert_eq!(director.dropped(DropReason::FragmentUnclaimed), 1);
    assert_eq!(director.workers[0].poll_timeout(), None);
    director.adds_up();
}

#[test]
fn what_becomes_of_the_first_becomes_of_the_others() {
    for net in nets() {
        let mut director = Director::plain(net, ForwardMethod::Masq);
        // Refused: nobody listens there, and one answer is enough.
        let closed = SocketAddr::new(net.vip.ip(), 9);
        let pieces = datagram(net.client, closed).fragments(1400);
        assert_eq!(director.verdict(&pieces[0]), Verdict::Reply);
        assert_eq!(director.verdict(&pieces[1]), Verdict::Drop(DropReason::Unanswerable));
        // Nobody's business here.
        let pieces = datagram(net.client, SocketAddr::new(net.own, 9)).fragments(1400);
        assert_eq!(director.verdict(&pieces[2]), Verdict::Wait);
        let (verdict, first) = director.by(0, &pieces[0]);
        assert_eq!((verdict, first.packet()), (Verdict::Pass, &pieces[0][..]));
        let behind = director.behind(0);
        assert_eq!((behind.len(), behind[0].0, behind[0].1.packet()), (1, Egress::Route, &pieces[2][..]));
        let (verdict, frame) = director.by(0, &pieces[1]);
        assert_eq!((verdict, frame.packet()), (Verdict::Pass, &pieces[1][..]));
        // Its server is gone.
        let pieces = datagram(net.client, net.vip).id(78).fragments(1400);
        assert!(matches!(director.verdict(&pieces[0]), Verdict::Transmit(_)));
        let op = Op::DelDest { key: ServiceKey::addr(Proto::Udp, net.vip), addr: net.server };
        let table = director.engine.services().apply(&mut Trash::default(), &[op]).expect("a legal edit");
        director.engine.set_services(Arc::new(table));
        assert_eq!(director.verdict(&pieces[1]), Verdict::Drop(DropReason::DestRemoved));
        director.adds_up();
    }
}

#[test]
fn the_rest_of_a_datagram_to_a_dead_server_goes_nowhere() {
    for one_packet in [false, true] {
        each(|net, method| {
            if one_packet && method == ForwardMethod::FullNat {
                return;
            }
            let mut director = Director::new(net, method, |service| ServiceSpec { one_packet, ..service });
            let live = Arc::clone(&director.engine.services().services().next().expect("it").dests[0].live);
            let pieces = datagram(net.client, net.vip).fragments(1400);
            assert!(matches!(director.verdict(&pieces[0]), Verdict::Transmit(_)));
            live.set_down(true);
            let n = end_all(&director.engine, &live, OnDown::Keep);
            assert_eq!(n, usize::from(!one_packet));
            director.behind(0);
            assert_eq!(director.verdict(&pieces[1]), Verdict::Drop(DropReason::DestDown), "{method:?}");
            live.set_down(false);
            assert!(matches!(director.verdict(&pieces[2]), Verdict::Transmit(_)), "it was a mistake");
            director.adds_up();
        });
    }
}

#[test]
fn overlaps_end_the_datagram() {
    for net in nets() {
        let mut director = Director::plain(net, ForwardMethod::Masq);
        let pieces = datagram(net.client, net.vip).fragments(1400);
        let other = udp(net.client, net.vip).payload_len(3000).may_fragment().id(77).fragments(1392);
        assert!(matches!(director.verdict(&pieces[0]), Verdict::Transmit(_)));
        let overlap = Verdict::Drop(DropReason::FragmentOverlap);
        assert_eq!(director.verdict(&pieces[0]), overlap, "it came twice");
        assert!(matches!(director.verdict(&pieces[2]), Verdict::Transmit(_)));
        assert_eq!(director.verdict(&other[1]), overlap);
        assert_eq!(director.verdict(&pieces[1]), overlap);
        let mut bad = pieces[1].clone();
        if net.client.is_ipv4() {
            bad[2..4].copy_from_slice(&1403_u16.to_be_bytes());
            bad.truncate(1403);
        } else {
            bad[4..6].copy_from_slice(&1403_u16.to_be_bytes());
            bad.truncate(1443);
        }
        assert_eq!(director.verdict(&bad), Verdict::Drop(DropReason::BadFragment));
        director.adds_up();
    }
}

#[test]
fn single_datagrams_and_their_answers_follow_too() {
    for net in nets() {
        let one_packet = |service| ServiceSpec { one_packet: true, ..service };
        let mut director = Director::new(net, ForwardMethod::Masq, one_packet);
        let pieces = datagram(net.client, net.vip).fragments(1400);
        let sent: Vec<_> = pieces.iter().map(|piece| director.by(0, piece).1).collect();
        as_fragments_of(&datagram(net.client, net.server).ttl(65), &sent, ForwardMethod::Masq);
        let pieces = datagram(net.server, net.client).fragments(1400);
        let sent: Vec<_> = pieces.iter().map(|piece| director.by(0, piece).1).collect();
        as_fragments_of(&datagram(net.vip, net.client).ttl(65), &sent, ForwardMethod::Masq);
        let stats = director.engine.services().services().next().expect("a service").live.stats.read();
        assert_eq!((stats.conns, stats.in_packets, stats.out_packets), (1, 3, 3));
        assert_eq!(director.engine.connections_held(), 0);
    }
}

#[test]
fn a_long_ping_is_answered_piece_by_piece() {
    for net in nets() {
        let mut director = Director::plain(net, ForwardMethod::Masq);
        let (client, vip) = (net.client.ip(), net.vip.ip());
        let long = ping(client, vip, 5, 1).payload_len(60_000).may_fragment().id(77);
        let reply = if client.is_ipv4() { 0 } else { 129 };
        let pong = build::icmp(vip, client, reply, 0, 5 << 16 | 1).payload_len(60_000).may_fragment();
        let mut sent = Vec::new();
        for piece in long.fragments(1400) {
            let (verdict, frame) = director.by(0, &piece);
            assert_eq!(verdict, Verdict::Reply);
            sent.push(frame);
        }
        as_fragments_of(&pong, &sent, ForwardMethod::Masq);
    }
}

#[test]
fn what_can_only_be_forwarded_whole_is_dropped_by_name() {
    for net in nets() {
        let tcp_options = TcpOptions { proxy_protocol: Some(ProxyProtocol::V2), ..TcpOptions::default() };
        let spec =
            |service| ServiceSpec { key: ServiceKey::addr(Proto::Tcp, net.vip), tcp: tcp_options, ..service };
        let mut director = Director::new(net, ForwardMethod::Masq, spec);
        let fragment = Verdict::Drop(DropReason::Fragment);
        assert!(matches!(director.verdict(&tcp(net.client, net.vip).syn().bytes()), Verdict::Transmit(_)));
        let pieces = tcp(net.client, net.vip).seq(1).ack(1).payload_len(3000).may_fragment().fragments(1400);
        assert!(pieces.iter().all(|piece| director.verdict(piece) == fragment));
        // Its checksum would change with the port.
        let spec = |service| ServiceSpec { key: ServiceKey::addr(Proto::Sctp, net.vip), ..service };
        let mut director = Director::new(net, ForwardMethod::Masq, spec);
        assert!(matches!(
            director.verdict(&sctp(net.client, net.vip).chunk(1, &[7; 16]).bytes()),
            Verdict::Transmit(_)
        ));
        let pieces = sctp(net.client, net.vip).tag(5).chunk(0, &[7; 3000]).may_fragment().fragments(1400);
        assert!(pieces.iter().all(|piece| director.verdict(piece) == fragment));
    }
}
