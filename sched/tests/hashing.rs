//! What clients of hash schedulers can rely on.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;
use sched::{
    DestKey, DestSpec, Flow, Op, Proto, SchedFlags, ServiceKey, ServiceSpec, ServiceTable, Trash, Weight,
};

const HASHING: [&str; 3] = ["dh", "sh", "mh"];
const CLIENTS: usize = 3000;

#[derive(Clone, Debug)]
enum Step {
    Add(u8, u32),
    Edit(u8, u32),
    Del(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let weight = || prop_oneof![4 => 1..9u32, 1 => 1..500u32];
    prop_oneof![
        3 => (0..8u8, weight()).prop_map(|(s, w)| Step::Add(s, w)),
        1 => (0..8u8, weight()).prop_map(|(s, w)| Step::Edit(s, w)),
        1 => (0..8u8).prop_map(Step::Del),
    ]
}

proptest! {
    /// Two directors with the same list, one of which was started a moment ago, send each client to the same server.
    #[test]
    fn only_the_list_counts_and_not_how_it_came_about(steps in vec(step(), 1..30), flags in 0..4u8) {
        for scheduler in HASHING {
            let mut old = Service::new(scheduler, SchedFlags(flags));
            steps.iter().for_each(|step| old.step(step));
            let mut new = Service::new("rr", SchedFlags(0));
            for dest in old.spec().dests {
                new.apply(Op::AddDest { key: key(), dest });
            }
            new.apply(Op::EditService { service: old.spec() });
            prop_assert_eq!(old.picks(), new.picks(), "{}", scheduler);
        }
    }

    /// A new server takes its share from everybody, and hardly anybody else has to move.
    #[test]
    fn a_new_server_of_mh_moves_few_clients_to_others(weights in vec(1..12u32, 2..7)) {
        let mut service = Service::new("mh", SchedFlags(0));
        (1..).zip(&weights).for_each(|(i, weight)| service.step(&Step::Add(i, *weight)));
        let before = service.picks();
        service.step(&Step::Add(0, weights[0]));
        let after = service.picks();
        let moved = before.iter().zip(&after).filter(|(was, is)| was != is);
        let (to_it, away) = moved.fold((0_usize, 0_usize), |(to_it, away), (_, is)| {
            if *is == Some(server(0)) { (to_it + 1, away) } else { (to_it, away + 1) }
        });
        let share = CLIENTS * weights[0] as usize / (weights[0] + weights.iter().sum::<u32>()) as usize;
        prop_assert!(to_it.abs_diff(share) < 40 + share / 4, "{weights:?}: {to_it}, not {share}");
        prop_assert!(away < CLIENTS / 10, "{weights:?}: {away} of {CLIENTS}");
    }

    /// A server that goes takes along only its own slots, as long as the others' are dealt as before: if it is the
    /// oldest, all before the first of its slots, and if only its weight 1 becomes 0, all.
    #[test]
    fn sh_deals_in_order(weights in vec(1..60u32, 1..5)) {
        let mut service = Service::new("sh", SchedFlags(0));
        service.step(&Step::Add(0, 1));
        (1..).zip(&weights).for_each(|(i, weight)| service.step(&Step::Add(i, *weight)));
        let before = service.picks();
        service.step(&Step::Edit(0, 0));
        let drained = service.picks();
        let but_its_own = |was: &Option<DestKey>| was.filter(|dest| *dest != server(0));
        prop_assert_eq!(before.iter().map(but_its_own).collect::<Vec<_>>(), drained);
        service.step(&Step::Del(0));
        let first_round = weights.iter().sum::<u32>() as usize;
        for (client, was) in clients().zip(&before) {
            let slot = (client.to_bits().wrapping_mul(0x61c8_8647) >> 24) as usize;
            let is = service.pick(client.into(), 1);
            prop_assert!(slot >= first_round || is == *was, "{client}");
        }
    }
}

#[test]
fn what_is_not_hashed_does_not_count() {
    let picks = |scheduler, flags, flow: fn(u8) -> (u8, u16, u8, u16)| {
        let mut service = Service::new(scheduler, SchedFlags(flags));
        (0..7).for_each(|i| service.step(&Step::Add(i, 1)));
        let at = |net, host, l4_port| SocketAddr::new(Ipv4Addr::new(10, net, 0, host).into(), l4_port);
        let flows = (0..20).map(flow);
        let mut picks: Vec<_> = flows
            .map(|(client, port, vip, vport)| {
                service.pick_flow(&Flow::new(at(1, client, port), at(2, vip, vport)))
            })
            .collect();
        picks.dedup();
        picks.len()
    };
    for scheduler in ["sh", "mh"] {
        assert_eq!(picks(scheduler, 0, |i| (1, i.into(), i, i.into())), 1);
        assert_eq!(picks(scheduler, 2, |i| (1, 80, i, i.into())), 1);
        assert_eq!(picks(scheduler, 2, |i| (i, 80 - u16::from(i), i, 1)), 1, "the sum counts");
        assert!(picks(scheduler, 0, |i| (i, 1, 1, 1)) > 5);
        assert!(picks(scheduler, 2, |i| (1, i.into(), 1, 1)) > 5);
    }
    assert_eq!(picks("dh", 3, |i| (i, i.into(), 1, i.into())), 1);
    assert!(picks("dh", 0, |i| (1, 1, i, 1)) > 5);
}

#[test]
fn ipv6_clients_spread_too() {
    for scheduler in ["sh", "mh"] {
        let mut service = Service::new(scheduler, SchedFlags(0));
        (0..4).for_each(|i| service.step(&Step::Add(i, 1)));
        let client = |i: u128| IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | i << 64 | 1));
        let hits =
            (0..4).map(|s| (0..4000).filter(|i| service.pick(client(*i), 1) == Some(server(s))).count());
        assert!(
            hits.clone().all(|hits| (800..1200).contains(&hits)),
            "{scheduler}: {:?}",
            hits.collect::<Vec<_>>()
        );
    }
}

/// A service and its director.
struct Service {
    table: ServiceTable,
    trash: Trash,
}

impl Service {
    fn new(scheduler: &str, flags: SchedFlags) -> Self {
        let mut new = Self { table: ServiceTable::default(), trash: Trash::default() };
        new.apply(Op::AddService { service: ServiceSpec { flags, ..ServiceSpec::new(key(), scheduler) } });
        new
    }

    /// What makes no sense changes nothing.
    fn step(&mut self, step: &Step) {
        let spec = |s: &u8, weight: &u32| DestSpec { weight: Weight(*weight), ..DestSpec::new(server(*s)) };
        self.apply(match step {
            Step::Add(s, weight) => Op::AddDest { key: key(), dest: spec(s, weight) },
            Step::Edit(s, weight) => Op::EditDest { key: key(), dest: spec(s, weight) },
            Step::Del(s) => Op::DelDest { key: key(), addr: server(*s) },
        });
    }

    fn apply(&mut self, op: Op) {
        (self.table, _) = self.table.apply_each(&mut self.trash, &[op]);
    }

    fn spec(&self) -> ServiceSpec {
        self.table.get(&key()).unwrap().spec()
    }

    fn picks(&self) -> Vec<Option<DestKey>> {
        clients().map(|client| self.pick(client.into(), 4000)).collect()
    }

    /// The destination changes with the client, for those that hash it.
    fn pick(&self, client: IpAddr, l4_port: u16) -> Option<DestKey> {
        self.pick_flow(&Flow::new(SocketAddr::new(client, l4_port), SocketAddr::new(client, 80)))
    }

    fn pick_flow(&self, flow: &Flow) -> Option<DestKey> {
        self.table.get(&key()).unwrap().pick(flow).map(|dest| dest.live.key)
    }
}

fn key() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1).into(), 80))
}

fn server(n: u8) -> DestKey {
    SocketAddr::new(Ipv4Addr::new(192, 168, 0, 1 + n).into(), 80)
}

fn clients() -> impl Iterator<Item = Ipv4Addr> {
    (0..CLIENTS as u32).map(|i| Ipv4Addr::from_bits(0x0a01_0000 + i * 7919))
}
