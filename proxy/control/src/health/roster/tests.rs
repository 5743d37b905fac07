use sched::{
    CheckKind, DestSpec, Fitness, Health, Initially, NotifyCommand, OnDown, Op, Proto, ServiceSpec, Share,
    Trash, Weight,
};

use super::*;
use crate::health::event::Event;
use crate::health::probe::Success;

/// A roster that follows a table, and does to the table what the roster says.
struct Watched {
    roster: Roster,
    table: ServiceTable,
    trash: Trash,
    now: Instant,
    /// What has happened, in the words of the log.
    said: Vec<String>,
    told: Vec<String>,
    turned: Vec<(DestKey, Option<OnDown>)>,
}

fn key() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap())
}

fn addr(n: u8) -> DestKey {
    format!("192.168.1.{n}:80").parse().unwrap()
}

/// Servers 1 to 4 with weight 1, checked each second, down with the first failure.
fn checked(servers: u8) -> ServiceSpec {
    let check = Check { interval: 1_000, fall: 1, rise: 1, ..Check::new(CheckKind::Tcp) };
    let health = Health { checks: vec![check], ..Health::default() };
    let dests = (1..=servers).map(|n| DestSpec::new(addr(n))).collect();
    ServiceSpec { health: Some(Arc::new(health)), dests, ..ServiceSpec::new(key(), "rr") }
}

fn with(spec: &ServiceSpec, change: impl FnOnce(&mut Health)) -> Op {
    let mut health = Health::clone(spec.health.as_ref().unwrap());
    change(&mut health);
    Op::SetHealth { key: key(), health: Some(Arc::new(health)) }
}

impl Watched {
    fn new(service: ServiceSpec) -> Self {
        let mut watched = Self {
            roster: Roster::new(1),
            table: ServiceTable::default(),
            trash: Trash::default(),
            now: Instant::now(),
            said: Vec::new(),
            told: Vec::new(),
            turned: Vec::new(),
        };
        watched.edit(Op::AddService { service });
        watched
    }

    fn edit(&mut self, op: Op) {
        self.table = self.table.apply(&mut self.trash, &[op]).unwrap();
        self.follow();
    }

    fn follow(&mut self) {
        let effects = self.roster.follow(Arc::new(self.table.clone()), self.now);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, mut effects: Effects) {
        effects.extend(self.roster.settle());
        self.table = self.table.apply(&mut self.trash, &effects.ops).unwrap();
        self.said.extend(effects.events.iter().map(ToString::to_string));
        self.told.extend(effects.told.into_iter().map(|told| told.command));
        self.turned.extend(effects.turned.into_iter().map(|turned| (turned.live.key, turned.down)));
    }

    /// A second passes in which `dead` do not answer.
    fn second(&mut self, dead: &[u8]) {
        let end = self.now + Duration::from_millis(1_100);
        let mut asked = std::collections::HashSet::new();
        while let Some(at) = self.roster.next_due().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let effects = self.roster.tick(self.now);
            self.carry_out(effects);
            while let Some(due) = self.roster.due(self.now) {
                let failed = dead.iter().any(|n| addr(*n) == due.server);
                let result = if failed { Err("no".to_owned()) } else { Ok(Success::default()) };
                let outcome = Outcome { result, took: Duration::from_millis(1), lacking: false };
                let effects = self.roster.answer(&due, outcome, self.now);
                self.carry_out(effects);
                asked.insert(due.server);
            }
        }
        self.now = end;
    }

    fn in_force(&self) -> Vec<DestKey> {
        self.table.get(&key()).unwrap().listed().iter().map(|dest| dest.live.key).collect()
    }

    fn fitness(&self, n: u8) -> Fitness {
        self.table.get(&key()).unwrap().find(&addr(n)).unwrap().fitness
    }

    fn state(&self, n: u8) -> String {
        let list = self.roster.list(self.now);
        list.services[0].servers.iter().find(|s| s.server == addr(n)).unwrap().state.clone()
    }

    fn order(&mut self, n: u8, hand: Option<Hand>) {
        let effects = self.roster.order(key(), addr(n), hand, self.now).unwrap();
        self.carry_out(effects);
    }
}

#[test]
fn a_dead_server_is_taken_out_and_comes_back() {
    let mut w = Watched::new(checked(2));
    w.second(&[]);
    assert_eq!(w.in_force(), [addr(1), addr(2)]);
    w.second(&[1]);
    assert_eq!((w.in_force(), w.state(1).as_str()), (vec![addr(2)], "down"));
    assert_eq!(w.turned, [(addr(1), Some(OnDown::Reset))]);
    w.second(&[]);
    assert_eq!((w.in_force(), w.state(1).as_str()), (vec![addr(1), addr(2)], "up"));
    assert_eq!(w.turned[1..], [(addr(1), None)]);
    let of = "server 192.168.1.1:80 of TCP 10.0.0.1:80";
    assert_eq!(w.said, [format!("{of} is down: no"), format!("{of} is up: it answers")]);
}

#[test]
fn who_is_drained_dies_as_any_other_and_comes_back_by_its_checks_only() {
    let mut w = Watched::new(checked(2));
    w.second(&[]);
    let live = Arc::clone(&w.table.get(&key()).unwrap().find(&addr(1)).unwrap().live);
    let weigh = |weight| Op::EditDest {
        key: key(),
        dest: DestSpec { weight: Weight(weight), ..DestSpec::new(addr(1)) },
    };
    live.set_draining(true);
    w.edit(weigh(0));
    w.second(&[1]);
    assert_eq!((w.in_force(), w.turned.as_slice()), (vec![addr(2)], &[(addr(1), Some(OnDown::Reset))][..]));
    // The drain is undone: not even the table knows it as alive for a moment.
    live.set_draining(false);
    w.table = w.table.apply(&mut w.trash, &[weigh(7)]).unwrap();
    assert_eq!(w.in_force(), [addr(2)]);
    w.follow();
    assert_eq!((w.in_force(), w.turned.len()), (vec![addr(2)], 1));
    // And the other way round: the dead are drained.
    live.set_draining(true);
    w.edit(weigh(0));
    assert_eq!((w.in_force(), w.turned.len()), (vec![addr(2)], 1));
    live.set_draining(false);
    w.edit(weigh(1));
    w.second(&[]);
    assert_eq!(w.in_force(), [addr(1), addr(2)]);
}

#[test]
fn who_is_inhibited_stays_with_weight_0() {
    let spec = checked(2);
    let mut w = Watched::new(spec.clone());
    w.edit(with(&spec, |h| h.inhibit = true));
    w.second(&[1]);
    assert_eq!((w.in_force().len(), w.fitness(1).share), (2, Share::Inhibited));
}

#[test]
fn who_begins_as_down_is_let_in_by_its_checks() {
    let mut spec = checked(2);
    let health = Health { initially: Initially::Down, ..Health::clone(spec.health.as_ref().unwrap()) };
    spec.health = Some(Arc::new(health));
    let mut w = Watched::new(spec);
    assert_eq!(w.in_force(), []);
    w.second(&[2]);
    assert_eq!(w.in_force(), [addr(1)]);
}

#[test]
fn who_has_not_been_asked_yet_is_no_reason_to_panic() {
    let mut spec = checked(4);
    let health = Health::clone(spec.health.as_ref().unwrap());
    spec.health = Some(Arc::new(Health { initially: Initially::Down, panic: 50, ..health }));
    let mut w = Watched::new(spec.clone());
    assert_eq!(w.in_force(), []);
    w.second(&[2]);
    assert_eq!(w.in_force(), [addr(1), addr(3), addr(4)]);
    assert!(!w.said.iter().any(|line| line.contains("no check is believed")), "{:?}", w.said);
    w.second(&[1, 2]);
    assert_eq!(w.in_force().len(), 4, "those that have been asked are");
    // Other checks: the verdicts stay until they have spoken, and so does the panic.
    w.edit(with(&spec, |h| h.checks[0].port = Some(81)));
    assert_eq!(w.in_force().len(), 4);
}

#[test]
fn no_question_is_asked_twice_at_a_time_and_gone_ones_never() {
    let mut w = Watched::new(checked(3));
    let later = w.now + Duration::from_secs(60);
    let all: Vec<_> = std::iter::from_fn(|| w.roster.due(later)).collect();
    assert_eq!(all.len(), 3);
    assert!(w.roster.next_due().is_none());
    w.edit(Op::DelDest { key: key(), addr: addr(1) });
    for due in &all {
        let outcome = Outcome { result: Err("no".to_owned()), took: Duration::ZERO, lacking: false };
        let effects = w.roster.answer(due, outcome, later);
        w.carry_out(effects);
    }
    assert_eq!(w.said.iter().filter(|line| line.contains("is down")).count(), 2, "{:?}", w.said);
    assert_eq!(std::iter::from_fn(|| w.roster.due(later + Duration::from_secs(60))).count(), 2);
}

#[test]
fn what_this_host_lacks_to_ask_is_held_against_nobody_and_asked_again() {
    let mut w = Watched::new(checked(1));
    w.second(&[]);
    for _ in 0..5 {
        w.now = w.roster.next_due().unwrap();
        let due = w.roster.due(w.now).unwrap();
        let result = Err("too many files are open here".to_owned());
        let outcome = Outcome { result, took: Duration::ZERO, lacking: true };
        let effects = w.roster.answer(&due, outcome, w.now);
        w.carry_out(effects);
        let next = w.roster.next_due().unwrap() - w.now;
        assert!(next > Duration::from_millis(900), "{next:?}: after the interval");
    }
    assert_eq!((w.state(1).as_str(), w.said.len(), w.in_force()), ("up", 0, vec![addr(1)]));
}

#[test]
fn unchanged_servers_keep_their_state_whatever_else_changes() {
    let spec = checked(3);
    let mut w = Watched::new(spec.clone());
    w.second(&[1]);
    w.order(2, Some(Hand::Down));
    let said = w.said.len();
    w.edit(Op::EditService { service: ServiceSpec { scheduler: "wrr".to_owned(), ..spec.clone() } });
    w.edit(Op::EditDest { key: key(), dest: DestSpec { weight: Weight(7), ..DestSpec::new(addr(1)) } });
    w.edit(Op::AddDest { key: key(), dest: DestSpec::new(addr(4)) });
    w.edit(with(&spec, |h| h.on_down = OnDown::Keep));
    assert_eq!(w.in_force(), [addr(3), addr(4)]);
    assert_eq!((w.state(1).as_str(), w.state(2).as_str()), ("down", "down by hand"));
    assert_eq!(w.said.len(), said, "{:?}", w.said);
    // Another check: the verdict stays until it has spoken.
    w.edit(with(&spec, |h| h.checks[0].port = Some(81)));
    assert_eq!(w.state(1), "down");
    w.second(&[]);
    assert_eq!(w.state(1), "up");
}

#[test]
fn a_service_that_is_checked_no_longer_has_all_its_servers_but_those_down_by_hand() {
    let mut w = Watched::new(checked(3));
    w.second(&[1]);
    w.edit(Op::SetHealth { key: key(), health: None });
    assert_eq!(w.in_force(), [addr(1), addr(2), addr(3)]);
    assert_eq!(w.turned.last(), Some(&(addr(1), None)));
    w.order(2, Some(Hand::Down));
    assert_eq!(w.in_force(), [addr(1), addr(3)], "by hand without any check");
    w.edit(Op::AddDest { key: key(), dest: DestSpec::new(addr(4)) });
    assert_eq!(w.in_force(), [addr(1), addr(3), addr(4)]);
    w.order(2, None);
    assert_eq!(w.in_force().len(), 4);
    let nobody = w.roster.order(key(), addr(9), Some(Hand::Down), w.now).unwrap_err();
    assert_eq!(nobody, OpError::NoSuchDest);
}

#[test]
fn an_edit_that_was_lost_is_asked_for_again() {
    let mut w = Watched::new(checked(2));
    w.second(&[1]);
    // Somebody removes the server and adds it again: the table knows nothing of its state.
    let ops =
        [Op::DelDest { key: key(), addr: addr(1) }, Op::AddDest { key: key(), dest: DestSpec::new(addr(1)) }];
    w.table = w.table.apply(&mut w.trash, &ops).unwrap();
    w.follow();
    assert_eq!((w.in_force(), w.fitness(1).share), (vec![addr(2)], Share::Out));
}

#[test]
fn the_quorum_is_lost_below_and_regained_above_as_keepalived_does() {
    let spec = checked(4);
    let mut w = Watched::new(spec.clone());
    w.edit(with(&spec, |h| {
        (h.quorum, h.hysteresis, h.sorry) = (3, 1, Some(DestSpec::new(addr(99))));
        h.notify.quorum_down = Some("lost".into());
        h.notify.quorum_up = Some("found".into());
    }));
    w.second(&[1, 2]);
    assert_eq!(w.in_force().len(), 2, "2 is not below 3 - 1");
    w.second(&[1, 2, 3]);
    assert_eq!(w.in_force(), [addr(99)], "1 is; the sorry server serves alone");
    assert_eq!(
        w.said.last().unwrap(),
        "TCP 10.0.0.1:80 has lost its quorum: live servers weigh 1, the limit is 2, the sorry server 192.168.1.99:80 serves"
    );
    w.second(&[1]);
    assert_eq!(w.in_force(), [addr(99)], "3 is not 3 + 1");
    w.second(&[]);
    assert_eq!(w.in_force().len(), 4);
    assert!(w.said.last().unwrap().contains("has its quorum again"), "{:?}", w.said);
    assert_eq!(w.told, ["lost", "found"]);
    let of_sorry: Vec<_> = w.turned.iter().filter(|turned| turned.0 == addr(99)).map(|t| t.1).collect();
    assert_eq!(of_sorry, [None, Some(OnDown::Reset)], "its connections end, and its clients come back");
}

#[test]
fn without_any_live_server_the_quorum_is_lost() {
    let spec = checked(1);
    let mut w = Watched::new(spec.clone());
    w.edit(with(&spec, |h| h.sorry = Some(DestSpec::new(addr(99)))));
    w.second(&[1]);
    assert_eq!(w.in_force(), [addr(99)]);
}

#[test]
fn when_too_many_are_dead_all_are_used() {
    let spec = checked(4);
    let mut w = Watched::new(spec.clone());
    w.edit(with(&spec, |h| (h.panic, h.sorry) = (75, Some(DestSpec::new(addr(99))))));
    w.second(&[1, 2]);
    assert_eq!(w.in_force(), [addr(3), addr(4)]);
    w.second(&[1, 2, 3]);
    assert_eq!(w.in_force().len(), 4);
    assert!(w.roster.list(w.now).services[0].panic);
    let panic = "TCP 10.0.0.1:80: no check is believed, all servers are used: 3 of 4 servers are dead, the limit is 75 %";
    assert_eq!(w.said.last().unwrap(), panic);
    w.second(&[1]);
    assert_eq!(w.in_force(), [addr(2), addr(3), addr(4)]);
}

#[test]
fn commands_are_told_of_what_they_asked_for() {
    let spec = checked(2);
    let mut w = Watched::new(spec.clone());
    w.edit(with(&spec, |h| {
        h.notify.change = Some("change".into());
        h.notify.up = Some("up".into());
        let own = |line: &str| NotifyCommand { line: line.to_owned(), user: Some("alice".to_owned()) };
        h.notify.own.insert(addr(1), [Some(own("own up")), Some(own("own down"))]);
        h.notify.user = Some("bob".to_owned());
        h.notify.down = Some("down".into());
        h.notify.at_stop = true;
    }));
    w.second(&[1]);
    assert_eq!(w.told, ["change", "down", "own down"]);
    w.second(&[2]);
    assert_eq!(w.told[3..], ["change", "up", "own up", "change", "down"].map(str::to_owned)[..]);
    let last = w.roster.stop().told;
    assert_eq!(last.iter().map(|t| t.command.as_str()).collect::<Vec<_>>(), ["down", "own down"]);
    assert_eq!(last.iter().map(|t| t.user.as_deref()).collect::<Vec<_>>(), [Some("bob"), Some("alice")]);
    let facts: HashMap<_, _> = last[0].environment().into_iter().collect();
    assert_eq!(facts["ULVS_SERVICE"], "tcp/10.0.0.1:80");
    assert_eq!((facts["ULVS_SERVER"].as_str(), facts["ULVS_STATE"].as_str()), ("192.168.1.1:80", "down"));
    // The same names that the command of a check has.
    let names = ["PROTOCOL", "VIP", "VPORT", "MARK", "RIP", "RPORT", "EVENT", "REASON"];
    let facts = names.map(|name| facts[format!("ULVS_{name}").as_str()].as_str());
    assert_eq!(facts, ["tcp", "10.0.0.1", "80", "", "192.168.1.1", "80", "down", "ulvs stops"]);
}

#[test]
fn clients_that_get_nowhere_have_a_server_taken_out_for_a_while() {
    let mut spec = checked(2);
    let passive = Some(sched::Passive { fall: 3, hold: 5_000, max_hold: 60_000 });
    spec.health = Some(Arc::new(Health { passive, ..Health::default() }));
    let mut w = Watched::new(spec);
    let live = Arc::clone(&w.table.get(&key()).unwrap().find(&addr(1)).unwrap().live);
    (0..3).for_each(|_| live.count_refused());
    w.second(&[]);
    assert_eq!((w.in_force(), w.state(1).as_str()), (vec![addr(2)], "held"));
    (0..3).for_each(|_| live.count_refused());
    for _ in 0..5 {
        w.second(&[]);
    }
    assert_eq!((w.in_force().len(), w.state(1).as_str()), (2, "up"), "{:?}", w.said);
}

#[test]
fn a_thousand_that_begin_together_do_not_fire_together() {
    let mut spec = checked(0);
    spec.dests = (0..1000)
        .map(|i: u32| DestSpec::new((std::net::Ipv4Addr::from_bits(0x0a01_0000 + i), 80).into()))
        .collect();
    let mut w = Watched::new(spec);
    let mut counts = [0; 10];
    for (tenth, count) in (1..).zip(&mut counts) {
        let now = w.now + Duration::from_millis(100) * tenth;
        *count = std::iter::from_fn(|| w.roster.due(now)).count();
    }
    assert!(counts.iter().all(|n| (60..140).contains(n)), "{counts:?}");
}

#[test]
fn an_event_survives_its_journey() {
    let mut w = Watched::new(checked(2));
    w.second(&[1]);
    let effects = w.roster.order(key(), addr(2), Some(Hand::Down), w.now).unwrap();
    let text = serde_json::to_string(&effects.events).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Event>>(&text).unwrap(), effects.events);
}
