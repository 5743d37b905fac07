//! Two workers of one engine get the packets of the same flows at the same time, as a TUN may deal them out, while
//! servers come and go and time passes. What is counted at the end is nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use engine::{Engine, Limits, Part, Worker};
use sched::{
    DestLive, DestSpec, Family, Netmask, Op, Persistence, Proto, ServiceKey, ServiceSpec, Trash, Weight,
};
use wire::build::tcp;
use wire::frame::Frame;
use wire::packet::TcpFlags;

const CLIENTS: u64 = 16;
const FRAMES: u64 = 60_000;

fn at(net: u8, host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, net, 0, host)), port)
}

fn client(n: u64) -> SocketAddr {
    at(1, 1, 1000 + (n % CLIENTS) as u16)
}

/// Two services share their servers, so reply tuples collide.
fn vip(n: u64) -> SocketAddr {
    at(2, 1 + (n % 2) as u8, 80)
}

fn server(n: u64) -> SocketAddr {
    at(3, 1 + (n % 3) as u8, 8000)
}

fn spec(addr: SocketAddr) -> DestSpec {
    DestSpec { weight: Weight(1), ..DestSpec::new(addr) }
}

struct Clock {
    born: Instant,
    millis: AtomicU64,
}

impl Clock {
    fn now(&self) -> Instant {
        self.born + Duration::from_millis(self.millis.load(Relaxed))
    }
}

/// Sends what `frames` makes of each number through the worker, whose timers run. Returns how many frames those were.
fn work(worker: &mut Worker, clock: &Clock, frames: impl Fn(u64) -> Vec<Frame>) -> u64 {
    let mut count = 0;
    for n in 0..FRAMES / 3 {
        for mut frame in frames(n) {
            let _ = worker.process(&mut frame, clock.now());
            count += 1;
        }
        clock.millis.fetch_add(17, Relaxed);
        while worker.poll_timeout().is_some_and(|due| due <= clock.now()) {
            worker.handle_timeout(clock.now());
        }
    }
    count
}

fn scrambled(n: u64) -> u64 {
    (n ^ n >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

#[test]
fn both_directions_at_once_end_in_nothing() {
    let clock = Clock { born: Instant::now(), millis: AtomicU64::new(0) };
    let (engine, mut workers) = Engine::new(3, Limits { max_connections: 20 }, 2, clock.born);
    let mut trash = Trash::default();
    let services = (0..2).map(|n| ServiceSpec {
        dests: (0..3).map(|n| spec(server(n))).collect(),
        ..ServiceSpec::new(ServiceKey::addr(Proto::Tcp, vip(n)), "wlc")
    });
    let ops: Vec<_> = services.map(|service| Op::AddService { service }).collect();
    let table = engine.services().apply(&mut trash, &ops).expect("legal edits");
    let dests: Vec<Arc<DestLive>> = table
        .services()
        .flat_map(|s| s.dests.iter().map(|d| Arc::clone(&d.live)).collect::<Vec<_>>())
        .collect();
    engine.set_services(Arc::new(table));

    // Both send SYNs; one sends the clients' other packets, the other the servers'.
    use TcpFlags as F;
    let syn = |n: u64| tcp(client(n), vip(n / CLIENTS)).syn().frame();
    let from_clients = |n: u64| {
        let flags = [F::ACK, F::FIN | F::ACK, F::RST, F::ACK][(scrambled(n) % 4) as usize];
        let n = n / 3;
        vec![syn(n), tcp(client(n), vip(n / CLIENTS)).flags(flags).frame(), syn(n + 1)]
    };
    let from_servers = |n: u64| {
        let flags = [F::SYN | F::ACK, F::RST, F::FIN | F::ACK, F::ACK][(scrambled(n) % 4) as usize];
        let reply = |s| tcp(server(s), client(n / 3)).flags(flags).frame();
        let n = n / 3;
        vec![reply(0), syn(n), reply(1), reply(2)]
    };

    let (mut other, mut one) = (workers.pop().expect("two"), workers.pop().expect("two"));
    let done = AtomicBool::new(false);
    let received: u64 = std::thread::scope(|scope| {
        let clients = scope.spawn(|| work(&mut one, &clock, from_clients));
        let servers = scope.spawn(|| work(&mut other, &clock, from_servers));
        let operator = scope.spawn(|| {
            let key = ServiceKey::addr(Proto::Tcp, vip(0));
            for n in 0.. {
                let gone = Op::DelDest { key, addr: server(n) };
                let back = Op::AddDest { key, dest: spec(server(n)) };
                for op in [gone, back] {
                    let table = engine.services().apply(&mut trash, &[op]).expect("legal edits");
                    engine.set_services(Arc::new(table));
                    std::thread::yield_now();
                }
                if done.load(Relaxed) {
                    break;
                }
            }
        });
        let received = clients.join().expect("no panic") + servers.join().expect("no panic");
        done.store(true, Relaxed);
        operator.join().expect("no panic");
        received
    });

    let counters = engine.counters();
    let drops: u64 = counters.dropped.iter().sum();
    assert_eq!(counters.received, received);
    assert_eq!(counters.received, counters.transmitted + counters.replied + counters.passed + drops);
    assert!(counters.created > 500, "too quiet: {counters:?}");

    clock.millis.fetch_add(2_000_000, Relaxed);
    for worker in [&mut one, &mut other] {
        while worker.poll_timeout().is_some_and(|due| due <= clock.now()) {
            worker.handle_timeout(clock.now());
        }
        assert_eq!(worker.poll_timeout(), None, "idle");
    }
    let counters = engine.counters();
    assert_eq!((engine.connections_held(), counters.created), (0, counters.expired));
    engine.for_each_connection(clock.now(), Part::ALL, |conn| panic!("still there: {conn:?}"));
    for dest in &dests {
        assert_eq!((dest.active.load(Relaxed), dest.inactive.load(Relaxed)), (0, 0), "{}", dest.key);
    }
    let conns: u64 = dests.iter().map(|dest| dest.stats.read().conns).sum();
    assert_eq!(conns, counters.created);
}

#[test]
fn two_workers_at_once_agree_where_a_client_goes() {
    let born = Instant::now();
    let (engine, mut workers) = Engine::new(5, Limits { max_connections: 100_000 }, 2, born);
    let key = ServiceKey::addr(Proto::Tcp, vip(0));
    let service = ServiceSpec {
        persistence: Some(Persistence { timeout: 300, mask: Netmask::full(Family::Ipv4) }),
        dests: (0..3).map(|n| spec(server(n))).collect(),
        ..ServiceSpec::new(key, "rr")
    };
    let table = engine.services().apply(&mut Trash::default(), &[Op::AddService { service }]);
    let table = table.expect("a legal edit");
    let dests: Vec<_> = table.get(&key).expect("there").dests.iter().map(|d| Arc::clone(&d.live)).collect();
    engine.set_services(Arc::new(table));

    const HOSTS: u8 = 250;
    const ROUNDS: u16 = 8;
    let start = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        for (worker, mine) in workers.iter_mut().zip(0..) {
            let start = &start;
            scope.spawn(move || {
                for host in 0..HOSTS {
                    // Each client is new to both at the same moment.
                    start.wait();
                    for round in 0..ROUNDS {
                        let client = at(1, host, 1000 + 2 * round + mine);
                        let verdict = worker.process(&mut tcp(client, vip(0)).syn().frame(), born);
                        assert_eq!(verdict, engine::Verdict::Transmit(engine::Egress::Route));
                    }
                }
            });
        }
    });

    let mut servers = BTreeMap::<_, Vec<_>>::new();
    let mut templates = 0;
    engine.for_each_connection(born, Part::ALL, |conn| {
        templates += usize::from(conn.template);
        servers.entry(conn.client.ip()).or_default().push(conn.dest);
    });
    assert_eq!((servers.len(), templates), (HOSTS.into(), HOSTS.into()));
    for (client, servers) in servers {
        assert_eq!(servers.len(), 2 * usize::from(ROUNDS) + 1);
        assert!(servers.iter().all(|server| *server == servers[0]), "{client} was split: {servers:?}");
    }
    let persistent = || dests.iter().map(|dest| dest.persistent.load(Relaxed)).sum::<u32>();
    assert_eq!(persistent(), HOSTS.into());
    // A template waits for its members, which may be the other worker's.
    for seconds in (0..3000).step_by(100) {
        for worker in &mut workers {
            let now = born + Duration::from_secs(seconds);
            while worker.poll_timeout().is_some_and(|due| due <= now) {
                worker.handle_timeout(now);
            }
        }
    }
    assert_eq!((engine.connections_held(), persistent()), (0, 0));
}
