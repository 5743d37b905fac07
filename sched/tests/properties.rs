//! What every scheduler of the registry has to keep, whatever happens to its servers.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use proptest::collection::vec;
use proptest::prelude::*;
use sched::algo::{ALL, Algorithm};
use sched::{
    Dest, DestKey, DestSpec, Flow, Op, Proto, Service, ServiceKey, ServiceSpec, ServiceTable, Trash, Weight,
};

/// These give every server the same share.
const BLIND_TO_WEIGHTS: [&str; 2] = ["rr", "lc"];

/// One thing that happens to a service. Servers are numbered; what makes no sense is refused and changes nothing.
#[derive(Clone, Debug)]
enum Step {
    Add(u8, Weight),
    Edit(u8, Weight),
    Del(u8),
    Overload(u8, bool),
    Connect {
        keep: bool,
    },
    /// A connection by a worker that has not seen the last changes.
    ConnectStale(usize),
}

fn weight() -> impl Strategy<Value = Weight> {
    prop_oneof![6 => 0..9u32, 1 => 0..1000u32, 1 => 0..=Weight::MAX.0].prop_map(Weight)
}

fn step() -> impl Strategy<Value = Step> {
    let server = || 0..6u8;
    prop_oneof![
        3 => (server(), weight()).prop_map(|(s, w)| Step::Add(s, w)),
        2 => (server(), weight()).prop_map(|(s, w)| Step::Edit(s, w)),
        1 => server().prop_map(Step::Del),
        1 => (server(), any::<bool>()).prop_map(|(s, yes)| Step::Overload(s, yes)),
        8 => any::<bool>().prop_map(|keep| Step::Connect { keep }),
        1 => (0..8usize).prop_map(Step::ConnectStale),
    ]
}

proptest! {
    #[test]
    fn a_pick_is_eligible_and_nobody_means_nobody(steps in vec(step(), 1..120)) {
        for algorithm in ALL {
            let mut world = World::new(algorithm);
            for step in &steps {
                world.step(step)?;
            }
        }
    }

    #[test]
    fn the_same_history_gives_the_same_picks(steps in vec(step(), 1..120)) {
        for algorithm in ALL {
            let run = || {
                let mut world = World::new(algorithm);
                steps.iter().map(|step| world.step(step)).collect::<Result<Vec<_>, _>>()
            };
            prop_assert_eq!(run()?, run()?, "{}", algorithm.name);
        }
    }

    #[test]
    fn shares_follow_the_weights(weights in vec(1..12u32, 1..6), rounds in 20..40u32) {
        for algorithm in ALL {
            let mut world = World::new(algorithm);
            for (i, weight) in (0..).zip(&weights) {
                world.step(&Step::Add(i, Weight(*weight)))?;
            }
            let due = |i: usize| if BLIND_TO_WEIGHTS.contains(&algorithm.name) { 1 } else { weights[i] };
            let round: u32 = (0..weights.len()).map(due).sum();
            let mut got = vec![0u32; weights.len()];
            for _ in 0..rounds * round {
                let picked = world.step(&Step::Connect { keep: true })?.unwrap();
                got[usize::from(number(picked))] += 1;
            }
            for (i, got) in got.into_iter().enumerate() {
                let due = due(i) * rounds;
                // One cycle is lost or won while the first round is out of step.
                prop_assert!(got.abs_diff(due) <= 12, "{}: {weights:?}: server {i}: {got}, not {due}", algorithm.name);
            }
        }
    }
}

/// A service with one scheduler, and all its snapshots.
struct World {
    algorithm: &'static Algorithm,
    table: ServiceTable,
    trash: Trash,
    old: Vec<Arc<Service>>,
}

impl World {
    fn new(algorithm: &'static Algorithm) -> Self {
        let mut trash = Trash::default();
        let service = ServiceSpec::new(key(), algorithm.name);
        let table = ServiceTable::default().apply(&mut trash, &[Op::AddService { service }]).unwrap();
        Self { algorithm, table, trash, old: Vec::new() }
    }

    fn step(&mut self, step: &Step) -> Result<Option<DestKey>, TestCaseError> {
        let spec = |s: &u8, weight: &Weight| DestSpec { weight: *weight, ..DestSpec::new(server(*s)) };
        match step {
            Step::Add(s, weight) => self.apply(Op::AddDest { key: key(), dest: spec(s, weight) }),
            Step::Edit(s, weight) => self.apply(Op::EditDest { key: key(), dest: spec(s, weight) }),
            Step::Del(s) => self.apply(Op::DelDest { key: key(), addr: server(*s) }),
            Step::Overload(s, yes) => {
                let dests = &self.service().dests;
                dests.iter().filter(|d| d.live.key == server(*s)).for_each(|d| d.live.set_overloaded(*yes));
            }
            Step::Connect { keep } => return self.connect(*keep),
            Step::ConnectStale(age) => {
                if let Some(service) = self.old.iter().rev().nth(*age) {
                    let picked = service.pick(&flow());
                    prop_assert!(picked.is_none_or(Dest::eligible), "{}: {picked:?}", self.algorithm.name);
                }
            }
        }
        Ok(None)
    }

    fn connect(&self, keep: bool) -> Result<Option<DestKey>, TestCaseError> {
        let service = self.service();
        let Some(dest) = service.pick(&flow()) else {
            prop_assert!(!service.dests.iter().any(Dest::eligible), "{}: nobody", self.algorithm.name);
            return Ok(None);
        };
        prop_assert!(dest.eligible(), "{}: {dest:?}", self.algorithm.name);
        let count = if keep { &dest.live.active } else { &dest.live.inactive };
        count.fetch_add(1, Relaxed);
        Ok(Some(dest.live.key))
    }

    fn apply(&mut self, op: Op) {
        self.old.push(Arc::clone(self.service()));
        (self.table, _) = self.table.apply_each(&mut self.trash, &[op]);
    }

    fn service(&self) -> &Arc<Service> {
        self.table.get(&key()).unwrap()
    }
}

fn key() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, flow().vip)
}

fn flow() -> Flow {
    let at = |d, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, d)), port);
    Flow::new(at(2, 50000), at(1, 80))
}

fn server(number: u8) -> DestKey {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1 + number)), 80)
}

fn number(server: DestKey) -> u8 {
    let IpAddr::V4(addr) = server.ip() else { panic!("{server}") };
    addr.octets()[3] - 1
}
