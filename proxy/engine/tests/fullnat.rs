//! FullNAT byte by byte: both addresses are rewritten on either leg, errors with what they quote, and ports of the
//! local address are taken, given back, and run out.

#[path = "end_all/mod.rs"]
mod end_all;
#[path = "foreseen/mod.rs"]
mod foreseen;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{DropReason, Egress, Engine, HostView, Knobs, Limits, Verdict, Worker};
use sched::marks::Prefix;
use sched::{DestSpec, ForwardMethod, OnDown, Op, Path, Proto, ServiceKey, ServiceSpec, Trash};
use wire::build::{Build, tcp, time_exceeded, udp, unreachable_port};
use wire::checksum;
use wire::frame::Frame;
use wire::packet::Packet;

use end_all::end_all;
use foreseen::foresee;

const SENT: Verdict = Verdict::Transmit(Egress::Route);

/// Who takes part, in one family.
#[derive(Clone, Copy)]
struct Net {
    client: SocketAddr,
    vip: SocketAddr,
    server: SocketAddr,
    lip: IpAddr,
    router: IpAddr,
}

fn nets() -> [Net; 2] {
    let net = |[client, vip, server]: [&str; 3], [lip, router]: [&str; 2]| Net {
        client: client.parse().expect("an address and a port"),
        vip: vip.parse().expect("an address and a port"),
        server: server.parse().expect("an address and a port"),
        lip: lip.parse().expect("an address"),
        router: router.parse().expect("an address"),
    };
    [
        net(["198.51.100.10:4000", "203.0.113.1:80", "10.0.0.11:8080"], ["10.0.0.1", "192.0.2.9"]),
        net(
            ["[2001:db8:1::10]:4000", "[2001:db8:ff::1]:80", "[2001:db8:2::11]:8080"],
            ["2001:db8:2::1", "2001:db8:9::9"],
        ),
    ]
}

struct Director {
    net: Net,
    engine: Engine,
    worker: Worker,
    now: Instant,
}

impl Director {
    fn new(net: Net, proto: Proto, ports: &[u16]) -> Self {
        Self::by(ForwardMethod::FullNat, net, proto, ports)
    }

    fn by(method: ForwardMethod, net: Net, proto: Proto, ports: &[u16]) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(5, Limits::default(), 1, now);
        engine.set_local_ports(ports, ports);
        let dest = DestSpec { method, ..DestSpec::new(net.server) };
        let service =
            ServiceSpec { dests: vec![dest], ..ServiceSpec::new(ServiceKey::addr(proto, net.vip), "rr") };
        let table = engine.services().apply(&mut Trash::default(), &[Op::AddService { service }]);
        let table = table.expect("a legal edit");
        for service in table.services() {
            let path = Path { device: 1, next_hop: net.server.ip(), source: Some(net.lip) };
            service.dests[0].live.set_path(Some(path));
        }
        engine.set_services(Arc::new(table));
        Self { net, engine, worker: workers.remove(0), now }
    }

    /// What becomes of a frame, whose checksums have to be right afterwards.
    fn process(&mut self, build: &Build) -> (Verdict, Frame) {
        let mut frame = build.frame();
        let foreseen = foresee(&self.engine, &self.worker, &frame, self.now, 2);
        let verdict = self.worker.process(&mut frame, self.now);
        foreseen.comes_true(verdict, &frame, &[]);
        if !matches!(verdict, Verdict::Drop(_)) {
            assert_eq!(checksum::verify_frame(&frame), Ok(()), "{verdict:?}");
        }
        (verdict, frame)
    }

    fn gives(&mut self, input: &Build, output: &Build) {
        let (verdict, frame) = self.process(input);
        assert_eq!(verdict, SENT);
        assert_eq!(frame.packet(), output.frame().packet());
    }

    /// The local port that a client's SYN leaves from.
    fn syn(&mut self, port: u16) -> Result<u16, DropReason> {
        let client = SocketAddr::new(self.net.client.ip(), port);
        let (verdict, frame) = self.process(&tcp(client, self.net.vip).syn());
        match verdict {
            Verdict::Drop(reason) => Err(reason),
            _ => Ok(Packet::parse(frame.packet()).expect("a packet").ports().expect("ports").0),
        }
    }

    fn taken(&self) -> Vec<(usize, usize)> {
        let mut pools = Vec::new();
        self.engine.local_ports_in_use(|pool| pools.push((pool.taken, pool.all)));
        pools
    }
}

#[test]
fn both_addresses_are_rewritten_on_both_legs() {
    for net in nets() {
        let Net { client, vip, server, lip, .. } = net;
        let local = SocketAddr::new(lip, 7000);
        let mut director = Director::new(net, Proto::Tcp, &[7000]);
        director.gives(&tcp(client, vip).syn(), &tcp(local, server).syn().ttl(65));
        director.gives(&tcp(server, local).syn().ack(1), &tcp(vip, client).syn().ack(1).ttl(65));
        for gso in [0, 1400] {
            let data = |from, to| tcp(from, to).ack(9).payload_len(3000).gso(gso);
            director.gives(&data(client, vip), &data(local, server).ttl(65));
            director.gives(&data(server, local), &data(vip, client).ttl(65));
            let partial = |from, to| tcp(from, to).ack(9).payload_len(900).partial();
            director.gives(&partial(client, vip), &partial(local, server).ttl(65));
        }
        let mut director = Director::new(net, Proto::Udp, &[7000]);
        director.gives(&udp(client, vip).payload(b"ask"), &udp(local, server).payload(b"ask").ttl(65));
        director.gives(&udp(server, local).payload(b"say"), &udp(vip, client).payload(b"say").ttl(65));
    }
}

#[test]
fn errors_are_translated_with_what_they_quote() {
    for net in nets() {
        let Net { client, vip, server, lip, router } = net;
        let local = SocketAddr::new(lip, 7000);
        let mut director = Director::new(net, Proto::Udp, &[7000]);
        director.gives(&udp(client, vip).payload(b"ask"), &udp(local, server).payload(b"ask").ttl(65));
        let (sent, known) =
            (udp(local, server).payload(b"ask").bytes(), udp(client, vip).payload(b"ask").bytes());
        for from in [server.ip(), router] {
            director.gives(
                &time_exceeded(from, lip, &sent),
                &time_exceeded(vip.ip(), client.ip(), &known).ttl(65),
            );
        }
        // About a reply: the server knows only the local address.
        let (sent, known) =
            (udp(vip, client).payload(b"say").bytes(), udp(server, local).payload(b"say").bytes());
        director.gives(
            &unreachable_port(router, vip.ip(), &sent),
            &unreachable_port(lip, server.ip(), &known).ttl(65),
        );
    }
}

#[test]
fn ports_run_out_by_name_and_come_back_with_the_end_of_a_connection() {
    for net in nets() {
        let mut director = Director::new(net, Proto::Tcp, &[7000, 7001]);
        let mut ports = [director.syn(1).expect("a port"), director.syn(2).expect("a port")];
        ports.sort_unstable();
        assert_eq!((ports, director.taken()), ([7000, 7001], vec![(2, 2)]));
        assert_eq!(director.syn(3), Err(DropReason::PortsExhausted));
        assert_eq!(director.syn(1), Ok(director.syn(1).expect("the same")), "a known flow keeps its port");
        director.now += Duration::from_secs(3600);
        while let Some(due) = director.worker.poll_timeout().filter(|due| *due <= director.now) {
            director.worker.handle_timeout(due.max(director.now));
        }
        assert_eq!(director.taken(), []);
        assert!(director.syn(3).is_ok());
    }
}

/// Rather than none at all, a new connection gets the port of one that is over and only remembered.
#[test]
fn the_port_of_a_connection_that_is_over_is_there_when_it_is_needed() {
    for net in nets() {
        let mut director = Director::new(net, Proto::Tcp, &[7000, 7001]);
        let client = |port| SocketAddr::new(net.client.ip(), port);
        let local = |port| SocketAddr::new(net.lip, port);
        let ports = [1, 2].map(|n| director.syn(n).expect("a port"));
        let ends = |director: &mut Director, n, port| {
            for (from, to) in [(client(n), net.vip), (net.server, local(port))] {
                assert_eq!(director.process(&tcp(from, to).fin().ack(9)).0, SENT);
            }
            assert_eq!(director.process(&tcp(client(n), net.vip).ack(10)).0, SENT);
        };
        for (n, port) in [(1, ports[0]), (2, ports[1])] {
            assert_eq!(director.process(&tcp(net.server, local(port)).syn().ack(1)).0, SENT);
            assert_eq!(director.process(&tcp(client(n), net.vip).ack(1)).0, SENT);
        }
        assert_eq!(director.syn(3), Err(DropReason::PortsExhausted), "both are in use");
        ends(&mut director, 2, ports[1]);
        ends(&mut director, 1, ports[0]);
        let mut resting = Vec::new();
        director.engine.local_ports_in_use(|ports| resting.push((ports.taken, ports.resting)));
        assert_eq!(resting, [(2, 2)]);
        // The second has ended first. The first goes on: its client begins anew.
        assert_eq!(director.syn(3), Ok(ports[1]));
        assert_eq!(director.syn(1), Ok(ports[0]));
        assert_eq!(director.syn(4), Err(DropReason::PortsExhausted));
        assert_eq!(director.engine.connections_held(), 2);
    }
}

#[test]
fn the_server_is_reset_from_the_address_that_it_knows() {
    for net in nets() {
        let local = SocketAddr::new(net.lip, 7000);
        let mut director = Director::new(net, Proto::Tcp, &[7000]);
        assert_eq!(director.process(&tcp(net.client, net.vip).seq(100).syn()).0, SENT);
        assert_eq!(director.process(&tcp(net.server, local).seq(900).syn().ack(101)).0, SENT);
        assert_eq!(director.process(&tcp(net.client, net.vip).seq(101).ack(901)).0, SENT);
        let service = director.engine.services().services().next().map(Arc::clone).expect("a service");
        assert_eq!(end_all(&director.engine, &service.dests[0].live, OnDown::Reset), 1);
        director.worker.handle_timeout(director.now);
        let mut resets = Vec::new();
        let mut frame = Frame::new();
        while director.worker.next_own(&mut frame).is_some() {
            let packet = Packet::parse(frame.packet()).expect("a packet");
            let (from, to) = packet.ports().expect("ports");
            resets.push((SocketAddr::new(packet.src, from), SocketAddr::new(packet.dst, to)));
        }
        resets.dedup();
        assert_eq!(resets, [(net.vip, net.client), (local, net.server)]);
    }
}

#[test]
fn without_an_address_of_the_family_nothing_is_sent() {
    let [v4, v6] = nets();
    let mut director = Director::new(Net { lip: v6.lip, ..v4 }, Proto::Tcp, &[7000]);
    assert_eq!(director.syn(1), Err(DropReason::NoLocalAddress));
    assert_eq!(director.engine.connections_held(), 0);
}

#[test]
fn a_pool_is_used_evenly_and_to_its_last_port() {
    for net in nets() {
        let mut director = Director::new(net, Proto::Tcp, &[7000, 7001, 7002, 7003]);
        let lips: [IpAddr; 3] = match net.lip {
            IpAddr::V4(_) => ["10.0.0.5", "10.0.0.6", "10.0.0.7"],
            IpAddr::V6(_) => ["2001:db8:2::5", "2001:db8:2::6", "2001:db8:2::7"],
        }
        .map(|lip| lip.parse().expect("an address"));
        let key = Some(ServiceKey::addr(Proto::Tcp, net.vip));
        let ops = lips.map(|lip| Op::AddLip { key, lip });
        let table = director.engine.services().apply(&mut Trash::default(), &ops).expect("legal edits");
        director.engine.set_services(Arc::new(table));
        let mut used = Vec::new();
        for port in 1..=12 {
            let client = SocketAddr::new(net.client.ip(), port);
            let (verdict, frame) = director.process(&tcp(client, net.vip).syn());
            assert_eq!(verdict, SENT, "{port}");
            let packet = Packet::parse(frame.packet()).expect("a packet");
            used.push((packet.src, packet.ports().expect("ports").0));
            if port == 6 {
                let of = |lip: &IpAddr| used.iter().filter(|(used, _)| used == lip).count();
                assert!(
                    lips.iter().filter(|lip| of(lip) > 0).count() > 1,
                    "more than one takes part: {used:?}"
                );
            }
        }
        used.sort_unstable();
        let all = lips.iter().flat_map(|lip| (7000..=7003).map(|port| (*lip, port)));
        assert_eq!(used, all.collect::<Vec<_>>());
        assert_eq!(director.syn(13), Err(DropReason::PortsExhausted));
        let mut refused = Vec::new();
        director.engine.local_ports_in_use(|pool| refused.push((pool.taken, pool.refused > 0)));
        assert_eq!(refused, [(4, true); 3]);
    }
}

#[test]
fn a_local_address_of_nobody_is_answered_for_as_a_vip_is() {
    for net in nets() {
        let mut director = Director::new(net, Proto::Tcp, &[7000]);
        let stray = tcp(net.server, SocketAddr::new(net.router, 7)).ack(1);
        assert_eq!(director.process(&stray).0, Verdict::Pass);
        let ops = [Op::AddLip { key: None, lip: net.router }];
        let table = director.engine.services().apply(&mut Trash::default(), &ops).expect("a legal edit");
        director.engine.set_services(Arc::new(table));
        assert_eq!(director.process(&stray).0, Verdict::Reply, "a reset");
        director.engine.set_host(HostView::new([net.router]));
        assert_eq!(director.process(&stray).0, Verdict::Pass, "the host's own business");
    }
}

#[test]
fn a_port_that_is_in_use_from_before_is_passed_over() {
    let [net, _] = nets();
    let mut director = Director::new(net, Proto::Tcp, &[7000, 7001]);
    let before = director.syn(1).expect("a port");
    director.engine.set_local_ports(&[before, 7002], &[]);
    assert_eq!(director.syn(2), Ok(7002));
    assert_eq!(director.syn(3), Err(DropReason::PortsExhausted));
}

#[test]
fn clients_whom_a_server_would_answer_straight_reach_it_by_fullnat() {
    for net in nets() {
        let link = |len| Prefix::new(net.lip, len).expect("a prefix");
        let beside = |host: u8| match net.server.ip() {
            IpAddr::V4(ip) => {
                SocketAddr::new([ip.octets()[0], ip.octets()[1], ip.octets()[2], host].into(), 4000)
            }
            IpAddr::V6(ip) => {
                let mut octets = ip.octets();
                octets[15] = host;
                SocketAddr::new(octets.into(), 4000)
            }
        };
        let itself = SocketAddr::new(net.server.ip(), 4000);
        let own = SocketAddr::new(net.lip, 4000);
        let len = if net.lip.is_ipv4() { 24 } else { 64 };
        for proto in [Proto::Tcp, Proto::Udp] {
            let mut director =
                Director::by(ForwardMethod::Masq, net, proto, &(7000..7009).collect::<Vec<_>>());
            director.engine.set_host(HostView::new([net.lip]).with_links([link(len)]));
            let peer = |director: &mut Director, client: SocketAddr| {
                let build = match proto {
                    Proto::Udp => udp(client, net.vip).payload(b"ask"),
                    _ => tcp(client, net.vip).syn(),
                };
                let (verdict, frame) = director.process(&build);
                assert_eq!(verdict, SENT);
                let packet = Packet::parse(frame.packet()).expect("a packet");
                assert_eq!(packet.dst, net.server.ip());
                packet.src
            };
            assert_eq!(peer(&mut director, net.client), net.client.ip(), "from elsewhere");
            assert_eq!(peer(&mut director, own), net.lip, "the host itself");
            for client in [itself, beside(99)] {
                assert_eq!(peer(&mut director, client), net.lip, "{client}");
            }
            if proto == Proto::Udp {
                let mut taken = Vec::new();
                director.engine.local_ports_in_use(|ports| taken.push(ports.taken));
                assert_eq!(taken, [2], "neither the host nor the one from elsewhere");
            }
            let knobs = Knobs { hairpin: false, ..director.engine.knobs() };
            director.engine.set_knobs(knobs);
            for client in [SocketAddr::new(itself.ip(), 4001), beside(98)] {
                assert_eq!(peer(&mut director, client), client.ip(), "{client}");
            }
        }
    }
}

#[test]
fn behind_a_router_those_of_a_usual_subnet_speak_to_each_other() {
    for net in nets() {
        let mut director = Director::by(ForwardMethod::Masq, net, Proto::Tcp, &[7000]);
        let (near, far) = match net.server.ip() {
            IpAddr::V4(_) => ("10.0.0.99", "10.0.1.99"),
            IpAddr::V6(_) => ("2001:db8:2::99", "2001:db8:2:1::99"),
        };
        let seen = |director: &mut Director, client: &str, port| {
            let client = SocketAddr::new(client.parse().expect("an address"), port);
            let (verdict, frame) = director.process(&tcp(client, net.vip).syn());
            assert_eq!(verdict, SENT);
            Packet::parse(frame.packet()).expect("a packet").src.to_string()
        };
        assert_eq!(seen(&mut director, near, 1), near, "on a link that is not this host's");
        let table = director.engine.services();
        let live = &table.services().next().expect("a service").dests[0].live;
        let path = Path { device: 1, next_hop: net.router, source: Some(net.lip) };
        live.set_path(Some(path));
        assert_eq!(seen(&mut director, near, 2), net.lip.to_string());
        assert_eq!(seen(&mut director, far, 3), far);
    }
}

#[test]
fn the_answer_to_a_server_that_asked_its_own_vip_comes_from_the_vip() {
    for net in nets() {
        let (client, local) = (SocketAddr::new(net.server.ip(), 4000), SocketAddr::new(net.lip, 7000));
        let mut director = Director::by(ForwardMethod::Masq, net, Proto::Tcp, &[7000]);
        director.gives(&tcp(client, net.vip).syn(), &tcp(local, net.server).syn().ttl(65));
        director.gives(&tcp(net.server, local).syn().ack(1), &tcp(net.vip, client).syn().ack(1).ttl(65));
    }
}
