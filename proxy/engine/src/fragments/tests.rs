use wire::build;

use super::*;
use crate::counters::{Counters, WorkerCounters};

struct Case {
    fragments: Fragments,
    counters: WorkerCounters,
}

impl Case {
    fn new() -> Self {
        Self { fragments: Fragments::new(7), counters: WorkerCounters::default() }
    }

    fn first(&self, n: u16, end: u32, now: Millis) -> Result<(), DropReason> {
        self.fragments.first(key(n), &piece(0, end, false), now, &self.counters)
    }

    fn other(&self, n: u16, piece: &Piece, now: Millis) -> Told {
        let told = self.fragments.other(key(n), piece, &[n as u8; 100], now, &self.counters);
        if matches!(told, Told::Waits) {
            self.counters.count(false, Verdict::Wait);
        }
        told
    }

    fn settle(&self, n: u16, now: Millis) -> usize {
        let course = Course { way: Way::Pass, id: Some(9) };
        let waiting = self.fragments.settle(key(n), course, now, &self.counters);
        waiting.iter().for_each(|_| self.counters.settled(Verdict::Pass));
        waiting.len()
    }

    fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.counters.add_to(&mut sum);
        sum
    }

    fn known(&self) -> usize {
        self.fragments.all.lock().unwrap().datagrams.len()
    }
}

fn key(n: u16) -> Key {
    let bytes = build::udp("10.0.0.1:1", "10.0.0.2:2").bytes();
    Key::new(&Packet::parse(&bytes).unwrap(), n.into())
}

const fn piece(start: u32, end: u32, last: bool) -> Piece {
    Piece { id: 0, start, end, last }
}

fn follows(told: &Told) -> bool {
    matches!(told, Told::Follow(Course { way: Way::Pass, id: Some(9) }))
}

fn dropped(told: &Told, reason: DropReason) -> bool {
    matches!(told, Told::Drop(r) if *r == reason)
}

#[test]
fn the_others_follow_the_first_and_are_forgotten_when_all_have_come() {
    let case = Case::new();
    case.first(1, 800, 0).unwrap();
    assert_eq!(case.settle(1, 0), 0);
    assert!(follows(&case.other(1, &piece(1600, 2000, true), 1)));
    assert_eq!(case.known(), 1);
    assert!(follows(&case.other(1, &piece(800, 1600, false), 2)));
    assert_eq!((case.known(), case.fragments.next_due()), (0, None));
}

#[test]
fn those_that_come_before_the_first_wait_for_it() {
    let case = Case::new();
    assert!(matches!(case.other(1, &piece(800, 1600, false), 10), Told::Waits));
    assert!(matches!(case.other(1, &piece(1600, 2000, true), 10), Told::Waits));
    assert!(matches!(case.other(2, &piece(800, 1600, true), 500), Told::Waits));
    assert_eq!((case.fragments.next_due(), case.counters().waiting), (Some(2010), 3));
    case.first(1, 800, 20).unwrap();
    assert_eq!((case.settle(1, 20), case.known(), case.counters().waiting), (2, 1, 1));
    case.fragments.expire(2500, &case.counters);
    let counters = case.counters();
    assert_eq!((counters.waiting, counters.dropped(DropReason::FragmentUnclaimed)), (0, 1));
    assert_eq!((case.known(), case.fragments.next_due(), counters.passed), (0, None, 2));
}

#[test]
fn of_a_datagram_that_overlaps_nothing_more_goes_on() {
    for (start, end, last) in [(792, 1600, false), (1592, 1700, true), (0, 8, false), (0, 2000, true)] {
        let case = Case::new();
        case.first(1, 800, 0).unwrap();
        case.settle(1, 0);
        assert!(follows(&case.other(1, &piece(800, 1600, false), 0)));
        assert!(dropped(&case.other(1, &piece(start, end, last), 0), DropReason::FragmentOverlap));
        assert!(matches!(
            case.other(1, &piece(1600, 1608, false), 0),
            Told::Follow(Course { way: Way::Drop(DropReason::FragmentOverlap), .. })
        ));
    }
    // Those that wait are lost with it.
    let case = Case::new();
    case.other(1, &piece(800, 1600, false), 0);
    case.other(1, &piece(1200, 1600, false), 0);
    let counters = case.counters();
    assert_eq!((counters.waiting, counters.dropped(DropReason::FragmentOverlap)), (0, 1));
    case.first(1, 800, 0).unwrap();
    assert_eq!(case.settle(1, 0), 0);
}

#[test]
fn what_comes_twice_goes_once() {
    let case = Case::new();
    case.first(1, 800, 0).unwrap();
    case.settle(1, 0);
    assert_eq!(case.first(1, 800, 0), Err(DropReason::FragmentOverlap));
    assert!(follows(&case.other(1, &piece(800, 1600, false), 0)));
    assert!(dropped(&case.other(1, &piece(800, 1600, false), 0), DropReason::FragmentOverlap));
    assert!(follows(&case.other(1, &piece(1600, 2000, true), 0)), "the datagram is none the worse for it");
}

#[test]
fn an_end_cannot_be_passed_or_moved() {
    let begun = || {
        let case = Case::new();
        case.first(1, 800, 0).unwrap();
        case.settle(1, 0);
        assert!(follows(&case.other(1, &piece(1600, 2000, true), 0)));
        case
    };
    for wrong in [piece(2000, 2008, false), piece(800, 900, true)] {
        assert!(dropped(&begun().other(1, &wrong, 0), DropReason::FragmentOverlap));
    }
}

#[test]
fn a_late_one_finds_nothing_any_more() {
    let case = Case::new();
    case.first(1, 800, 0).unwrap();
    case.settle(1, 0);
    assert!(follows(&case.other(1, &piece(800, 1600, false), LIFE_MS - 1)));
    assert!(matches!(case.other(1, &piece(1600, 2400, false), LIFE_MS), Told::Waits));
}

#[test]
fn all_of_it_is_bounded() {
    let case = Case::new();
    let large = vec![0; 60_000];
    let waits = (0..200)
        .filter(|n| {
            let told = case.fragments.other(key(*n), &piece(8, 60_008, true), &large, 0, &case.counters);
            matches!(told, Told::Waits)
        })
        .count();
    assert_eq!(waits, MOST_BYTES / 60_000);

    let case = Case::new();
    let pieces = (1..).take_while(|n| {
        !dropped(&case.other(1, &piece(n * 8, n * 8 + 8, false), 0), DropReason::FragmentLimit)
    });
    assert_eq!(pieces.count(), MOST_PIECES);

    // The oldest makes room.
    let case = Case::new();
    (0..=MOST_DATAGRAMS as u16).for_each(|n| drop(case.other(n, &piece(8, 16, true), 5)));
    let counters = case.counters();
    assert_eq!((case.known(), counters.dropped(DropReason::FragmentLimit)), (MOST_DATAGRAMS, 1));
    assert_eq!(counters.waiting, MOST_DATAGRAMS as u64);
    case.fragments.expire(5 + WAIT_MS, &case.counters);
    assert_eq!((case.known(), case.counters().waiting, case.fragments.next_due()), (0, 0, None));
}
