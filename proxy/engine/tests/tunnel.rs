//! Tunnels: the packet as it is, inside another one whose header is the one that IPVS would write.

#[path = "foreseen/mod.rs"]
mod foreseen;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use engine::{DropReason, Egress, Engine, HostView, Knobs, Limits, Verdict, Worker};
use sched::{
    DestSpec, ForwardMethod, Met, Op, Path, Proto, ServiceKey, ServiceSpec, Trash, Tunnel, TunnelChecksum,
    TunnelKind,
};
use wire::build::{self, Build, tcp, udp};
use wire::checksum;
use wire::encap::{Encap, EncapKind, GueChecksum, Wrapper};
use wire::frame::Frame;
use wire::packet::{L4, Packet};

use foreseen::foresee;

const IPIP: Tunnel = Tunnel { kind: TunnelKind::Ipip, port: 0, checksum: TunnelChecksum::None };

fn gre(checksum: TunnelChecksum) -> Tunnel {
    Tunnel { kind: TunnelKind::Gre, port: 0, checksum }
}

fn gue(checksum: TunnelChecksum) -> Tunnel {
    Tunnel { kind: TunnelKind::Gue, port: 6080, checksum }
}

/// Client and VIP of a family; server and the director's own address of another.
#[derive(Clone, Copy)]
struct Net {
    client: SocketAddr,
    vip: SocketAddr,
    server: SocketAddr,
    own: IpAddr,
}

fn net(inner_v4: bool, outer_v4: bool) -> Net {
    let (client, vip) = match inner_v4 {
        true => ("198.51.100.10:4000", "203.0.113.1:80"),
        false => ("[2001:db8:1::10]:4000", "[2001:db8:ff::1]:80"),
    };
    let (server, own) = match outer_v4 {
        true => ("10.0.0.11:80", "10.0.0.2"),
        false => ("[2001:db8:2::11]:80", "2001:db8:2::2"),
    };
    let parse = |text: &str| text.parse().expect("an address and a port");
    Net {
        client: parse(client),
        vip: parse(vip),
        server: parse(server),
        own: own.parse().expect("an address"),
    }
}

fn nets() -> [Net; 4] {
    [net(true, true), net(true, false), net(false, true), net(false, false)]
}

struct Director {
    net: Net,
    engine: Engine,
    worker: Worker,
    now: Instant,
}

impl Director {
    fn new(net: Net, proto: Proto, tunnel: Tunnel) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(5, Limits::default(), 1, now);
        engine.set_host(HostView::new([net.own]));
        let dest = DestSpec { method: ForwardMethod::Tunnel(tunnel), ..DestSpec::new(net.server) };
        let service =
            ServiceSpec { dests: vec![dest], ..ServiceSpec::new(ServiceKey::addr(proto, net.vip), "rr") };
        let table = engine.services().apply(&mut Trash::default(), &[Op::AddService { service }]);
        engine.set_services(Arc::new(table.expect("a legal edit")));
        let director = Self { net, engine, worker: workers.remove(0), now };
        director.path(Some(Path { device: 7, next_hop: net.server.ip(), source: Some(net.own) }), 1500);
        director
    }

    fn path(&self, path: Option<Path>, mtu: u32) {
        for service in self.engine.services().services() {
            service.dests[0].live.set_path(path);
            service.dests[0].live.mtu.store(mtu, Relaxed);
        }
    }

    fn process(&mut self, build: &Build) -> (Verdict, Frame) {
        let mut frame = build.frame();
        let foreseen = foresee(&self.engine, &self.worker, &frame, self.now, 1);
        let verdict = self.worker.process(&mut frame, self.now);
        foreseen.comes_true(verdict, &frame, &[]);
        (verdict, frame)
    }

    /// What a frame, which stays as it is, goes inside of.
    fn encap(&mut self, build: &Build) -> Encap {
        let (verdict, frame) = self.process(build);
        assert_eq!(verdict, Verdict::Transmit(Egress::Route));
        let before = build.frame();
        assert_eq!((frame.packet(), frame.offload), (before.packet(), before.offload));
        let encap = frame.encap.expect("goes inside another packet");
        assert_eq!((encap.src, encap.dst), (self.net.own, self.net.server.ip()));
        encap
    }

    /// The MTU that the answer to a frame names.
    fn too_big(&mut self, build: &Build) -> u32 {
        let (verdict, frame) = self.process(build);
        assert_eq!(verdict, Verdict::Reply);
        assert_eq!(checksum::verify_frame(&frame), Ok(()));
        let answer = Packet::parse(frame.packet()).expect("a packet");
        assert_eq!((answer.src, answer.dst), (self.net.vip.ip(), self.net.client.ip()));
        let quoted = wire::icmp::quoted(frame.packet(), &answer).expect("an error with a quote");
        assert_eq!(quoted.dst_port, self.net.vip.port());
        quoted.mtu.expect("a packet that is too big")
    }

    fn drops(&mut self, build: &Build) -> Option<DropReason> {
        match self.process(build).0 {
            Verdict::Drop(reason) => Some(reason),
            _ => None,
        }
    }
}

#[test]
fn what_is_known_of_the_way_to_a_server_counts_from_the_next_packet_on() {
    for net in nets() {
        let mut director = Director::new(net, Proto::Tcp, IPIP);
        director.encap(&tcp(net.client, net.vip).syn());
        let ack = tcp(net.client, net.vip).ack(1);
        let path = |source| Some(Path { device: 7, next_hop: net.server.ip(), source });
        let other = if net.own.is_ipv4() { "10.0.0.3" } else { "2001:db8:2::3" }.parse().ok();
        director.path(path(other), 1400);
        let (_, frame) = director.process(&ack);
        assert_eq!(frame.encap.map(|encap| (Some(encap.src), encap.mtu)), Some((other, 1400)));
        director.path(path(None), 1500);
        assert_eq!(director.drops(&ack), Some(DropReason::NoLocalAddress));
        director.path(None, 1500);
        assert_eq!(director.drops(&ack), Some(DropReason::NoRoute));
        director.path(path(Some(net.own)), 1500);
        assert_eq!(director.encap(&ack).mtu, 1500);
        director.engine.set_host(HostView::new([net.own, net.server.ip()]));
        assert_eq!(director.drops(&ack), Some(DropReason::VipNotLocal));
        director.engine.set_host(HostView::new([net.own]));
        director.encap(&ack);
    }
}

#[test]
fn each_kind_of_tunnel_is_asked_for_as_it_is_configured() {
    for net in nets() {
        let Net { client, vip, .. } = net;
        let kind = |tunnel| Director::new(net, Proto::Tcp, tunnel).encap(&tcp(client, vip).syn()).kind;
        assert_eq!(kind(IPIP), EncapKind::Ipip);
        assert_eq!(kind(gre(TunnelChecksum::None)), EncapKind::Gre { checksum: false });
        assert_eq!(kind(gre(TunnelChecksum::Full)), EncapKind::Gre { checksum: true });
        for (of_tunnel, want) in [
            (TunnelChecksum::None, GueChecksum::None),
            (TunnelChecksum::Full, GueChecksum::Full),
            (TunnelChecksum::Remote, GueChecksum::Remote),
        ] {
            let EncapKind::Gue { port, source_port, checksum } = kind(gue(of_tunnel)) else { panic!("GUE") };
            assert_eq!((port, checksum), (6080, want));
            assert!(source_port >= 49_152);
        }
    }
}

#[test]
fn a_flow_keeps_its_port_and_others_have_others() {
    let net = net(true, true);
    let mut director = Director::new(net, Proto::Tcp, gue(TunnelChecksum::None));
    let mut port = |client: u16| {
        let client = SocketAddr::new(net.client.ip(), client);
        let ports: Vec<_> = [tcp(client, net.vip).syn(), tcp(client, net.vip).ack(1).payload_len(10)]
            .iter()
            .map(|build| match director.encap(build).kind {
                EncapKind::Gue { source_port, .. } => source_port,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ports[0], ports[1]);
        ports[0]
    };
    let ports: std::collections::BTreeSet<_> = (1000..1100).map(&mut port).collect();
    assert!(ports.len() > 90, "{} of 100", ports.len());
}

#[test]
fn the_outer_header_is_made_of_the_inner_one() {
    for net in nets() {
        let Net { client, vip, .. } = net;
        let mut director = Director::new(net, Proto::Tcp, IPIP);
        let syn = || tcp(client, vip).syn();
        // The host's stack takes a hop of the outer packet when it leaves: the inner one has been told already.
        let encap = director.encap(&syn().ttl(17).class(0xb9));
        assert_eq!((encap.ttl, encap.class, encap.mtu), (18, 0xb9, 1500));
        assert_eq!(director.encap(&syn().ttl(255).class(0x03)).ttl, 255);
        assert_eq!(director.encap(&syn().class(0x03)).class, 0x02, "congestion is told once");
        // From the host's own clients nothing was taken yet, and nothing will be.
        let mut own = Director::new(net, Proto::Tcp, IPIP);
        own.engine.set_host(HostView::new([net.own, client.ip()]));
        assert_eq!(own.encap(&syn().ttl(64)).ttl, 64);
        assert!(director.encap(&tcp(client, vip).ack(1).payload_len(30_000).gso(1400)).mtu == 1500);
    }
}

#[test]
fn only_what_ipv4_says_not_to_cut_is_not_cut() {
    for net in nets() {
        let Net { client, vip, .. } = net;
        let mut director = Director::new(net, Proto::Udp, IPIP);
        let v4 = client.is_ipv4();
        assert_eq!(director.encap(&udp(client, vip)).dont_fragment, v4);
        assert!(!director.encap(&udp(client, vip).may_fragment()).dont_fragment);
        director.engine.set_knobs(Knobs { pmtu_disc: false, ..Knobs::default() });
        assert!(!director.encap(&udp(client, vip)).dont_fragment);
        // What may be cut is told apart.
        let ids: Vec<_> =
            (0..3).map(|_| director.encap(&udp(client, vip).payload_len(2600).gso(1300)).id).collect();
        assert_eq!(ids[1].wrapping_sub(ids[0]), 2, "one for each segment");
        assert_eq!(ids[2].wrapping_sub(ids[1]), 2);
    }
}

#[test]
fn what_does_not_fit_the_tunnel_is_answered_with_what_does() {
    let overheads = [
        (IPIP, 0),
        (gre(TunnelChecksum::None), 4),
        (gre(TunnelChecksum::Full), 8),
        (gue(TunnelChecksum::None), 12),
        (gue(TunnelChecksum::Full), 12),
        (gue(TunnelChecksum::Remote), 20),
    ];
    for net in nets() {
        for (tunnel, overhead) in overheads {
            let Net { client, vip, server, .. } = net;
            let fits = 1500 - overhead - if server.is_ipv4() { 20 } else { 40 };
            let payload = fits - if client.is_ipv4() { 28 } else { 48 };
            let mut director = Director::new(net, Proto::Udp, tunnel);
            director.encap(&udp(client, vip).payload_len(payload));
            assert_eq!(director.too_big(&udp(client, vip).payload_len(payload + 1)), fits as u32);
            let gso = |size| udp(client, vip).payload_len(20_000).gso(size as u16);
            director.encap(&gso(payload));
            assert_eq!(director.too_big(&gso(payload + 1)), fits as u32);
            if client.is_ipv4() {
                // Then the outer one is cut.
                let encap = director.encap(&udp(client, vip).payload_len(payload + 1).may_fragment());
                assert!(!encap.dont_fragment);
                director.engine.set_knobs(Knobs { pmtu_disc: false, ..Knobs::default() });
                assert!(!director.encap(&udp(client, vip).payload_len(payload + 1)).dont_fragment);
            } else {
                director.engine.set_knobs(Knobs { pmtu_disc: false, ..Knobs::default() });
                assert_eq!(director.too_big(&udp(client, vip).payload_len(payload + 1)), fits as u32);
            }
        }
    }
}

#[test]
fn nobody_is_told_to_send_less_than_every_link_carries() {
    for net in nets() {
        let Net { client, vip, .. } = net;
        let mut director = Director::new(net, Proto::Udp, IPIP);
        let least = if client.is_ipv4() { 68 } else { 1280 };
        director.path(
            Some(Path { device: 7, next_hop: net.server.ip(), source: Some(net.own) }),
            if client.is_ipv4() { 70 } else { 1280 },
        );
        assert_eq!(director.too_big(&udp(client, vip).payload_len(1300)), least);
        // And what is no longer than that goes in pieces.
        let most = least as usize - if client.is_ipv4() { 28 } else { 48 };
        assert!(!director.encap(&udp(client, vip).payload_len(most)).dont_fragment);
    }
}

#[test]
fn without_a_way_or_an_address_of_its_own_nothing_goes() {
    let net = net(true, false);
    let mut director = Director::new(net, Proto::Tcp, IPIP);
    let syn = tcp(net.client, net.vip).syn();
    director.path(Some(Path { device: 7, next_hop: net.server.ip(), source: None }), 1500);
    assert_eq!(director.drops(&syn), Some(DropReason::NoLocalAddress));
    director.path(None, 0);
    assert_eq!(director.drops(&syn), Some(DropReason::NoRoute));
}

#[test]
fn a_server_that_is_the_host_gets_packets_without_one_around_them() {
    let net = net(true, true);
    let mut director = Director::new(net, Proto::Tcp, IPIP);
    director.engine.set_host(HostView::new([net.own, net.server.ip(), net.vip.ip()]));
    let (verdict, frame) = director.process(&tcp(net.client, net.vip).syn());
    assert_eq!((verdict, frame.encap), (Verdict::Transmit(Egress::Route), None));
}

#[test]
fn resets_of_our_own_go_through_the_tunnel_too() {
    for net in nets() {
        let Net { client, vip, .. } = net;
        let mut director = Director::new(net, Proto::Tcp, IPIP);
        director.encap(&tcp(client, vip).syn().seq(100));
        director.encap(&tcp(client, vip).seq(101).ack(501));
        let later = director.now + Duration::from_secs(3600);
        director.worker.handle_timeout(later);
        let mut frame = Frame::new();
        let mut inside = Vec::new();
        while let Some(egress) = director.worker.next_own(&mut frame) {
            assert_eq!(egress, Egress::Route);
            inside.push((Packet::parse(frame.packet()).expect("a packet").dst, frame.encap.map(|e| e.dst)));
        }
        assert!(inside.contains(&(vip.ip(), Some(net.server.ip()))), "{inside:?}");
        assert!(inside.iter().all(|(to, around)| around.is_some() == (*to == vip.ip())), "{inside:?}");
    }
}

/// An error from the way to the server about what a frame has become.
fn error_about(
    director: &mut Director,
    build: &Build,
    error: impl Fn(IpAddr, IpAddr, &[u8]) -> Build,
) -> Build {
    let mut frame = build.frame();
    assert_eq!(director.worker.process(&mut frame, director.now), Verdict::Transmit(Egress::Route));
    let encap = frame.encap.take().expect("goes inside another packet");
    let mut sent = Vec::new();
    Wrapper::default().wrap(&mut frame, &encap, |outer| sent.push(outer.packet().to_vec())).expect("wraps");
    let router = if encap.src.is_ipv4() { "10.0.0.254" } else { "2001:db8:2::fe" };
    error(router.parse().expect("an address"), encap.src, &sent[0][..sent[0].len().min(500)])
}

#[test]
fn what_a_narrow_link_says_of_the_tunnel_the_client_hears_of_its_own_packet() {
    for net in nets() {
        for (tunnel, more) in [(IPIP, 0), (gre(TunnelChecksum::Full), 8), (gue(TunnelChecksum::None), 12)] {
            let Net { client, vip, server, .. } = net;
            let overhead = more + if server.is_ipv4() { 20 } else { 40 };
            let mut director = Director::new(net, Proto::Udp, tunnel);
            let long = udp(client, vip).payload_len(1380);
            let narrow = |from, to, quote: &[u8]| build::too_big(from, to, 1400, quote);
            let error = error_about(&mut director, &long, narrow);
            assert_eq!(director.too_big(&error), 1400 - overhead);
            // From now on it is known here.
            assert_eq!(director.too_big(&long), 1400 - overhead);
            let fits = 1400 - overhead as usize - if client.is_ipv4() { 28 } else { 48 };
            director.encap(&udp(client, vip).payload_len(fits));
            // For a while.
            director.now += Duration::from_secs(601);
            director.encap(&long);
        }
    }
}

#[test]
fn who_does_not_know_the_tunnel_is_not_believed() {
    let net = net(true, true);
    let mut director = Director::new(net, Proto::Udp, IPIP);
    let long = udp(net.client, net.vip).payload_len(1380);
    let error = error_about(&mut director, &long, |from, to, quote| build::too_big(from, to, 1400, quote));
    let mut forged = error.bytes();
    // Another outer source in the quote.
    forged[28 + 12] ^= 1;
    let mut frame = Frame::from_packet(&forged);
    assert_eq!(director.worker.process(&mut frame, director.now), Verdict::Pass);
    director.encap(&long);
    // Nor is who wants less than every link carries.
    let error = error_about(&mut director, &long, |from, to, quote| build::too_big(from, to, 20, quote));
    assert_eq!(director.too_big(&error), 68);
}

#[test]
fn what_may_be_cut_is_nothing_to_tell_the_client_about() {
    let net = net(true, false);
    let mut director = Director::new(net, Proto::Udp, IPIP);
    let long = udp(net.client, net.vip).payload_len(1380).may_fragment();
    let error = error_about(&mut director, &long, |from, to, quote| build::too_big(from, to, 1400, quote));
    assert_eq!(director.drops(&error), Some(DropReason::IcmpHeeded));
    assert_eq!(director.encap(&long).mtu, 1400, "it is cut to what gets through");
}

#[test]
fn other_errors_about_the_tunnel_reach_the_client() {
    for net in nets() {
        let mut director = Director::new(net, Proto::Tcp, IPIP);
        let error = error_about(&mut director, &tcp(net.client, net.vip).syn(), build::time_exceeded);
        let (verdict, frame) = director.process(&error);
        assert_eq!((verdict, checksum::verify_frame(&frame)), (Verdict::Reply, Ok(())));
        let answer = Packet::parse(frame.packet()).expect("a packet");
        assert_eq!((answer.src, answer.dst), (net.vip.ip(), net.client.ip()));
        assert_eq!(
            answer.l4,
            if net.client.is_ipv4() {
                L4::Icmp { kind: 11, code: 0 }
            } else {
                L4::Icmp6 { kind: 3, code: 0 }
            }
        );
    }
}

#[test]
fn a_tunnel_that_ends_nowhere_refuses_what_is_inside() {
    for (net, proto, refused) in
        nets().into_iter().flat_map(|net| [(net, Proto::Tcp, 1), (net, Proto::Udp, 2)])
    {
        let mut director = Director::new(net, proto, IPIP);
        let live = Arc::clone(&director.engine.services().services().next().expect("it").dests[0].live);
        let first = match proto {
            Proto::Tcp => tcp(net.client, net.vip).syn(),
            _ => udp(net.client, net.vip),
        };
        let late = error_about(&mut director, &first, build::time_exceeded);
        assert_eq!(director.process(&late).0, Verdict::Reply);
        assert_eq!(live.met(), Met::default());
        let error = error_about(&mut director, &first, build::unreachable_port);
        for _ in 0..2 {
            assert_eq!(director.process(&error).0, Verdict::Reply, "the client is told");
        }
        let heard = Met { refused, ..Met::default() };
        assert_eq!(
            live.met(),
            heard,
            "{proto:?}: anybody could have said so, it is no reason to take a server out"
        );
    }
}

#[test]
fn errors_about_the_servers_answers_go_through_the_tunnel() {
    for net in nets() {
        let mut director = Director::new(net, Proto::Tcp, IPIP);
        director.encap(&tcp(net.client, net.vip).syn());
        let answer = tcp(net.vip, net.client).ack(1).payload_len(1400).bytes();
        let router = if net.client.is_ipv4() { "192.0.2.9" } else { "2001:db8:9::9" };
        let router: IpAddr = router.parse().expect("an address");
        director.encap(&build::too_big(router, net.vip.ip(), 1300, &answer[..500]));
    }
}
