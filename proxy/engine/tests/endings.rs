//! The flows of servers that have died, of many at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Engine, HostView, Knobs, Limits, Verdict, Worker};
use sched::{DestKey, DestSpec, OnDown, Op, Path, Proto, ServiceKey, ServiceSpec, Trash};
use wire::build::{Build, tcp, udp};

const VIP: &str = "203.0.113.1:80";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn client(port: u16) -> SocketAddr {
    SocketAddr::new(at("198.51.100.9:0").ip(), port)
}

/// Services of TCP and UDP with three servers each, and a flow with each of them for every port.
fn director(flows: u16) -> (Engine, Worker, Instant) {
    let now = Instant::now();
    let (engine, mut workers) = Engine::new(3, Limits::default(), 1, now);
    engine.set_host(HostView::new([at("10.0.0.1:0").ip()]));
    let dests = || ["10.0.0.11:80", "10.0.0.12:80", "10.0.0.13:80"].map(|s| DestSpec::new(at(s))).to_vec();
    let service =
        |proto| ServiceSpec { dests: dests(), ..ServiceSpec::new(ServiceKey::addr(proto, at(VIP)), "rr") };
    let ops = [Proto::Tcp, Proto::Udp].map(|proto| Op::AddService { service: service(proto) });
    engine.set_services(Arc::new(engine.services().apply(&mut Trash::default(), &ops).expect("legal edits")));
    for dest in engine.services().services().flat_map(|service| service.dests.iter()) {
        let (next_hop, source) = (dest.live.key.ip(), Some(at("10.0.0.1:0").ip()));
        dest.live.set_path(Some(Path { device: 2, next_hop, source }));
    }
    let mut worker = workers.remove(0);
    let mut send = |build: Build| {
        let verdict = worker.process(&mut build.frame(), now);
        assert!(matches!(verdict, Verdict::Transmit(_)), "{verdict:?}");
    };
    for port in 1001..=1000 + 3 * flows {
        send(tcp(client(port), at(VIP)).syn());
        send(udp(client(port), at(VIP)));
    }
    (engine, worker, now)
}

#[test]
fn one_walk_ends_those_of_all_dead_servers_step_by_step() {
    let (engine, mut worker, now) = director(100);
    let table = engine.services();
    let dead: Vec<_> = table
        .services()
        .flat_map(|service| &service.dests[..2])
        .map(|dest| (Arc::clone(&dest.live), dest.live.key.ip()))
        .collect();
    let before = engine.connections_held();
    let keeps = dead[0].1;
    let how = |live: &Arc<sched::DestLive>| {
        let how = if live.key.ip() == keeps { OnDown::Keep } else { OnDown::Reset };
        dead.iter().any(|(dead, _)| Arc::ptr_eq(dead, live)).then_some(how)
    };
    let (mut from, mut ended, mut steps) = (Some(0), Vec::new(), 0);
    while let Some(at) = from {
        let (next, whose) = engine.end_connections_from(at, (50, 10), how);
        assert!(whose.len() <= 10, "{} in a step", whose.len());
        assert!(next.is_none_or(|next| next > at && next <= at + 50));
        ended.extend(whose);
        (from, steps) = (next, steps + 1);
    }
    assert_eq!(before, 600);
    assert!(steps >= 600 / 50, "{steps} steps");
    // A server that died and keeps its connections keeps those of TCP only.
    let kept = |live: &Arc<sched::DestLive>| live.key.ip() == keeps;
    assert_eq!(ended.iter().filter(|live| kept(live)).count(), 100);
    assert_eq!(ended.iter().filter(|live| !kept(live)).count(), 200);
    // So many at a time.
    (0..10).for_each(|_| worker.handle_timeout(now + Duration::from_millis(1)));
    assert_eq!(engine.connections_held(), before - 300);
    let (next, whose) = engine.end_connections_from(0, (u32::MAX, usize::MAX), how);
    assert!(next.is_none() && whose.is_empty(), "nothing is left to end");
}

#[test]
fn one_walk_ends_those_whose_servers_are_removed_step_by_step() {
    let (engine, mut worker, now) = director(100);
    let keys: Vec<_> = engine.services().services().map(|service| service.key).collect();
    let gone = DestKey::from(at("10.0.0.11:80"));
    let ops: Vec<_> = keys.iter().map(|key| Op::DelDest { key: *key, addr: gone }).collect();
    let table = engine.services().apply(&mut Trash::default(), &ops).expect("legal edits");
    engine.set_services(Arc::new(table));
    engine.set_knobs(Knobs { reset_on_end: false, ..Knobs::default() });
    assert_eq!(engine.end_orphans_from(0, (u32::MAX, usize::MAX)), (None, 0), "nobody wants it");
    let (mut from, mut ended, mut steps) = (Some(0), 0, 0);
    engine.set_knobs(Knobs { expire_nodest_conn: true, ..Knobs::default() });
    while let Some(at) = from {
        let (next, n) = engine.end_orphans_from(at, (50, 10));
        assert!(n <= 10, "{n} in a step");
        assert!(next.is_none_or(|next| next > at && next <= at + 50));
        (from, ended, steps) = (next, ended + n, steps + 1);
    }
    assert!(steps >= 600 / 50, "{steps} steps");
    assert_eq!(ended, 200, "of both services");
    (0..10).for_each(|_| worker.handle_timeout(now + Duration::from_millis(1)));
    assert_eq!(engine.connections_held(), 600 - 200);
    assert_eq!(engine.end_orphans_from(0, (u32::MAX, usize::MAX)), (None, 0), "nothing is left to end");
}
