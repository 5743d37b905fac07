//! Servers with `slow_start`: what they get while they are new, and that nobody else notices.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use sched::{DestSpec, Flow, Op, Proto, Service, ServiceKey, ServiceSpec, ServiceTable, Trash, Weight};

const RAMP: u64 = 90;

#[test]
fn who_ramps_and_who_does_not() {
    let mut world = World::new("wrr", &[3, 2]);
    assert_eq!(world.effective(), [2, 3], "the first servers of a service begin with all of it");
    assert!(!world.table.is_ramping() && world.table.ramp(world.now).is_none());
    world.apply(Op::AddDest { key: key(), dest: slow(2, 4) });
    assert_eq!(world.effective(), [4, 20, 30], "a tenth at once");
    assert_eq!(world.service().spec().dests[2], slow(2, 4), "and shows its weight all the same");
    world.pass(RAMP / 2);
    assert_eq!(world.effective(), [20, 20, 30]);
    world.apply(Op::EditDest { key: key(), dest: slow(2, 6) });
    assert_eq!(world.effective(), [30, 20, 30], "an edit goes on where it was");
    world.pass(RAMP / 2);
    assert_eq!(world.effective(), [6, 2, 3]);
    assert!(!world.table.is_ramping());
    world.apply(Op::EditDest { key: key(), dest: slow(2, 0) });
    assert_eq!(world.effective(), [0, 2, 3]);
    world.apply(Op::EditDest { key: key(), dest: slow(2, 1) });
    assert_eq!(world.effective(), [1, 20, 30], "back from weight 0");
    world.pass(RAMP);
    world.apply(Op::DelDest { key: key(), addr: server(2) });
    world.apply(Op::AddDest { key: key(), dest: slow(2, 1) });
    assert_eq!(world.effective(), [1, 20, 30], "added again");
    world.apply(Op::EditDest { key: key(), dest: DestSpec { slow_start: 0, ..slow(2, 1) } });
    assert_eq!(world.effective(), [1, 2, 3], "slow start given up");
    world.pass(1);
    assert!(!world.table.is_ramping());
}

#[test]
fn nothing_happens_between_the_steps() {
    let mut world = World::new("wrr", &[1]);
    world.apply(Op::AddDest { key: key(), dest: slow(1, 1) });
    world.pass(0);
    let generation = world.table.generation();
    world.pass(RAMP / 9 - 1);
    assert_eq!(world.table.generation(), generation);
    world.pass(1);
    assert_eq!(world.table.generation(), generation + 1);
}

/// Ten flows a second, open for two seconds, at three servers, and then a fourth comes.
#[test]
fn the_share_of_a_new_server_grows_with_every_scheduler_of_shares() {
    for scheduler in ["rr", "wrr", "lc", "wlc", "sed", "nq", "twos", "swrr", "p2c-latency"] {
        let mut world = World::new(scheduler, &[2, 2, 2]);
        world.run(20);
        world.apply(Op::AddDest { key: key(), dest: slow(3, 2) });
        let shares = [world.run(30), world.run(30), world.run(30), world.run(30)];
        // In tenths of a quarter 1 to 4, 4 to 7 and 7 to 10, and then all of it; nobody is exact in so few flows.
        let [first, second, third, whole] = shares.map(|n| f64::from(n) / 300.0);
        // nq gives whoever is idle a flow, so its new server has less to gain.
        let beginning = if scheduler == "nq" { 0.16 } else { 0.12 };
        assert!(first < beginning && first < second && third < whole, "{scheduler}: {shares:?}");
        assert!((0.08..0.22).contains(&second) && (0.2..0.3).contains(&whole), "{scheduler}: {shares:?}");
    }
}

#[test]
fn a_hash_goes_by_the_whole_weight() {
    for scheduler in ["sh", "mh", "dh"] {
        let mut world = World::new(scheduler, &[1, 1]);
        world.apply(Op::AddDest { key: key(), dest: slow(2, 1) });
        let picks = world.picks(500);
        world.pass(RAMP);
        assert!(picks == world.picks(500) && picks.contains(&Some(server(2))), "{scheduler}");
    }
}

#[test]
fn overflow_begins_with_a_part_of_the_capacity() {
    let mut world = World::new("ovf", &[3]);
    world.apply(Op::AddDest { key: key(), dest: slow(1, 20) });
    // 2 is less than 3: one more than 3, then one more than 2.
    assert_eq!(world.hold(8), [0, 0, 0, 0, 1, 1, 1]);
    world.pass(RAMP / 3);
    assert_eq!(world.hold(9), [1; 6], "4 tenths of 20 are 8, and one more");
}

/// A service, time, and connections that end.
struct World {
    table: ServiceTable,
    trash: Trash,
    now: Duration,
    flows: u64,
    open: Vec<(Duration, SocketAddr)>,
}

impl World {
    fn new(scheduler: &str, weights: &[u32]) -> Self {
        let dests = (0..).zip(weights).map(|(n, w)| DestSpec { slow_start: RAMP as u32, ..spec(n, *w) });
        let service = ServiceSpec { dests: dests.collect(), ..ServiceSpec::new(key(), scheduler) };
        let mut trash = Trash::default();
        let table = ServiceTable::default().apply(&mut trash, &[Op::AddService { service }]).unwrap();
        Self { table, trash, now: Duration::from_secs(1000), flows: 0, open: Vec::new() }
    }

    fn service(&self) -> &Service {
        self.table.get(&key()).unwrap()
    }

    fn apply(&mut self, op: Op) {
        self.table = self.table.apply(&mut self.trash, &[op]).unwrap();
        self.pass(0);
    }

    /// Time passes, with a look once a second.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..=seconds {
            if let Some(table) = self.table.ramp(self.now) {
                self.table = table;
            }
            self.now += Duration::from_secs(1);
        }
        self.now -= Duration::from_secs(1);
    }

    fn effective(&self) -> Vec<u32> {
        self.service().dests.iter().map(|d| d.effective.0).collect()
    }

    fn pick(&mut self) -> Option<SocketAddr> {
        self.flows += 1;
        let bits = mix(self.flows);
        let client = SocketAddr::new(Ipv4Addr::from(bits as u32).into(), 50000);
        let flow = Flow { random: mix(bits), now: self.now, ..Flow::new(client, vip()) };
        self.service().pick(&flow).map(|d| d.live.key)
    }

    fn picks(&mut self, count: usize) -> Vec<Option<SocketAddr>> {
        self.flows = 0;
        (0..count).map(|_| self.pick()).collect()
    }

    /// Who gets these many connections, which stay open, as long as somebody takes one.
    fn hold(&mut self, count: usize) -> Vec<usize> {
        let take = |_| {
            let got = self.pick()?;
            self.count(got, 1);
            Some((0..9).position(|n| server(n) == got).unwrap())
        };
        (0..count).map_while(take).collect()
    }

    /// Lets traffic run for some seconds. How many flows the fourth server got.
    fn run(&mut self, seconds: u64) -> u32 {
        let mut got = 0;
        for _ in 0..seconds {
            self.pass(1);
            let (over, open) = self.open.iter().partition(|(until, _)| *until <= self.now);
            self.open = open;
            Vec::into_iter(over).for_each(|(_, addr)| self.count(addr, -1));
            for _ in 0..10 {
                let addr = self.pick().unwrap();
                got += u32::from(addr == server(3));
                self.count(addr, 1);
                self.open.push((self.now + Duration::from_secs(2), addr));
            }
        }
        got
    }

    fn count(&self, addr: SocketAddr, change: i32) {
        let dest = self.service().dests.iter().find(|d| d.live.key == addr).unwrap();
        dest.live.active.fetch_add(change as u32, Relaxed);
    }
}

fn slow(n: u8, weight: u32) -> DestSpec {
    DestSpec { slow_start: RAMP as u32, ..spec(n, weight) }
}

fn spec(n: u8, weight: u32) -> DestSpec {
    DestSpec { weight: Weight(weight), ..DestSpec::new(server(n)) }
}

fn server(n: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1 + n)), 80)
}

fn vip() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80)
}

fn key() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, vip())
}

/// Scatters numbers over 64 bits (the finisher of SplitMix64).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
