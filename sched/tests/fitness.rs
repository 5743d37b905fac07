//! Who of a service's servers is in force: what the control plane takes out stays configured, and comes back where it was.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use proptest::prelude::*;
use sched::{
    Check, CheckKind, DestSpec, Fitness, Flow, Health, Initially, NotifyCommand, Op, OpError, Service,
    ServiceKey, ServiceSpec, ServiceTable, Share, Trash, Weight, Window,
};

struct Director {
    table: ServiceTable,
    trash: Trash,
}

impl Director {
    fn new(scheduler: &str, servers: u8, health: Health) -> Self {
        let dests = (1..=servers).map(|n| DestSpec { weight: Weight(n.into()), ..server(n) }).collect();
        let health = Some(Arc::new(health));
        let service = ServiceSpec { dests, health, ..ServiceSpec::new(key(), scheduler) };
        let mut director = Self { table: ServiceTable::default(), trash: Trash::default() };
        director.apply(Op::AddService { service }).unwrap();
        director
    }

    fn apply(&mut self, op: Op) -> Result<(), OpError> {
        self.table = self.table.apply(&mut self.trash, &[op]).map_err(|(_, error)| error)?;
        Ok(())
    }

    fn fit(&mut self, n: u8, share: Share, weight: Option<u32>) {
        let fitness = Fitness { share, weight: weight.map(Weight) };
        self.apply(Op::SetFitness { key: key(), addr: server(n).addr, fitness }).unwrap();
    }

    fn service(&self) -> &Service {
        self.table.get(&key()).unwrap()
    }

    /// Last byte of the address and weight in force, as `ipvsadm -L` has them.
    fn listed(&self) -> Vec<(u16, u32)> {
        self.service().listed().iter().map(|d| (d.live.key.port(), d.weight.0)).collect()
    }

    fn picks(&self, flows: u16) -> Vec<Option<u16>> {
        let flow = |i: u16| Flow::new(([10, 9, (i >> 8) as u8, i as u8], 1024).into(), vip());
        (0..flows).map(|i| self.service().pick(&flow(i)).map(|d| d.live.key.port())).collect()
    }
}

fn key() -> ServiceKey {
    "tcp/10.0.0.1:80".parse().unwrap()
}

fn vip() -> std::net::SocketAddr {
    "10.0.0.1:80".parse().unwrap()
}

/// Servers are told apart by their port.
fn server(n: u8) -> DestSpec {
    DestSpec::new(([192, 168, 1, 1], u16::from(n)).into())
}

fn sorry() -> Health {
    Health { sorry: Some(server(99)), ..Health::default() }
}

#[test]
fn who_is_out_gets_nothing_and_stays_configured() {
    let mut director = Director::new("rr", 3, Health::default());
    let configured = director.service().spec();
    director.fit(2, Share::Out, None);
    assert_eq!(director.listed(), [(1, 1), (3, 3)]);
    assert!(!director.picks(20).contains(&Some(2)));
    assert_eq!(director.service().spec(), configured, "what is saved and compared with files");
    assert!(director.service().find(&server(2).addr).unwrap().live.is_available(), "its connections go on");
    director.fit(2, Share::In, None);
    assert_eq!(director.listed(), [(1, 1), (2, 2), (3, 3)]);
    assert!(director.picks(20).contains(&Some(2)));
}

#[test]
fn who_is_inhibited_is_listed_with_weight_0() {
    let mut director = Director::new("wlc", 2, Health::default());
    director.fit(1, Share::Inhibited, None);
    assert_eq!(director.listed(), [(1, 0), (2, 2)]);
    assert!(!director.picks(20).contains(&Some(1)));
    assert_eq!(director.service().spec().dests[0].weight, Weight(1));
}

#[test]
fn an_operators_weight_is_kept_for_the_day_that_the_server_is_back() {
    let mut director = Director::new("wrr", 2, Health::default());
    director.fit(1, Share::Out, None);
    let dest = DestSpec { weight: Weight(7), ..server(1) };
    director.apply(Op::EditDest { key: key(), dest }).unwrap();
    assert_eq!(director.listed(), [(2, 2)], "an edit by hand does not bring it back");
    director.fit(1, Share::In, None);
    assert_eq!(director.listed(), [(1, 7), (2, 2)]);
    director.fit(1, Share::In, Some(50));
    assert_eq!(director.listed(), [(1, 50), (2, 2)], "a check may say another");
    assert_eq!(director.service().spec().dests[0].weight, Weight(7));
    let too_much = Fitness { share: Share::In, weight: Some(Weight(1 << 31)) };
    let op = Op::SetFitness { key: key(), addr: server(1).addr, fitness: too_much };
    assert_eq!(director.apply(op), Err(OpError::OutOfRange));
}

#[test]
fn who_is_removed_while_out_is_gone_for_good() {
    let mut director = Director::new("rr", 2, Health::default());
    director.fit(1, Share::Out, None);
    director.apply(Op::DelDest { key: key(), addr: server(1).addr }).unwrap();
    assert_eq!(director.service().spec().dests.len(), 1);
    director.apply(Op::AddDest { key: key(), dest: server(1) }).unwrap();
    assert_eq!(director.listed(), [(1, 1), (2, 2)], "added anew, it is in");
    let unknown = Op::SetFitness { key: key(), addr: server(5).addr, fitness: Fitness::default() };
    assert_eq!(director.apply(unknown), Err(OpError::NoSuchDest));
}

#[test]
fn servers_that_begin_as_dead_are_out_from_their_first_moment() {
    let checks = vec![Check::new(CheckKind::Tcp)];
    let own = [(server(1).addr, Vec::new())].into();
    let health = Health { checks, own, initially: Initially::Down, ..Health::default() };
    let mut director = Director::new("rr", 2, health.clone());
    assert_eq!(director.listed(), [(1, 1)], "nobody asks the first one");
    director.apply(Op::AddDest { key: key(), dest: server(3) }).unwrap();
    assert_eq!(director.listed(), [(1, 1)]);
    let director = Director::new("rr", 2, Health { inhibit: true, ..health });
    assert_eq!(director.listed(), [(1, 1), (2, 0)]);
}

#[test]
fn the_sorry_server_serves_alone() {
    let mut director = Director::new("wlc", 2, sorry());
    assert_eq!(director.listed(), [(1, 1), (2, 2)]);
    director.apply(Op::SetSorry { key: key(), on: true }).unwrap();
    assert_eq!((director.listed(), director.picks(3)), (vec![(99, 1)], vec![Some(99); 3]));
    assert!(director.service().serves_sorry());
    director.fit(1, Share::Out, None);
    director.apply(Op::SetSorry { key: key(), on: false }).unwrap();
    assert_eq!(director.listed(), [(2, 2)]);
    let mut none = Director::new("rr", 1, Health::default());
    assert_eq!(none.apply(Op::SetSorry { key: key(), on: true }), Err(OpError::NoSuchDest));
}

#[test]
fn an_inhibited_sorry_server_is_listed_with_weight_0_until_it_serves() {
    let mut director = Director::new("wlc", 1, Health { sorry_inhibit: true, ..sorry() });
    assert_eq!((director.listed(), director.picks(2)), (vec![(1, 1), (99, 0)], vec![Some(1); 2]));
    director.apply(Op::SetSorry { key: key(), on: true }).unwrap();
    assert_eq!(director.listed(), [(99, 1)]);
}

#[test]
fn another_sorry_server_takes_over_at_once_and_none_gives_way() {
    let mut director = Director::new("rr", 1, sorry());
    director.apply(Op::SetSorry { key: key(), on: true }).unwrap();
    let set = |health: Option<Health>| Op::SetHealth { key: key(), health: health.map(Arc::new) };
    director.apply(set(Some(Health { sorry: Some(server(98)), ..Health::default() }))).unwrap();
    assert_eq!(director.listed(), [(98, 1)]);
    director.apply(set(None)).unwrap();
    assert_eq!(director.listed(), [(1, 1)]);
    let twice = Health { sorry: Some(server(1)), ..Health::default() };
    assert_eq!(director.apply(set(Some(twice))), Err(OpError::DestExists));
    director.apply(set(Some(sorry()))).unwrap();
    assert_eq!(director.apply(Op::AddDest { key: key(), dest: server(99) }), Err(OpError::DestExists));
}

#[test]
fn numbers_that_cannot_be_meant_are_refused_however_they_come() {
    let mut director = Director::new("rr", 1, Health::default());
    let window = |failures, of| {
        let check = Check { window: Some(Window { failures, of }), ..Check::new(CheckKind::Tcp) };
        Health { checks: vec![check], ..Health::default() }
    };
    let own = |health: Health| Health { own: [(server(1).addr, health.checks)].into(), ..Health::default() };
    let quorum = |quorum, hysteresis| Health { quorum, hysteresis, ..Health::default() };
    let panic = |panic| Health { panic, ..Health::default() };
    let good = [quorum(1, 0), quorum(3, 2), panic(100), window(1, 1), window(64, 64), own(window(3, 10))];
    let bad = [
        quorum(0, 0),
        quorum(2, 2),
        panic(101),
        window(0, 3),
        window(4, 3),
        window(1, 65),
        own(window(0, 0)),
    ];
    let cases = good.into_iter().map(|h| (h, Ok(()))).chain(bad.map(|h| (h, Err(OpError::InvalidHealth))));
    for (health, expected) in cases {
        let health = Some(Arc::new(health));
        let op = Op::SetHealth { key: key(), health: health.clone() };
        assert_eq!(director.apply(op), expected, "{health:?}");
        director.apply(Op::DelService { key: key() }).unwrap();
        let service = ServiceSpec { health: health.clone(), ..ServiceSpec::new(key(), "rr") };
        assert_eq!(director.apply(Op::AddService { service }), expected, "{health:?}");
        if expected.is_err() {
            director.apply(Op::AddService { service: ServiceSpec::new(key(), "rr") }).unwrap();
        }
    }
}

#[test]
fn a_sorry_server_heeds_other_thresholds_at_once() {
    let limited = |upper| Health { sorry: Some(DestSpec { upper, ..server(99) }), ..Health::default() };
    let mut director = Director::new("rr", 1, limited(0));
    director.apply(Op::SetSorry { key: key(), on: true }).unwrap();
    let live = Arc::clone(&director.service().sorry.as_ref().unwrap().live);
    live.inactive.fetch_add(1, Relaxed);
    for (upper, chosen) in [(0, Some(99)), (1, None), (2, Some(99)), (1, None), (0, Some(99))] {
        director.apply(Op::SetHealth { key: key(), health: Some(Arc::new(limited(upper))) }).unwrap();
        assert_eq!(director.picks(1), [chosen], "one connection is there, {upper} may be");
    }
}

#[test]
fn replies_of_those_who_are_out_still_come_back_through_us() {
    let mut director = Director::new("rr", 2, sorry());
    let sources = director.service().reply_sources().count();
    director.fit(1, Share::Out, None);
    director.apply(Op::SetSorry { key: key(), on: true }).unwrap();
    assert_eq!((sources, director.service().reply_sources().count()), (3, 3));
    let from = ([192, 168, 1, 1], 1).into();
    assert!(director.table.is_server(sched::Proto::Tcp, from));
}

#[test]
fn who_comes_back_begins_with_a_tenth() {
    let mut director = Director::new("wlc", 1, Health::default());
    let dest = DestSpec { weight: Weight(10), slow_start: 90, ..server(1) };
    director.apply(Op::EditDest { key: key(), dest }).unwrap();
    assert!(!director.table.is_ramping());
    director.fit(1, Share::Out, None);
    director.fit(1, Share::In, None);
    assert!(director.table.is_ramping());
    assert_eq!(director.service().dests[0].tenths(), 1);
    let mut at = |seconds| {
        director.table =
            director.table.ramp(Duration::from_secs(seconds)).unwrap_or_else(|| director.table.clone());
        director.table.get(&key()).unwrap().dests[0].tenths()
    };
    assert_eq!((at(100), at(150), at(190)), (1, 6, 10));
}

proptest! {
    /// Whatever comes and goes, schedulers have in their hands exactly who is in force, and choose nobody else.
    #[test]
    fn nobody_out_is_ever_chosen(
        scheduler in prop::sample::select(sched::algo::ALL.iter().map(|a| a.name).collect::<Vec<_>>()),
        steps in prop::collection::vec((1..=6u8, 0..7u8), 1..40),
    ) {
        let mut director = Director::new(scheduler, 6, sorry());
        let mut shares = [Share::In; 6];
        let mut on_sorry = false;
        for (n, what) in steps {
            let share = [Share::In, Share::Out, Share::Inhibited][usize::from(what % 3)];
            if what == 6 {
                on_sorry = !on_sorry;
                director.apply(Op::SetSorry { key: key(), on: on_sorry }).unwrap();
            } else {
                shares[usize::from(n) - 1] = share;
                director.fit(n, share, None);
            }
            let serves = |port: u16| match port {
                99 => on_sorry,
                n => !on_sorry && shares[usize::from(n) - 1] == Share::In,
            };
            for pick in director.picks(12) {
                prop_assert!(pick.is_none_or(serves), "{scheduler} chose {pick:?}");
            }
            let listed = director.listed().iter().filter(|(_, weight)| *weight > 0).count();
            let expected = if on_sorry { 1 } else { shares.iter().filter(|s| **s == Share::In).count() };
            prop_assert_eq!(listed, expected);
        }
    }

    /// Many changes in one go come to what they come to one by one.
    #[test]
    fn all_at_once_is_like_one_by_one(
        scheduler in prop::sample::select(vec!["rr", "wlc", "sh", "dh", "mh", "lblcr"]),
        steps in prop::collection::btree_map(1..=6u8, 0..3usize, 1..6),
        before in 0..9u16,
    ) {
        let shares = [Share::In, Share::Out, Share::Inhibited];
        let mut directors = [(), ()].map(|()| Director::new(scheduler, 6, Health::default()));
        directors.iter().for_each(|director| drop(director.picks(before)));
        let [single, whole] = &mut directors;
        steps.iter().for_each(|(n, share)| single.fit(*n, shares[*share], None));
        let op = |(n, share): (&u8, &usize)| {
            let fitness = Fitness { share: shares[*share], weight: None };
            Op::SetFitness { key: key(), addr: server(*n).addr, fitness }
        };
        let ops: Vec<_> = steps.iter().map(op).collect();
        whole.table = whole.table.apply(&mut whole.trash, &ops).unwrap();
        prop_assert_eq!(single.listed(), whole.listed());
        prop_assert_eq!(single.picks(40), whole.picks(40));
    }

    /// Who is taken out and put back leaves a hash scheduler's choices as they were.
    #[test]
    fn hash_schedulers_find_everybody_where_they_were(
        scheduler in prop::sample::select(vec!["sh", "dh", "mh"]),
        out in 1..=6u8,
    ) {
        let mut director = Director::new(scheduler, 6, Health::default());
        let before = director.picks(200);
        director.fit(out, Share::Out, None);
        prop_assert!(!director.picks(200).contains(&Some(out.into())));
        director.fit(out, Share::In, None);
        prop_assert_eq!(director.picks(200), before);
    }
}

#[test]
fn a_command_that_is_told_travels_as_a_word_unless_somebody_else_runs_it() {
    let plain = NotifyCommand::from("/bin/up it");
    let other = NotifyCommand { user: Some("alice:staff".to_owned()), ..NotifyCommand::from("/bin/up") };
    for (command, text) in
        [(plain, r#""/bin/up it""#), (other, r#"{"command":"/bin/up","user":"alice:staff"}"#)]
    {
        assert_eq!(serde_json::to_string(&command).unwrap(), text);
        assert_eq!(serde_json::from_str::<NotifyCommand>(text).unwrap(), command);
    }
    let nobody_else = serde_json::from_str::<NotifyCommand>(r#"{"command":"/bin/up it"}"#);
    assert_eq!(nobody_else.unwrap(), NotifyCommand::from("/bin/up it"));
}
