//! DR: packets as they are, to the neighbour that leads to the server; and servers that are the host itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{DropReason, Egress, Engine, HostView, Limits, Verdict, Worker};
use sched::{DestSpec, ForwardMethod, Op, Path, Proto, ServiceKey, ServiceSpec, Trash};
use wire::build::{self, Build, tcp, udp};
use wire::checksum;
use wire::frame::Frame;
use wire::packet::{L4, Packet};

const DEVICE: u32 = 7;

/// Who takes part, in one family.
#[derive(Clone, Copy)]
struct Net {
    client: SocketAddr,
    vip: SocketAddr,
    server: SocketAddr,
    router: IpAddr,
}

fn nets() -> [Net; 2] {
    let net = |[client, vip, server]: [&str; 3], router: &str| Net {
        client: client.parse().expect("an address and a port"),
        vip: vip.parse().expect("an address and a port"),
        server: server.parse().expect("an address and a port"),
        router: router.parse().expect("an address"),
    };
    [
        net(["198.51.100.10:4000", "203.0.113.1:80", "10.0.0.11:80"], "10.0.0.254"),
        net(["[2001:db8:1::10]:4000", "[2001:db8:ff::1]:80", "[2001:db8:2::11]:80"], "fe80::1"),
    ]
}

struct Director {
    net: Net,
    engine: Engine,
    worker: Worker,
    now: Instant,
}

impl Director {
    fn new(net: Net, proto: Proto, method: ForwardMethod, local: &[IpAddr]) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(5, Limits::default(), 1, now);
        engine.set_host(HostView::new(local.iter().copied()));
        let dest = DestSpec { method, ..DestSpec::new(net.server) };
        let service =
            ServiceSpec { dests: vec![dest], ..ServiceSpec::new(ServiceKey::addr(proto, net.vip), "rr") };
        let table = engine.services().apply(&mut Trash::default(), &[Op::AddService { service }]);
        engine.set_services(Arc::new(table.expect("a legal edit")));
        let director = Self { net, engine, worker: workers.remove(0), now };
        director.path(Some(net.router), 1500);
        director
    }

    /// The server is reached by this neighbour, with packets of this size.
    fn path(&self, next_hop: Option<IpAddr>, mtu: u32) {
        for service in self.engine.services().services() {
            let live = &service.dests[0].live;
            live.set_path(next_hop.map(|next_hop| Path { device: DEVICE, next_hop, source: None }));
            live.mtu.store(mtu, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn to_server(&self) -> Verdict {
        Verdict::Transmit(Egress::Neighbour { device: DEVICE, next_hop: self.net.router })
    }

    fn process(&mut self, build: &Build) -> (Verdict, Frame) {
        let mut frame = build.frame();
        let verdict = self.worker.process(&mut frame, self.now);
        (verdict, frame)
    }

    /// A frame goes to the server's next hop unchanged, offload and all.
    fn leaves_alone(&mut self, build: &Build) {
        let (verdict, frame) = self.process(build);
        assert_eq!(verdict, self.to_server());
        let before = build.frame();
        assert_eq!((frame.packet(), frame.offload), (before.packet(), before.offload));
    }

    fn drops(&mut self, build: &Build) -> Option<DropReason> {
        match self.process(build).0 {
            Verdict::Drop(reason) => Some(reason),
            _ => None,
        }
    }
}

#[test]
fn packets_go_to_the_next_hop_as_they_are() {
    for net in nets() {
        let Net { client, vip, .. } = net;
        let mut director = Director::new(net, Proto::Tcp, ForwardMethod::Route, &[]);
        director.leaves_alone(&tcp(client, vip).syn());
        director.leaves_alone(&tcp(client, vip).ack(1));
        director.leaves_alone(&tcp(client, vip).ack(1).payload_len(30_000).gso(1400));
        director.leaves_alone(&tcp(client, vip).ack(1).payload_len(900).partial().ttl(2));
        let mut director = Director::new(net, Proto::Udp, ForwardMethod::Route, &[]);
        director.leaves_alone(&udp(client, vip).payload(b"ask"));
        assert_eq!(director.engine.counters().transmitted, 1);
    }
}

#[test]
fn what_is_known_of_the_way_to_a_server_counts_from_the_next_packet_on() {
    for net in nets() {
        let Net { client, vip, server, router } = net;
        let mut director = Director::new(net, Proto::Tcp, ForwardMethod::Route, &[]);
        director.leaves_alone(&tcp(client, vip).syn());
        let ack = tcp(client, vip).ack(1);
        let next = |director: &mut Director| director.process(&ack).0;
        let to = |next_hop| Verdict::Transmit(Egress::Neighbour { device: DEVICE, next_hop });
        assert_eq!(next(&mut director), to(router));
        director.path(Some(server.ip()), 1500);
        assert_eq!(next(&mut director), to(server.ip()));
        director.path(None, 1500);
        assert_eq!(next(&mut director), Verdict::Drop(DropReason::NoRoute));
        director.path(Some(router), 1500);
        assert_eq!(next(&mut director), to(router));
        // The server is the host, which has the VIP or has it not, and then it is another host again.
        for (local, expected) in [
            (vec![server.ip()], Verdict::Drop(DropReason::VipNotLocal)),
            (vec![server.ip(), vip.ip()], Verdict::Transmit(Egress::Route)),
            (vec![vip.ip()], to(router)),
            (vec![server.ip(), vip.ip()], Verdict::Transmit(Egress::Route)),
            (vec![], to(router)),
        ] {
            director.engine.set_host(HostView::new(local.clone()));
            assert_eq!(next(&mut director), expected, "{local:?}");
        }
    }
}

#[test]
fn a_packet_that_does_not_fit_is_answered_and_one_without_a_way_dropped() {
    for net in nets() {
        let mut director = Director::new(net, Proto::Tcp, ForwardMethod::Route, &[]);
        let syn = tcp(net.client, net.vip).syn();
        director.leaves_alone(&syn);
        director.path(Some(net.router), 1280);
        let large = tcp(net.client, net.vip).ack(1).payload_len(1400);
        let (verdict, frame) = director.process(&large);
        assert_eq!(verdict, Verdict::Reply);
        let answer = Packet::parse(frame.packet()).expect("a packet");
        assert_eq!((answer.src, answer.dst), (net.vip.ip(), net.client.ip()));
        assert_eq!(checksum::verify_frame(&frame), Ok(()));
        director.path(None, 0);
        assert_eq!(director.drops(&syn), Some(DropReason::NoRoute));
    }
}

#[test]
fn the_end_of_a_connection_is_told_to_both_as_far_as_it_is_known() {
    for net in nets() {
        let Net { client, vip, .. } = net;
        let mut director = Director::new(net, Proto::Tcp, ForwardMethod::Route, &[]);
        director.leaves_alone(&tcp(client, vip).syn().seq(100));
        director.leaves_alone(&tcp(client, vip).seq(101).ack(501));
        director.leaves_alone(&tcp(client, vip).seq(101).ack(501).payload_len(40));
        let later = director.now + Duration::from_secs(3600);
        director.worker.handle_timeout(later);
        let mut frame = Frame::new();
        let mut resets = Vec::new();
        while let Some(egress) = director.worker.next_own(&mut frame) {
            assert_eq!(checksum::verify_frame(&frame), Ok(()));
            let packet = Packet::parse(frame.packet()).expect("a packet");
            let L4::Tcp { flags, seq, ack, .. } = packet.l4 else { panic!("not TCP") };
            assert!(flags.rst());
            resets.push((Verdict::Transmit(egress), packet.src, packet.dst, seq, ack));
        }
        let to_client = (Verdict::Transmit(Egress::Route), vip.ip(), client.ip(), 501, 141);
        let to_server = (director.to_server(), client.ip(), vip.ip(), 141, 501);
        assert_eq!(resets, [to_client, to_server]);
    }
}

#[test]
fn a_server_that_is_the_host_gets_the_packet_here_if_the_vip_is_its_own() {
    for net in nets() {
        let syn = tcp(net.client, net.vip).syn();
        for (local, expected) in [
            (&[net.server.ip(), net.vip.ip()][..], Verdict::Transmit(Egress::Route)),
            (&[net.server.ip()][..], Verdict::Drop(DropReason::VipNotLocal)),
        ] {
            let mut director = Director::new(net, Proto::Tcp, ForwardMethod::Route, local);
            let (verdict, frame) = director.process(&syn);
            assert_eq!(verdict, expected);
            assert_eq!(frame.packet(), syn.frame().packet());
        }
    }
}

#[test]
fn nothing_is_rewritten_to_a_loopback_address() {
    for (mut net, loopback) in nets().into_iter().zip(["127.0.0.1:80", "[::1]:80"]) {
        net.server = loopback.parse().expect("an address and a port");
        let mut director = Director::new(net, Proto::Tcp, ForwardMethod::Masq, &[]);
        assert_eq!(director.drops(&tcp(net.client, net.vip).syn()), Some(DropReason::LoopbackServer));
        let mut director = Director::new(net, Proto::Tcp, ForwardMethod::Route, &[net.vip.ip()]);
        let (verdict, _) = director.process(&tcp(net.client, net.vip).syn());
        assert_eq!(verdict, Verdict::Transmit(Egress::Route));
    }
}

#[test]
fn errors_about_the_servers_answers_go_to_the_server_and_others_are_not_touched() {
    for net in nets() {
        let mut director = Director::new(net, Proto::Tcp, ForwardMethod::Route, &[]);
        director.leaves_alone(&tcp(net.client, net.vip).syn());
        let error = |quote: &Build, to| build::too_big(net.router, to, 1300, &quote.bytes());
        let answer = tcp(net.vip, net.client).ack(1).payload_len(400);
        director.leaves_alone(&error(&answer, net.vip.ip()));
        let request = tcp(net.client, net.vip).ack(1).payload_len(400);
        let (verdict, frame) = director.process(&error(&request, net.client.ip()));
        assert_eq!(
            (verdict, frame.packet()),
            (Verdict::Pass, &error(&request, net.client.ip()).ttl(65).bytes()[..])
        );
    }
}
