//! Flows that go to one given server: checks by the VIP.

#[path = "end_all/mod.rs"]
mod end_all;
#[path = "foreseen/mod.rs"]
mod foreseen;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Aimed, Egress, Engine, HostView, Limits, Part, Verdict, Worker};
use sched::{
    DestKey, DestSpec, Fitness, ForwardMethod, Netmask, OnDown, Op, Path, Persistence, Proto, ServiceKey,
    ServiceSpec, Share, Trash, Weight,
};
use wire::build::{Build, tcp, udp};
use wire::frame::Frame;
use wire::packet::Packet;

use end_all::end_all;
use foreseen::foresee;

struct Director {
    engine: Engine,
    worker: Worker,
    trash: Trash,
    now: Instant,
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

/// The host itself asks.
fn asker(port: u16) -> SocketAddr {
    SocketAddr::new(at("10.0.0.1:0").ip(), port)
}

fn vip() -> SocketAddr {
    at("203.0.113.1:80")
}

/// The one that is asked. Round robin would choose the other one first.
fn asked() -> DestKey {
    at("10.0.0.11:80")
}

fn other() -> DestKey {
    at("10.0.0.12:80")
}

impl Director {
    fn new(method: ForwardMethod, settings: impl FnOnce(ServiceSpec) -> ServiceSpec) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(3, Limits::default(), 1, now);
        engine.set_host(HostView::new([asker(0).ip()]));
        let dests = [asked(), other()].map(|server| DestSpec { method, ..DestSpec::new(server) }).to_vec();
        let service = ServiceSpec { dests, ..ServiceSpec::new(key(Proto::Tcp), "rr") };
        let mut director = Self { engine, worker: workers.remove(0), trash: Trash::default(), now };
        director.apply(Op::AddService { service: settings(service) });
        for service in director.engine.services().services() {
            for dest in service.dests.iter() {
                let next_hop = dest.live.key.ip();
                dest.live.set_path(Some(Path { device: 2, next_hop, source: Some(asker(0).ip()) }));
            }
        }
        director
    }

    fn apply(&mut self, op: Op) {
        let table = self.engine.services().apply(&mut self.trash, &[op]).expect("a legal edit");
        self.engine.set_services(Arc::new(table));
    }

    fn fit(&mut self, share: Share) {
        let service = self.engine.services().services().next().expect("it").key;
        let fitness = Fitness { share, weight: None };
        self.apply(Op::SetFitness { key: service, addr: asked(), fitness });
    }

    fn aim(&self, proto: Proto, port: u16) -> Aimed {
        self.engine.aim((proto, asker(port), vip()), key(proto), asked()).expect("nobody else's")
    }

    fn process(&mut self, build: &Build) -> (Verdict, Frame) {
        let mut frame = build.frame();
        let foreseen = foresee(&self.engine, &self.worker, &frame, self.now, 1);
        let verdict = self.worker.process(&mut frame, self.now);
        foreseen.comes_true(verdict, &frame, &[]);
        (verdict, frame)
    }

    /// The server that a packet goes to.
    fn reached(&mut self, build: &Build) -> Option<std::net::IpAddr> {
        match self.process(build) {
            (Verdict::Transmit(Egress::Neighbour { next_hop, .. }), _) => Some(next_hop),
            (Verdict::Transmit(_), frame) => Some(Packet::parse(frame.packet()).expect("a packet").dst),
            _ => None,
        }
    }
}

fn key(proto: Proto) -> ServiceKey {
    ServiceKey::addr(proto, vip())
}

#[test]
fn a_check_reaches_the_server_that_it_asks_in_force_or_not_and_clients_do_not() {
    let methods = [ForwardMethod::Masq, ForwardMethod::Route];
    for (method, share) in
        methods.into_iter().flat_map(|m| [Share::In, Share::Inhibited, Share::Out].map(|s| (m, s)))
    {
        let mut director = Director::new(method, |service| service);
        director.fit(share);
        for port in 5000..5004 {
            let aimed = director.aim(Proto::Tcp, port);
            assert!(!aimed.has_begun());
            assert_eq!(director.reached(&tcp(asker(port), vip()).syn()), Some(asked().ip()), "{share:?}");
            assert!(aimed.has_begun());
        }
        if share != Share::In {
            let client = |port| SocketAddr::new(at("198.51.100.9:0").ip(), port);
            for port in 1..4 {
                assert_eq!(director.reached(&tcp(client(port), vip()).syn()), Some(other().ip()));
                assert_eq!(director.reached(&tcp(asker(port), vip()).syn()), Some(other().ip()));
            }
        }
    }
}

#[test]
fn a_persistent_service_remembers_nothing_of_it() {
    let persistence = Persistence { timeout: 50, mask: Netmask::full(sched::Family::Ipv4) };
    let mut director = Director::new(ForwardMethod::Masq, |service| ServiceSpec {
        persistence: Some(persistence),
        ..service
    });
    assert_eq!(director.reached(&tcp(asker(1), vip()).syn()), Some(other().ip()), "newest first");
    let _aimed = director.aim(Proto::Tcp, 2);
    assert_eq!(director.reached(&tcp(asker(2), vip()).syn()), Some(asked().ip()));
    assert_eq!(director.reached(&tcp(asker(3), vip()).syn()), Some(other().ip()));
}

#[test]
fn datagrams_that_are_scheduled_one_by_one_are_aimed_one_by_one() {
    let mut director = Director::new(ForwardMethod::Masq, |service| ServiceSpec {
        key: key(Proto::Udp),
        one_packet: true,
        ..service
    });
    let _aimed = director.aim(Proto::Udp, 7);
    for _ in 0..3 {
        assert_eq!(director.reached(&udp(asker(7), vip())), Some(asked().ip()));
    }
    let (verdict, frame) = director.process(&udp(asked(), asker(7)));
    assert_eq!(verdict, Verdict::Transmit(Egress::Route));
    assert_eq!(Packet::parse(frame.packet()).expect("a packet").src, vip().ip());
}

#[test]
fn what_the_same_ports_have_left_behind_does_not_answer_for_it() {
    for proto in [Proto::Udp, Proto::Tcp] {
        let mut director =
            Director::new(ForwardMethod::Route, |service| ServiceSpec { key: key(proto), ..service });
        let first = |port| match proto {
            Proto::Tcp => tcp(asker(port), vip()).syn(),
            _ => udp(asker(port), vip()),
        };
        assert_eq!(director.reached(&first(7)), Some(other().ip()), "newest first");
        let held = director.engine.connections_held();
        let aimed = director.aim(proto, 7);
        for _ in 0..2 {
            assert_eq!(director.reached(&first(7)), Some(asked().ip()), "{proto:?}");
        }
        assert_eq!(director.engine.connections_held(), held);
        drop(aimed);
        assert_eq!(director.engine.connections_held(), held - 1, "{proto:?}: nothing is left of it");
        assert_eq!(director.engine.counters().expired, 2);
        assert_eq!(director.reached(&first(8)), Some(asked().ip()), "the turn is where it was");
        let _aimed = director.aim(proto, 8);
        assert_eq!(director.reached(&first(8)), Some(asked().ip()));
    }
}

#[test]
fn what_was_established_ends_as_it_does_for_any_client() {
    let mut director = Director::new(ForwardMethod::Masq, |service| service);
    let aimed = director.aim(Proto::Tcp, 7);
    assert_eq!(director.reached(&tcp(asker(7), vip()).syn()), Some(asked().ip()));
    let _ = director.process(&tcp(asked(), asker(7)).syn().ack(1));
    assert_eq!(director.reached(&tcp(asker(7), vip()).ack(1)), Some(asked().ip()));
    drop(aimed);
    assert_eq!(
        director.reached(&tcp(asker(7), vip()).ack(1).fin()),
        Some(asked().ip()),
        "the server hears of it"
    );
}

#[test]
fn while_it_asks_no_other_server_answers_for_a_dead_one() {
    let mut director = Director::new(ForwardMethod::Route, |service| service);
    let aimed = director.aim(Proto::Tcp, 5000);
    let syn = tcp(asker(5000), vip()).syn();
    assert_eq!(director.reached(&syn), Some(asked().ip()));
    let table = director.engine.services();
    let live = &table.get(&key(Proto::Tcp)).expect("it").find(&asked()).expect("the server").live;
    director.fit(Share::Out);
    live.set_down(true);
    assert_eq!(end_all(&director.engine, live, OnDown::Reset), 1);
    director.worker.handle_timeout(director.now);
    for _ in 0..3 {
        director.now += Duration::from_millis(600);
        assert_eq!(director.reached(&syn), Some(asked().ip()));
    }
    drop(aimed);
    assert_eq!(director.reached(&syn), Some(other().ip()), "it asks no more");
}

#[test]
fn a_flow_has_one_aim_and_may_have_another_later() {
    let director = Director::new(ForwardMethod::Route, |service| service);
    let again = || director.engine.aim((Proto::Tcp, asker(1), vip()), key(Proto::Tcp), other());
    let aimed = director.aim(Proto::Tcp, 1);
    assert!(again().is_none());
    let _other = director.aim(Proto::Tcp, 2);
    drop(aimed);
    assert!(again().is_some());
}

#[test]
fn a_server_that_is_gone_is_nobody() {
    let mut director = Director::new(ForwardMethod::Route, |service| service);
    for op in [
        Op::DelDest { key: key(Proto::Tcp), addr: asked() },
        Op::AddDest { key: key(Proto::Tcp), dest: DestSpec { weight: Weight(0), ..DestSpec::new(asked()) } },
    ] {
        let there = matches!(op, Op::AddDest { .. });
        director.apply(op);
        let _aimed = director.aim(Proto::Tcp, 5000);
        let expected = there.then(|| asked().ip());
        assert_eq!(director.reached(&tcp(asker(5000), vip()).syn()), expected);
        let mut listed = Vec::new();
        director.engine.for_each_connection(director.now, Part::ALL, |conn| listed.push(conn.dest));
        assert_eq!(listed, Vec::from_iter(there.then(asked)), "it is listed like a client's");
    }
}
