//! Fronts: connections that end at the director. Whom the service sends them to, what is kept about them, and what is
//! diverted.

#[path = "end_all/mod.rs"]
mod end_all;
#[path = "foreseen/mod.rs"]
mod foreseen;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{
    Connection, Diverted, DropReason, Engine, FrontConn, FrontEnd, FrontRefusal, FrontSide, FrontWay,
    HostView, Limits, Part, Speaker, State, Verdict, Worker,
};
use sched::{
    CertFiles, DestKey, DestLive, DestSpec, Direction, Met, Netmask, OnDown, Op, Path, Persistence, Proto,
    ServiceKey, ServiceSpec, TlsFront, TlsStack, Trash,
};
use wire::build::{Build, tcp};

use end_all::end_all;
use foreseen::foresee;

const TRANSPARENT: FrontWay = FrontWay::Userspace { speaker: Speaker::Client, owner: 3 };
const OURS: FrontWay = FrontWay::Userspace { speaker: Speaker::Local, owner: 3 };

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn client(n: u16) -> SocketAddr {
    at(&format!("198.51.100.10:{n}"))
}

fn vip() -> SocketAddr {
    at("203.0.113.1:443")
}

fn key() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, vip())
}

struct Director {
    engine: Engine,
    worker: Worker,
    now: Instant,
    trash: Trash,
}

impl Director {
    /// With a front on `stack` and two servers.
    fn new(stack: TlsStack, settings: impl FnOnce(ServiceSpec) -> ServiceSpec) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(7, Limits::default(), 1, now);
        engine.set_host(HostView::new([]));
        let cert = CertFiles { cert: "site.crt".into(), key: "site.key".into(), ocsp: None };
        let tls = TlsFront { stack, ..TlsFront::new(cert) };
        let dests = ["10.0.0.11:80", "10.0.0.12:80"].map(|server| DestSpec::new(at(server))).to_vec();
        let service = ServiceSpec { dests, tls: Some(Arc::new(tls)), ..ServiceSpec::new(key(), "rr") };
        let mut director = Self { engine, worker: workers.remove(0), now, trash: Trash::default() };
        director.apply(Op::AddService { service: settings(service) });
        for service in director.engine.services().services() {
            for dest in service.dests.iter() {
                let source = Some("10.0.0.1".parse().expect("an address"));
                dest.live.set_path(Some(Path { device: 1, next_hop: dest.live.key.ip(), source }));
            }
        }
        director
    }

    fn apply(&mut self, op: Op) {
        let table = self.engine.services().apply(&mut self.trash, &[op]);
        self.engine.set_services(Arc::new(table.expect("a legal edit")));
    }

    fn open(&mut self, n: u16, way: FrontWay) -> FrontConn {
        self.worker.open_front(&key(), way, (client(n), vip()), &[], self.now).expect("a server")
    }

    fn live(&self, server: DestKey) -> Arc<DestLive> {
        let table = self.engine.services();
        let dests = &table.get(&key()).expect("the service").dests;
        Arc::clone(&dests.iter().find(|dest| dest.live.key == server).expect("the server").live)
    }

    fn process(&mut self, build: &Build) -> Verdict {
        let mut frame = build.frame();
        let foreseen = foresee(&self.engine, &self.worker, &frame, self.now, 1);
        let verdict = self.worker.process(&mut frame, self.now);
        foreseen.comes_true(verdict, &frame, &[]);
        verdict
    }

    fn listed(&self) -> Vec<Connection> {
        let mut all = Vec::new();
        self.engine.for_each_connection(self.now, Part::ALL, |conn| all.push(conn));
        all
    }

    fn state(&self) -> State {
        let all = self.listed();
        assert_eq!(all.len(), 1);
        all[0].state
    }

    /// Active and inactive connections of the servers, in the order of the list.
    fn load(&self) -> Vec<(u32, u32)> {
        let table = self.engine.services();
        let service = table.get(&key()).expect("the service");
        let loads = service.dests.iter().map(|dest| {
            let spec = &dest.live;
            (
                spec.active.load(std::sync::atomic::Ordering::Relaxed),
                spec.inactive.load(std::sync::atomic::Ordering::Relaxed),
            )
        });
        loads.collect()
    }

    /// Lets time pass.
    fn wait(&mut self, time: Duration) {
        self.now += time;
        while self.worker.poll_timeout().is_some_and(|due| due <= self.now) {
            self.worker.handle_timeout(self.now);
        }
    }
}

#[test]
fn the_scheduler_chooses_and_counts_as_for_any_other_connection() {
    let mut director = Director::new(TlsStack::Kernel, |service| service);
    let fronts: Vec<_> = (1..=4).map(|n| director.open(n, FrontWay::Kernel)).collect();
    let servers: Vec<_> = fronts.iter().map(|front| front.dest().ip().to_string()).collect();
    assert_eq!(servers, ["10.0.0.12", "10.0.0.11", "10.0.0.12", "10.0.0.11"]);
    for front in &fronts {
        director.worker.front_connected(front, Duration::from_millis(1), director.now);
    }
    assert_eq!(director.load(), [(2, 0), (2, 0)]);
    assert_eq!(director.listed().len(), 4);
}

#[test]
fn a_connection_of_the_hosts_tcp_has_the_states_that_its_packets_would_have_made() {
    for (how, then) in [
        (FrontEnd::Closed, State::TimeWait),
        (FrontEnd::Reset, State::Close),
        (FrontEnd::Refused, State::Close),
    ] {
        let mut director = Director::new(TlsStack::Kernel, |service| service);
        let front = director.open(1, FrontWay::Kernel);
        assert_eq!(director.state(), State::SynRecv);
        if how != FrontEnd::Refused {
            director.worker.front_connected(&front, Duration::from_millis(1), director.now);
            assert_eq!(director.state(), State::Established);
            director.worker.front_moved(&front, Direction::In, 100, director.now);
            director.worker.front_moved(&front, Direction::Out, 3000, director.now);
        }
        director.worker.front_ended(&front, how, director.now);
        assert_eq!(director.state(), then, "{how:?}");
        drop(front);
        director.wait(Duration::from_secs(121));
        assert_eq!(director.listed().len(), 0);
        let counts = director.engine.services().get(&key()).expect("the service").live.stats.read();
        let bytes = if how == FrontEnd::Refused { (0, 0) } else { (100, 3000) };
        assert_eq!((counts.in_bytes, counts.out_bytes), bytes);
        assert_eq!(counts.conns, 1);
    }
}

#[test]
fn one_that_is_held_stays_however_long_it_is_idle() {
    let mut director = Director::new(TlsStack::Kernel, |service| service);
    let front = director.open(1, FrontWay::Kernel);
    director.worker.front_connected(&front, Duration::from_millis(1), director.now);
    for _ in 0..30 {
        director.wait(Duration::from_secs(120));
    }
    assert_eq!(director.state(), State::Established);
    drop(front);
    director.wait(Duration::from_secs(61));
    assert_eq!(director.listed().len(), 0);
}

#[test]
fn a_client_comes_back_to_its_server_and_shares_it_with_its_other_connections() {
    let full = Netmask::full(sched::Family::Ipv4);
    let persistence = Some(Persistence { timeout: 300, mask: full });
    let mut director = Director::new(TlsStack::Kernel, |service| ServiceSpec { persistence, ..service });
    let fronts: Vec<_> = (1..=5).map(|n| director.open(n, FrontWay::Kernel)).collect();
    assert!(fronts.iter().all(|front| front.dest() == fronts[0].dest()));
}

#[test]
fn whoever_has_refused_is_not_asked_again() {
    let mut director = Director::new(TlsStack::Kernel, |service| service);
    let mut avoid = Vec::new();
    for _ in 0..2 {
        let front = director
            .worker
            .open_front(&key(), FrontWay::Kernel, (client(1), vip()), &avoid, director.now)
            .expect("a server");
        assert!(!avoid.contains(&front.dest()));
        avoid.push(front.dest());
        director.worker.front_ended(&front, FrontEnd::Refused, director.now);
    }
    let last = director.worker.open_front(&key(), FrontWay::Kernel, (client(1), vip()), &avoid, director.now);
    assert_eq!(last.err(), Some(FrontRefusal::Nobody));
    director.apply(Op::DelService { key: key() });
    let none = director.worker.open_front(&key(), FrontWay::Kernel, (client(1), vip()), &[], director.now);
    assert_eq!(none.err(), Some(FrontRefusal::NoService));
}

#[test]
fn a_front_may_ask_a_service_of_another_port_for_a_server() {
    let mut director = Director::new(TlsStack::Kernel, |service| service);
    let other = ServiceKey::addr(Proto::Tcp, at("203.0.113.1:8443"));
    let dests = vec![DestSpec::new(at("10.0.0.13:8080"))];
    director.apply(Op::AddService { service: ServiceSpec { dests, ..ServiceSpec::new(other, "rr") } });
    let front = director.worker.open_front(&other, FrontWay::Kernel, (client(1), vip()), &[], director.now);
    assert_eq!(front.expect("a server").server(), at("10.0.0.13:8080"));
}

#[test]
fn packets_of_the_hosts_fronts_are_the_hosts() {
    let mut director = Director::new(TlsStack::Kernel, |service| service);
    assert_eq!(director.process(&tcp(client(1), vip()).syn()), Verdict::Pass);
    let _front = director.open(1, FrontWay::Kernel);
    assert_eq!(director.process(&tcp(client(1), vip())), Verdict::Pass);
}

#[test]
fn packets_of_our_fronts_are_diverted_from_both_sides() {
    let mut director = Director::new(TlsStack::Userspace, |service| service);
    let diverted = |side, owner| Verdict::Divert(Diverted { side, owner });
    assert_eq!(director.process(&tcp(client(1), vip()).syn()), diverted(FrontSide::Client, None));
    assert_eq!(director.listed().len(), 0, "no server yet");
    for (n, way) in [(1, TRANSPARENT), (2, OURS)] {
        let front = director.open(n, way);
        let peer: IpAddr = if way == TRANSPARENT { client(n).ip() } else { "10.0.0.1".parse().unwrap() };
        assert_eq!(front.peer().ip(), peer);
        assert_eq!(director.process(&tcp(client(n), vip())), diverted(FrontSide::Client, Some(3)));
        let answer = tcp(front.server(), front.peer()).syn().ack(1);
        assert_eq!(director.process(&answer), diverted(FrontSide::Server, Some(3)));
        let router: IpAddr = "198.51.100.1".parse().unwrap();
        let said = tcp(vip(), client(n)).payload_len(1400).bytes();
        let too_big = wire::build::too_big(router, vip().ip(), 1280, &said);
        assert_eq!(director.process(&too_big), diverted(FrontSide::Client, Some(3)));
        drop(front);
    }
    let counters = director.engine.counters();
    assert_eq!((counters.received, counters.diverted), (7, 7));
}

#[test]
fn one_whose_server_goes_is_told_and_one_whose_front_goes_is_not() {
    let mut director = Director::new(TlsStack::Userspace, |service| service);
    let front = director.open(1, TRANSPARENT);
    director.apply(Op::SetTls { key: key(), tls: None });
    assert_eq!(
        director.process(&tcp(client(1), vip())),
        Verdict::Divert(Diverted { side: FrontSide::Client, owner: Some(3) })
    );
    assert!(!front.is_over());
    let table = director.engine.services();
    let dest = &table.get(&key()).expect("the service").dests.iter().find(|d| d.live.key == front.dest());
    assert_eq!(end_all(&director.engine, &dest.expect("the server").live, OnDown::Reset), 1);
    director.wait(Duration::from_millis(1));
    assert!(front.is_over());
}

#[test]
fn those_of_a_dead_server_are_told_unless_they_are_kept() {
    for (how, ended) in [(OnDown::Reset, 3), (OnDown::Move, 3), (OnDown::Keep, 0)] {
        let mut director = Director::new(TlsStack::Userspace, |service| service);
        let fronts = [FrontWay::Kernel, TRANSPARENT, OURS, OURS];
        let mut fronts: Vec<_> = (1..).zip(fronts).map(|(n, way)| director.open(n, way)).collect();
        let live = director.live(fronts[0].dest());
        fronts.retain(|front| front.dest() == live.key);
        assert_eq!(fronts.len(), 2, "round robin");
        // One that nobody has at the moment.
        let spare = director.open(5, OURS);
        assert_eq!(spare.dest(), live.key);
        director.worker.front_connected(&spare, Duration::from_millis(1), director.now);
        fronts.extend(director.worker.park_front(spare, director.now));
        live.set_down(true);
        assert_eq!(end_all(&director.engine, &live, how), ended);
        director.wait(Duration::from_millis(1));
        assert!(fronts.iter().all(|front| front.is_over() == (ended > 0)), "{how:?}");
    }
}

#[test]
fn what_becomes_of_the_way_to_a_server_is_told() {
    let mut director = Director::new(TlsStack::Kernel, |service| service);
    let front = director.open(1, FrontWay::Kernel);
    let live = director.live(front.dest());
    let met = |answered, refused, in_a_row| Met { answered, refused, unanswered: 0, in_a_row };
    director.worker.front_ended(&front, FrontEnd::Refused, director.now);
    assert_eq!(live.met(), met(0, 1, 1));
    for (n, took) in [(3, Duration::from_millis(5)), (5, Duration::ZERO)] {
        let front = director.open(n - 1, FrontWay::Kernel);
        assert_ne!(front.dest(), live.key, "the other one's turn");
        let front = director.open(n, FrontWay::Kernel);
        director.worker.front_connected(&front, took, director.now);
        // What goes wrong later says nothing about how it takes connections.
        director.worker.front_ended(&front, FrontEnd::Refused, director.now);
        assert_eq!(live.met(), met(1, 1, 0), "one that was kept has begun nothing");
    }
}

#[test]
fn a_client_that_uses_its_port_again_gets_a_connection_again() {
    for way in [FrontWay::Kernel, TRANSPARENT] {
        let mut director = Director::new(TlsStack::Kernel, |service| service);
        for _ in 0..3 {
            let front = director.open(1, way);
            drop(front);
        }
        let _held = director.open(2, way);
        let again = director.worker.open_front(&key(), way, (client(2), vip()), &[], director.now);
        assert_eq!(again.err(), Some(FrontRefusal::Dropped(DropReason::ReplyTupleTaken)), "{way:?}");
    }
}

#[test]
fn servers_may_be_spoken_with_by_the_hosts_tcp_unless_there_are_local_addresses() {
    let way = |speaker| FrontWay::Userspace { speaker, owner: 3 };
    let mut director = Director::new(TlsStack::Userspace, |service| service);
    let front = director.open(1, way(Speaker::Host));
    assert_eq!(front.way(), way(Speaker::Host));
    let client_side = Verdict::Divert(Diverted { side: FrontSide::Client, owner: Some(3) });
    assert_eq!(director.process(&tcp(client(1), vip())), client_side);
    // What a server says to a socket of the host is not ours.
    assert_eq!(director.process(&tcp(front.server(), client(1)).syn().ack(1)), Verdict::Pass);

    director.apply(Op::AddLip { key: Some(key()), lip: "10.0.0.5".parse().unwrap() });
    let front = director.open(2, way(Speaker::Host));
    assert_eq!(
        (front.way(), front.peer().ip()),
        (way(Speaker::Local), "10.0.0.5".parse::<IpAddr>().unwrap())
    );
}

/// Its server's packets still come, and stand in nobody's way.
#[test]
fn a_parked_connection_is_its_servers_alone() {
    let mut director = Director::new(TlsStack::Userspace, |service| service);
    let front = director.open(1, OURS);
    director.worker.front_connected(&front, Duration::from_millis(1), director.now);
    let kept = director.worker.park_front(front, director.now).expect("by our own TCP it is kept");
    assert_eq!((director.listed().len(), director.load()), (0, vec![(0, 1), (0, 0)]));
    let next = director.open(1, OURS);
    for held in [&kept, &next] {
        let answer = tcp(held.server(), held.peer()).ack(1);
        let to_us = Verdict::Divert(Diverted { side: FrontSide::Server, owner: Some(3) });
        director.wait(Duration::from_secs(300));
        assert_eq!(director.process(&answer), to_us);
    }
    assert_eq!(director.listed().len(), 1);
    let (server, peer) = (kept.server(), kept.peer());
    drop(kept);
    director.wait(Duration::from_secs(300));
    let late = director.process(&tcp(server, peer).ack(1));
    assert!(!matches!(late, Verdict::Divert(_)), "{late:?}");
    // By the host's TCP there is nothing to keep.
    let front = director.open(2, FrontWay::Kernel);
    assert!(director.worker.park_front(front, director.now).is_none());
}
