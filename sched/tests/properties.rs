//! What every scheduler of the registry has to keep, whatever happens to its servers.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use proptest::collection::vec;
use proptest::prelude::*;
use sched::algo::{ALL, Algorithm};
use sched::{
    Copies, Dest, DestKey, DestSpec, Flow, Op, Proto, SchedFlags, Service, ServiceKey, ServiceSpec,
    ServiceTable, Trash, Weight,
};

/// What holds for one algorithm, besides what holds for all.
struct Holds {
    /// As long as somebody could be chosen, somebody is.
    serves_if_it_can: bool,
    /// How connections that stay open are shared out.
    share: Share,
    /// By chance, or by turns.
    by_chance: bool,
}

enum Share {
    Equal,
    ByWeight,
    /// All to the highest weight, the newest among equals.
    Highest,
    /// Each gets one connection more than its weight, and then nobody gets any.
    Capacity,
    /// It depends on what clients ask for.
    Unknown,
}

fn holds(algorithm: &Algorithm) -> Holds {
    let turns = |share| Holds { serves_if_it_can: true, share, by_chance: false };
    let chance = |share| Holds { by_chance: true, ..turns(share) };
    let hash = |share| Holds { serves_if_it_can: false, ..chance(share) };
    match algorithm.name {
        "rr" | "lc" => turns(Share::Equal),
        "wrr" | "wlc" | "sed" | "nq" | "swrr" => turns(Share::ByWeight),
        "fo" => turns(Share::Highest),
        "ovf" => Holds { serves_if_it_can: false, ..turns(Share::Capacity) },
        "twos" | "p2c-latency" => chance(Share::ByWeight),
        "dh" => hash(Share::Equal),
        "sh" | "mh" => hash(Share::ByWeight),
        "lblc" | "lblcr" => turns(Share::Unknown),
        other => panic!("say here what holds for {other}"),
    }
}

/// As in the kernel, lblc looks at weights but not at thresholds where it knows the server already.
fn may_serve(algorithm: &Algorithm, dest: &Dest) -> bool {
    dest.eligible() || (algorithm.name == "lblc" && dest.weight.0 > 0)
}

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
            let Holds { share, by_chance, .. } = holds(algorithm);
            let newest_heaviest = (0..weights.len()).max_by_key(|i| weights[*i]).unwrap();
            let due: Vec<u32> = (0..weights.len()).map(|i| match share {
                Share::Equal => rounds,
                Share::ByWeight => weights[i] * rounds,
                Share::Highest => if i == newest_heaviest { rounds } else { 0 },
                Share::Capacity => weights[i] + 1,
                Share::Unknown => 0,
            }).collect();
            let count: u32 = due.iter().sum();
            let mut got = vec![0u32; weights.len()];
            for _ in 0..count {
                let picked = world.step(&Step::Connect { keep: true })?.unwrap();
                got[usize::from(number(picked))] += 1;
            }
            let tolerance = |due: u32| match share {
                Share::Highest | Share::Capacity | Share::Unknown => 0,
                // One cycle is lost or won while the first round is out of step.
                Share::Equal | Share::ByWeight if !by_chance => 12,
                // Six standard deviations, and the last round of the 256 buckets of a hash table is not complete.
                _ => 12 + 6 * due.isqrt() + count * 12 / 256,
            };
            for (i, (got, due)) in got.into_iter().zip(due).enumerate() {
                prop_assert!(
                    got.abs_diff(due) <= tolerance(due),
                    "{}: {weights:?}: server {i}: {got}, not {due}", algorithm.name
                );
            }
            if let Share::Capacity = share {
                prop_assert_eq!(world.step(&Step::Connect { keep: true })?, None);
            }
        }
    }

    /// Bounded disruption: whoever has a server keeps it when another one is full, and nearly always when another one
    /// goes, if the algorithm promises that.
    #[test]
    fn hashes_keep_clients_where_they_are(weights in vec(1..12u32, 2..7), flags in 0..4u8, which in 0..6u8) {
        let which = which % weights.len() as u8;
        for algorithm in ALL.iter().filter(|a| matches!(a.name, "dh" | "sh" | "mh")) {
            let mut world = World::new(algorithm);
            let service = ServiceSpec { flags: SchedFlags(flags), ..ServiceSpec::new(key(), algorithm.name) };
            world.apply(Op::EditService { service });
            for (i, weight) in (0..).zip(&weights) {
                world.step(&Step::Add(i, Weight(*weight)))?;
            }
            let before = world.picks(2000);
            world.step(&Step::Overload(which, true))?;
            let kept = |now: &[Option<DestKey>]| {
                let others = before.iter().zip(now).filter(|(then, _)| **then != Some(server(which)));
                let (all, same) = others.fold((0, 0), |(n, same), (a, b)| (n + 1, same + u32::from(a == b)));
                f64::from(same) / f64::from(all)
            };
            let full = world.picks(2000);
            let served = full.iter().all(Option::is_some);
            let falls_back = flags & 1 != 0 && algorithm.name != "dh";
            prop_assert!(kept(&full) == 1.0, "{}", algorithm.name);
            prop_assert!(served == falls_back || before.iter().all(|d| *d != Some(server(which))), "{}", algorithm.name);
            world.step(&Step::Del(which))?;
            let kept = kept(&world.picks(2000));
            prop_assert!(kept > 0.9 || algorithm.name != "mh", "{}: {weights:?}: {kept} stay", algorithm.name);
        }
    }
}

/// A service with one scheduler, and all its snapshots.
struct World {
    algorithm: &'static Algorithm,
    table: ServiceTable,
    trash: Trash,
    old: Vec<Arc<Service>>,
    /// The same clients, asking for the same, with the same luck in every world.
    flows: u64,
}

impl World {
    fn new(algorithm: &'static Algorithm) -> Self {
        let mut trash = Trash::default();
        let service = ServiceSpec::new(key(), algorithm.name);
        let table = ServiceTable::default().apply(&mut trash, &[Op::AddService { service }]).unwrap();
        Self { algorithm, table, trash, old: Vec::new(), flows: 0 }
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
                let flow = self.flow();
                if let Some(service) = self.old.iter().rev().nth(*age) {
                    let picked = service.pick(&flow);
                    let right = picked.is_none_or(|dest| may_serve(self.algorithm, dest));
                    prop_assert!(right, "{}: {picked:?}", self.algorithm.name);
                }
            }
        }
        Ok(None)
    }

    fn connect(&mut self, keep: bool) -> Result<Option<DestKey>, TestCaseError> {
        let flow = self.flow();
        let foreseen = self.foresees(&flow)?;
        let service = self.service();
        let Some(dest) = service.pick(&flow) else {
            let nobody = !service.dests.iter().any(Dest::eligible);
            prop_assert!(
                nobody || !holds(self.algorithm).serves_if_it_can,
                "{}: nobody",
                self.algorithm.name
            );
            return Ok(None);
        };
        prop_assert!(may_serve(self.algorithm, dest), "{}: {dest:?}", self.algorithm.name);
        if let Some(foreseen) = foreseen {
            prop_assert_eq!(foreseen, Some(dest.live.key));
        }
        let count = if keep { &dest.live.active } else { &dest.live.inactive };
        count.fetch_add(1, Relaxed);
        Ok(Some(dest.live.key))
    }

    /// What is said about a choice that is to come is true, and saying it changes nothing; nor does a choice by a copy.
    fn foresees(&self, flow: &Flow) -> Result<Option<Option<DestKey>>, TestCaseError> {
        // Now and then: it takes its time.
        if !self.flows.is_multiple_of(8) {
            return Ok(None);
        }
        let service = self.service();
        let before = format!("{:?}", service.live);
        let account = service.account(flow);
        let copied = self.table.copied(&mut Copies::default(), |_| true);
        let copy = copied.get(&key()).unwrap();
        let picked = copy.pick(flow).map(|dest| dest.live.key);
        prop_assert_eq!(format!("{:?}", service.live), before);
        let first = account.first().map(|standing| standing.server);
        prop_assert_eq!(first, picked, "{}: {:#?}", self.algorithm.name, account);
        Ok(Some(picked))
    }

    /// Who gets the flows of always the same clients.
    fn picks(&mut self, count: usize) -> Vec<Option<DestKey>> {
        self.flows = 0;
        let flows: Vec<_> = (0..count).map(|_| self.flow()).collect();
        flows.iter().map(|flow| self.service().pick(flow).map(|dest| dest.live.key)).collect()
    }

    fn apply(&mut self, op: Op) {
        self.old.push(Arc::clone(self.service()));
        (self.table, _) = self.table.apply_each(&mut self.trash, &[op]);
    }

    fn service(&self) -> &Arc<Service> {
        self.table.get(&key()).unwrap()
    }

    fn flow(&mut self) -> Flow {
        self.flows += 1;
        let random = [1, 2, 3].map(|salt| mix(self.flows * 4 + salt));
        let at = |bits: u64| SocketAddr::new(Ipv4Addr::from(bits as u32).into(), (bits >> 32) as u16);
        let mut flow = Flow { random: random[2], ..Flow::new(at(random[0]), at(random[1])) };
        if matches!(holds(self.algorithm).share, Share::Unknown) {
            // Destinations come again, for whoever remembers them.
            flow.vip.set_ip(Ipv4Addr::new(10, 9, 0, random[1] as u8 % 8).into());
        }
        flow
    }
}

fn key() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80))
}

/// Scatters numbers over 64 bits (the finisher of SplitMix64).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn server(number: u8) -> DestKey {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1 + number)), 80)
}

fn number(server: DestKey) -> u8 {
    let IpAddr::V4(addr) = server.ip() else { panic!("{server}") };
    addr.octets()[3] - 1
}
