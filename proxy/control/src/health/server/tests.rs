mod every;

use proptest::prelude::*;
use sched::{CheckKind, Passive};

use super::*;
use crate::health::probe::Success;

fn check(fall: u32, rise: u32) -> Arc<Check> {
    Arc::new(Check { fall, rise, ..Check::new(CheckKind::Tcp) })
}

fn answer(ok: bool) -> Outcome {
    let result = if ok { Ok(Success::default()) } else { Err("connection refused".to_owned()) };
    Outcome { result, took: Duration::from_millis(1), lacking: false }
}

fn weighted(weight: Weighting) -> Outcome {
    Outcome { result: Ok(Success { weight: Some(weight) }), took: Duration::ZERO, lacking: false }
}

/// What it says to a list of answers of its first check.
fn told(server: &mut Server, health: &Health, answers: &[bool]) -> Vec<String> {
    let now = Instant::now();
    let turns = answers.iter().flat_map(|ok| server.heed(0, answer(*ok), health, now)).collect::<Vec<_>>();
    turns.into_iter().map(|(kind, reason)| format!("{}: {reason}", kind.name())).collect()
}

#[test]
fn one_failure_is_soft_and_three_in_a_row_are_hard() {
    let health = Health::default();
    let mut server = Server::new(&[check(3, 2)], Initially::Up, Instant::now());
    let now = Instant::now();
    assert_eq!(told(&mut server, &health, &[true, false]), ["soft-down: connection refused"]);
    assert_eq!((server.words(now).as_str(), server.is_alive()), ("soft-down 1/3", true));
    assert_eq!(server.reason_now(), "connection refused");
    assert_eq!(told(&mut server, &health, &[true]), ["firm: it answers"]);
    assert_eq!(server.reason_now(), "it answers", "what has shown that it lives");
    let all = told(&mut server, &health, &[false, false, false, false]);
    assert_eq!(all, ["soft-down: connection refused", "down: connection refused (3 of 3)"]);
    assert_eq!((server.words(now).as_str(), server.is_alive(), server.falls), ("down", false, 1));
    let all = told(&mut server, &health, &[true, false, true, true]);
    let expected = ["soft-up: it answers", "firm: connection refused", "soft-up: it answers"];
    assert_eq!(all[..3], expected);
    assert_eq!(all[3..], ["up: it answers (2 of 2)"]);
    assert_eq!((server.words(now).as_str(), server.rises), ("up", 1));
}

#[test]
fn failures_of_a_window_are_counted_in_its_words() {
    let window = Some(Window { failures: 2, of: 5 });
    let check = Arc::new(Check { window, ..Check::new(CheckKind::Tcp) });
    let mut server = Server::new(&[check], Initially::Up, Instant::now());
    let all = told(&mut server, &Health::default(), &[false, true, false]);
    assert_eq!(all.last().unwrap(), "down: connection refused (2 of the last 5)");
}

#[test]
fn all_checks_have_to_succeed_or_any() {
    for (need, alive) in [(Need::All, [false, false, true]), (Need::Any, [false, true, true])] {
        let health = Health { need, ..Health::default() };
        let now = Instant::now();
        let mut server = Server::new(&[check(1, 1), check(1, 1)], Initially::Down, now);
        assert!(!server.is_alive());
        let mut after = |i, ok| {
            server.heed(i, answer(ok), &health, now);
            server.is_alive()
        };
        assert_eq!([after(0, false), after(1, true), after(0, true)], alive, "{need:?}");
    }
}

#[test]
fn of_several_checks_the_one_that_failed_is_named() {
    let http = Arc::new(Check { fall: 1, ..Check::new(CheckKind::Smtp { helo: "a".to_owned() }) });
    let mut server = Server::new(&[check(1, 1), http], Initially::Up, Instant::now());
    let turns = server.heed(1, answer(false), &Health::default(), Instant::now());
    assert_eq!(turns, [(EventKind::Down, "smtp: connection refused".to_owned())]);
}

#[test]
fn who_begins_as_down_is_up_once_each_check_has_succeeded_once() {
    let health = Health::default();
    let now = Instant::now();
    let mut server = Server::new(&[check(3, 5), check(3, 5)], Initially::Down, now);
    assert_eq!(server.heed(0, answer(true), &health, now), []);
    assert_eq!(server.heed(1, answer(true), &health, now), [(EventKind::Up, "tcp: it answers".to_owned())]);
}

#[test]
fn who_begins_as_down_and_fails_is_down_because_of_that() {
    let mut server = Server::new(&[check(3, 1), check(3, 1)], Initially::Down, Instant::now());
    assert_eq!(server.reason_now(), "not asked yet");
    server.heed(0, answer(true), &Health::default(), Instant::now());
    assert_eq!(server.reason_now(), "not asked yet", "the other one has not been");
    server.heed(1, answer(false), &Health::default(), Instant::now());
    assert_eq!(server.reason_now(), "tcp: connection refused");
}

#[test]
fn what_is_said_by_hand_wins_and_is_given_back() {
    let (health, now) = (Health::default(), Instant::now());
    let mut server = Server::new(&[check(1, 1)], Initially::Up, now);
    let fitness = |server: &Server| server.fitness(&health, false, false, Weight(1)).share;
    let kinds = |turns: Vec<Turn>| turns.into_iter().map(|turn| turn.0).collect::<Vec<_>>();
    assert_eq!(kinds(server.order(Some(Hand::Down), &health, now)), [EventKind::Down]);
    assert_eq!((server.words(now).as_str(), fitness(&server)), ("down by hand", Share::Out));
    assert_eq!(kinds(server.order(Some(Hand::Down), &health, now)), [], "said already");
    assert_eq!(told(&mut server, &health, &[true, false, false]), [""; 0], "nobody asked the checks");
    assert_eq!(kinds(server.order(Some(Hand::Up), &health, now)), [EventKind::Up]);
    assert_eq!((server.words(now).as_str(), fitness(&server)), ("up by hand", Share::In));
    let back = server.order(None, &health, now);
    assert_eq!(back, [(EventKind::Down, "it was given back to its checks".to_owned())]);
    assert_eq!((server.words(now).as_str(), fitness(&server)), ("down", Share::Out));
    assert_eq!(kinds(server.order(Some(Hand::Down), &health, now)), [EventKind::ByHand], "dead as before");
}

#[test]
fn who_is_drained_keeps_weight_0_and_may_die_all_the_same() {
    let health = Health::default();
    let mut server = Server::new(&[check(1, 1)], Initially::Up, Instant::now());
    server.heed(0, weighted(Weighting::Absolute(Weight(9))), &health, Instant::now());
    let fitness = |server: &Server| server.fitness(&health, false, true, Weight(0));
    assert_eq!(fitness(&server), Fitness::default(), "weight 0 stays");
    told(&mut server, &health, &[false]);
    assert_eq!(fitness(&server), Fitness { share: Share::Out, weight: None });
}

#[test]
fn in_panic_no_check_is_believed_but_hands_are() {
    let (health, now) = (Health { inhibit: true, ..Health::default() }, Instant::now());
    let mut server = Server::new(&[check(1, 1)], Initially::Up, now);
    told(&mut server, &health, &[false]);
    let share = |server: &Server, panic| server.fitness(&health, panic, false, Weight(1)).share;
    assert_eq!([share(&server, false), share(&server, true)], [Share::Inhibited, Share::In]);
    server.order(Some(Hand::Down), &health, now);
    assert_eq!(share(&server, true), Share::Inhibited);
}

#[test]
fn checks_say_weights_and_add_to_them() {
    let (health, now) = (Health::default(), Instant::now());
    let mut server = Server::new(&[check(1, 1), check(1, 1)], Initially::Up, now);
    let weight = |server: &Server| server.fitness(&health, false, false, Weight(5)).weight;
    assert_eq!(weight(&server), None);
    server.heed(0, weighted(Weighting::Add(-2)), &health, now);
    assert_eq!(weight(&server), Some(Weight(3)));
    server.heed(1, weighted(Weighting::Absolute(Weight(10))), &health, now);
    assert_eq!(weight(&server), Some(Weight(8)));
    server.heed(0, weighted(Weighting::Add(-20)), &health, now);
    assert_eq!(weight(&server), Some(Weight(0)), "never below 0");
    server.heed(0, answer(true), &health, now);
    assert_eq!(weight(&server), Some(Weight(10)), "it has nothing to add any more");
}

#[test]
fn a_check_that_stays_keeps_its_state_and_one_that_changed_keeps_the_verdict() {
    let (health, now) = (Health::default(), Instant::now());
    let (tcp, smtp) = (check(3, 2), Arc::new(Check::new(CheckKind::Smtp { helo: "a".to_owned() })));
    let mut server = Server::new(&[Arc::clone(&tcp)], Initially::Up, now);
    told(&mut server, &health, &[false, false]);
    assert_eq!(server.refit(&[Arc::clone(&smtp), Arc::clone(&tcp)], &health, now), []);
    assert_eq!(server.words(now), "soft-down 2/3");
    told(&mut server, &health, &[]);
    server.heed(1, answer(false), &health, now);
    assert_eq!(server.words(now), "down");
    // The one that failed gets another interval, the verdict stays until it has spoken.
    let changed = Arc::new(Check { interval: 7, ..Check::new(CheckKind::Tcp) });
    assert_eq!(server.refit(&[smtp, changed], &health, now), []);
    assert_eq!(server.words(now), "down");
    let up = server.heed(1, answer(true), &health, now);
    assert_eq!(up, [(EventKind::Up, "tcp: it answers".to_owned())], "and its first word counts");
}

#[test]
fn a_check_that_goes_takes_its_verdict_along() {
    let (health, now) = (Health::default(), Instant::now());
    let mut server = Server::new(&[check(1, 1)], Initially::Up, now);
    told(&mut server, &health, &[false]);
    assert_eq!(server.refit(&[], &health, now), [(EventKind::Up, "its checks have changed".to_owned())]);
}

#[test]
fn clients_say_that_a_server_is_dead_and_time_gives_it_another_chance() {
    let passive = Some(Passive { fall: 3, hold: 1_000, max_hold: 60_000 });
    let (health, now) = (Health { passive, ..Health::default() }, Instant::now());
    let mut server = Server::new(&[], Initially::Up, now);
    assert_eq!(server.meet(Met { answered: 5, in_a_row: 2, ..Met::default() }, &health, now), []);
    let turns = server.meet(Met { answered: 5, in_a_row: 3, ..Met::default() }, &health, now);
    let words = "3 connections in a row came to nothing, it is left alone for 1 s";
    assert_eq!(turns, [(EventKind::Down, words.to_owned())]);
    assert_eq!(server.words(now), "held");
    let then = server.next_tick(now).unwrap();
    assert_eq!(then, now + Duration::from_secs(1));
    assert_eq!(server.tick(&health, now), [], "not yet");
    assert_eq!(server.tick(&health, then)[0].0, EventKind::Up);
    assert_eq!(server.next_tick(then), None);
}

#[test]
fn a_server_that_flaps_stays_down_and_the_fall_with_which_that_begins_says_so() {
    let damping = Some(Damping { flaps: 2, within: 60_000, hold: 1_500 });
    let health = Health { damping, ..Health::default() };
    let mut server = Server::new(&[check(1, 1)], Initially::Up, Instant::now());
    let all = told(&mut server, &health, &[false, true, false, true]);
    let last = "down: connection refused; it has fallen 2 times within 60 s, and stays down for 1.5 s";
    assert_eq!(all, ["down: connection refused", "up: it answers", last]);
    assert_eq!(server.words(Instant::now()), "damped");
}

proptest! {
    /// Whatever the answers are and whenever they come: between the fall with which damping begins and its end, the server
    /// does not come up; and it never comes up against the word of its check.
    #[test]
    fn a_damped_server_does_not_flap(
        flaps in 1_u32..5,
        within in 1_u32..20_000,
        hold in 1_u32..20_000,
        steps in proptest::collection::vec((any::<bool>(), 0_u64..2_000), 1..200),
    ) {
        let health = Health { damping: Some(Damping { flaps, within, hold }), ..Health::default() };
        let mut now = Instant::now();
        let mut server = Server::new(&[check(1, 1)], Initially::Up, now);
        let mut falls: Vec<Instant> = Vec::new();
        let mut damped = None;
        for (ok, after) in steps {
            now += Duration::from_millis(after);
            let mut turns = server.tick(&health, now);
            turns.extend(server.heed(0, answer(ok), &health, now));
            for (kind, _) in turns {
                match kind {
                    EventKind::Down => {
                        falls.push(now);
                        let lately = |at: &&Instant| now - **at <= Duration::from_millis(within.into());
                        if falls.iter().filter(lately).count() >= flaps as usize {
                            damped = Some(now + Duration::from_millis(hold.into()));
                        }
                    }
                    EventKind::Up => prop_assert!(damped.is_none_or(|until| until <= now)),
                    _ => {}
                }
            }
            let is_damped = damped.is_some_and(|until| until > now);
            prop_assert_eq!(server.is_alive(), ok && !is_damped, "nor is it kept down for longer");
        }
    }

    /// Checks are independent: how their answers are mixed does not matter, only the order of each one's own.
    #[test]
    fn the_order_of_probes_does_not_matter_beyond_time(
        first in proptest::collection::vec(any::<bool>(), 0..40),
        second in proptest::collection::vec(any::<bool>(), 0..40),
        mixed in proptest::collection::vec(any::<bool>(), 80),
    ) {
        let (health, now) = (Health::default(), Instant::now());
        let fresh = || Server::new(&[check(3, 2), check(2, 3)], Initially::Up, now);
        let (mut a, mut b) = (fresh(), fresh());
        first.iter().for_each(|ok| drop(a.heed(0, answer(*ok), &health, now)));
        second.iter().for_each(|ok| drop(a.heed(1, answer(*ok), &health, now)));
        let (mut x, mut y, mut which) = (first.iter(), second.iter(), mixed.iter());
        loop {
            let next = if which.next() == Some(&true) { x.next().map(|ok| (0, ok)) } else { None };
            let next = next.or_else(|| y.next().map(|ok| (1, ok))).or_else(|| x.next().map(|ok| (0, ok)));
            let Some((i, ok)) = next else { break };
            b.heed(i, answer(*ok), &health, now);
        }
        prop_assert_eq!(a.is_alive(), b.is_alive());
        let states = |server: &Server| [0, 1].map(|i| server.asked[i].machine);
        prop_assert_eq!(states(&a), states(&b));
    }
}
