//! Ours against the models over a million random picks and edits of each algorithm.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sched::algo::{ALL, Algorithm};
use sched::{DestKey, DestSpec, Flow, Knobs, Op, Proto, SchedFlags, ServiceKey, ServiceSpec, Weight};

use crate::director::{Chooser, Ours};
use crate::models::Plain;

const STEPS: u32 = 1_000_000;
/// A world grows old: servers have been there before, connections pile up. So there is a new one now and then.
const STEPS_OF_A_WORLD: u32 = 5_000;

/// Short, for a world lasts about three quarters of an hour.
const KNOBS: Knobs =
    Knobs { lblc_expiration: Duration::from_secs(200), lblcr_expiration: Duration::from_secs(100) };

#[test]
fn ours_and_the_models_choose_the_same() {
    std::thread::scope(|scope| {
        for algorithm in ALL {
            scope.spawn(|| compare(algorithm));
        }
    });
}

fn compare(algorithm: &'static Algorithm) {
    let mut random = Random(1);
    let (mut served, mut refused) = (0, 0);
    for _ in 0..STEPS / STEPS_OF_A_WORLD {
        let mut world = World::new(algorithm, &mut random);
        for _ in 0..STEPS_OF_A_WORLD {
            world.step();
        }
        world.check_loads();
        served += world.served;
        refused += world.refused;
    }
    assert!(served > STEPS / 4 && refused > STEPS / 100, "{}: {served}, {refused}", algorithm.name);
}

/// The same service twice.
struct World<'a> {
    random: &'a mut Random,
    ours: Ours,
    plain: Plain,
    algorithm: &'static Algorithm,
    /// Which of the servers are in the list.
    listed: Vec<DestKey>,
    /// Who has a connection, once for each, and whether it is active.
    held: Vec<(DestKey, bool)>,
    served: u32,
    refused: u32,
    now: Duration,
    /// The last steps, for whoever has to find out.
    history: Vec<String>,
}

impl<'a> World<'a> {
    fn new(algorithm: &'static Algorithm, random: &'a mut Random) -> Self {
        let mut world = Self {
            random,
            ours: Ours::default(),
            plain: Plain::default(),
            algorithm,
            listed: Vec::new(),
            held: Vec::new(),
            served: 0,
            refused: 0,
            now: Duration::ZERO,
            history: Vec::new(),
        };
        let service = world.service();
        world.edit(&Op::AddService { service });
        for _ in 0..world.random.below(6) {
            world.add();
        }
        world
    }

    fn step(&mut self) {
        match self.random.below(1000) {
            0..6 => self.add(),
            6..9 => self.del(),
            9..15 => self.change(),
            15 => self.rebind(),
            16..26 => self.measure(),
            26..36 => self.now += Duration::from_secs(self.random.below(100)),
            // Connections come up to some number and then as many go.
            n if n < 400 || self.held.len() > 400 => self.end(),
            _ => self.connect(),
        }
    }

    fn connect(&mut self) {
        let flow = self.flow();
        let (ours, plain) = (self.ours.pick(&key(), &flow), self.plain.pick(&key(), &flow));
        assert_eq!(
            ours,
            plain,
            "{}: ours, and the model's, for {flow:?} after\n{}",
            self.algorithm.name,
            self.tale()
        );
        let Some(server) = ours else {
            self.refused += 1;
            return;
        };
        self.served += 1;
        let active = self.random.below(4) != 0;
        self.count(server, i32::from(active), i32::from(!active));
        self.held.push((server, active));
    }

    /// A connection goes, or is not active any more.
    fn end(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let i = self.random.below(self.held.len() as u64) as usize;
        let (server, active) = self.held.swap_remove(i);
        if active && self.random.below(2) == 0 {
            self.count(server, -1, 1);
            self.held.push((server, false));
        } else {
            self.count(server, -i32::from(active), -i32::from(!active));
        }
    }

    fn add(&mut self) {
        let addr = server(self.random.below(8));
        if !self.listed.contains(&addr) {
            self.listed.push(addr);
            let dest = self.spec(addr);
            self.edit(&Op::AddDest { key: key(), dest });
        }
    }

    fn del(&mut self) {
        if let Some(addr) = self.some_server() {
            self.listed.retain(|other| *other != addr);
            self.edit(&Op::DelDest { key: key(), addr });
        }
    }

    fn change(&mut self) {
        if let Some(addr) = self.some_server() {
            let dest = self.spec(addr);
            self.edit(&Op::EditDest { key: key(), dest });
        }
    }

    /// A scheduler made anew, if it gets other flags.
    fn rebind(&mut self) {
        let service = self.service();
        self.edit(&Op::EditService { service });
    }

    fn service(&mut self) -> ServiceSpec {
        let flags = SchedFlags(self.random.below(8) as u8);
        ServiceSpec { flags, ..ServiceSpec::new(key(), self.algorithm.name) }
    }

    fn measure(&mut self) {
        if let Some(server) = self.some_server() {
            let micros = self.random.below(3000) as u32;
            self.note(format!("measure {server} {micros}"));
            self.ours.measure(server, micros);
            self.plain.measure(server, micros);
        }
    }

    fn edit(&mut self, op: &Op) {
        self.note(op.to_string());
        self.ours.edit(op);
        self.plain.edit(op);
    }

    fn count(&mut self, server: DestKey, active: i32, inactive: i32) {
        self.ours.count(server, active, inactive);
        self.plain.count(server, active, inactive);
    }

    fn check_loads(&self) {
        assert_eq!(self.ours.loads(&key()), self.plain.loads(&key()), "{}", self.algorithm.name);
    }

    fn some_server(&mut self) -> Option<DestKey> {
        let i = self.random.below(self.listed.len().max(1) as u64) as usize;
        self.listed.get(i).copied()
    }

    fn spec(&mut self, addr: DestKey) -> DestSpec {
        let weight = match self.random.below(20) {
            0..3 => 0,
            3..5 => self.random.below(1000),
            // The model of wrr walks every round, so no weights beyond all measure.
            5 if self.algorithm.name != "wrr" => u64::from(Weight::MAX.0) - self.random.below(3),
            _ => self.random.below(9),
        };
        let upper = if self.random.below(5) == 0 { self.random.below(200) } else { 0 };
        let lower = if self.random.below(2) == 0 { self.random.below(upper + 1) } else { 0 };
        let [weight, upper, lower] = [weight, upper, lower].map(|n| n as u32);
        DestSpec { weight: Weight(weight), upper, lower, ..DestSpec::new(addr) }
    }

    /// A client among many and a destination among some.
    fn flow(&mut self) -> Flow {
        let client = 0x0a01_0000 + self.random.below(5000) as u32;
        let vip = 0x0a02_0000 + self.random.below(50) as u32;
        let port = 1024 + self.random.below(60000) as u16;
        let at = |addr: u32, port| SocketAddr::new(Ipv4Addr::from(addr).into(), port);
        let random = self.random.next();
        Flow { random, now: self.now, knobs: KNOBS, ..Flow::new(at(client, port), at(vip, 80)) }
    }

    fn note(&mut self, step: String) {
        self.history.push(step);
    }

    fn tale(&self) -> String {
        self.history.iter().rev().take(30).rev().map(|step| format!("  {step}\n")).collect()
    }
}

fn key() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, SocketAddr::new(Ipv4Addr::new(10, 2, 0, 0).into(), 80))
}

fn server(n: u64) -> DestKey {
    SocketAddr::new(Ipv4Addr::new(10, 3, 0, 1 + n as u8).into(), 80)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
