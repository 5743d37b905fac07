use std::sync::atomic::AtomicBool;

use super::*;

/// What ends.
struct Entry {
    timer: Timer,
    gone: AtomicBool,
}

impl Entry {
    fn new(deadline: Millis) -> Arc<Self> {
        Arc::new(Self { timer: Timer::new(deadline), gone: AtomicBool::new(false) })
    }

    fn end(&self) -> bool {
        !self.gone.swap(true, Relaxed)
    }
}

impl Timed for Entry {
    fn deadline(&self, _: Millis) -> Millis {
        self.timer.deadline()
    }

    fn armed(&self) -> u64 {
        self.timer.armed()
    }

    fn rearm(&self, from: u64, to: u64) -> bool {
        self.timer.rearm(from, to)
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }
}

fn arm(wheel: &mut Wheel<Arc<Entry>>, entry: &Arc<Entry>, now: Millis) {
    wheel.arm(entry, &**entry, now);
}

/// Brings the wheel to `now` as a worker does and returns how many entries that expired.
fn advance(wheel: &mut Wheel<Arc<Entry>>, now: Millis) -> usize {
    let mut expired = 0;
    while wheel.next_due().is_some_and(|due| due <= now) {
        wheel.advance(&(), now, |entry| {
            assert!(entry.timer.deadline() <= now, "expired {} ms early", entry.timer.deadline() - now);
            entry.end();
            expired += 1;
            ControlFlow::Continue(())
        });
    }
    expired
}

#[test]
fn a_connection_expires_within_a_second_of_its_deadline() {
    for deadline in [1, 999, 1000, 1001, 59_999, 60_000, 126_500, 127_000, 128_000, 900_000, 900_001] {
        let mut wheel = Wheel::new();
        arm(&mut wheel, &Entry::new(deadline), 0);
        assert_eq!(advance(&mut wheel, deadline.saturating_sub(1)), 0, "{deadline} early");
        assert_eq!(advance(&mut wheel, deadline + 1000), 1, "{deadline} late");
        assert_eq!(wheel.next_due(), None);
    }
}

#[test]
fn a_deadline_that_moves_nearer_counts() {
    let mut wheel = Wheel::new();
    let entry = Entry::new(900_000);
    arm(&mut wheel, &entry, 0);
    assert_eq!(advance(&mut wheel, 5_500), 0);
    entry.timer.set(15_500);
    arm(&mut wheel, &entry, 5_500);
    assert_eq!(advance(&mut wheel, 15_400), 0);
    assert_eq!(advance(&mut wheel, 16_000), 1);
    // The entry of the first arming is stale, and gone when its second has come.
    assert_eq!(advance(&mut wheel, 128_000), 0);
    assert_eq!((wheel.held, wheel.next_due()), (0, None));
}

#[test]
fn a_packet_costs_nothing_while_its_connection_is_armed_early_enough() {
    let mut wheel = Wheel::new();
    let entry = Entry::new(3_000);
    arm(&mut wheel, &entry, 0);
    for now in 1..1000 {
        entry.timer.set(now + 60_000);
        arm(&mut wheel, &entry, now);
    }
    assert_eq!(wheel.held, 1);
}

#[test]
fn the_wheel_of_another_worker_takes_over() {
    let (mut one, mut other) = (Wheel::new(), Wheel::new());
    let entry = Entry::new(60_000);
    arm(&mut one, &entry, 0);
    entry.timer.set(10_000);
    arm(&mut other, &entry, 0);
    assert_eq!(advance(&mut other, 9_999), 0);
    entry.timer.set(100_000);
    assert_eq!(advance(&mut other, 61_500), 0);
    assert_eq!(advance(&mut one, 61_500), 0);
    assert_eq!(one.held, 0, "the first wheel's entry was stale");
    assert_eq!(advance(&mut other, 101_000), 1);
}

#[test]
fn a_call_does_a_bounded_amount_of_work() {
    let mut wheel = Wheel::new();
    let entries: Vec<_> = (0..BATCH + BATCH / 2).map(|_| Entry::new(1_500)).collect();
    entries.iter().for_each(|entry| arm(&mut wheel, entry, 0));
    let mut expired = 0;
    let mut count = |enough: usize| {
        wheel.advance(&(), 2_000, |entry| {
            expired += usize::from(entry.end());
            if expired == enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (expired, wheel.next_due())
    };
    assert_eq!(count(7), (7, Some(0)), "enough is enough");
    let (expired, due) = count(usize::MAX);
    assert!(expired <= BATCH + 7 && expired > BATCH / 2, "{expired}");
    assert_eq!(due, Some(0), "the rest is due at once");
    assert_eq!(count(usize::MAX), (entries.len(), None));
}

#[test]
fn it_catches_up_after_a_long_time_and_starts_again_after_idleness() {
    let mut wheel = Wheel::new();
    arm(&mut wheel, &Entry::new(900_000), 0);
    assert_eq!(advance(&mut wheel, 100_000_000), 1);
    arm(&mut wheel, &Entry::new(200_010_000), 200_000_000);
    assert_eq!(wheel.next_due(), Some(200_011_000));
    assert_eq!(advance(&mut wheel, 200_011_000), 1);
}

#[test]
fn a_sample_is_one_in_32_and_all_samples_are_everything() {
    let mut wheel = Wheel::new();
    let entries: Vec<_> = (0..3200).map(|n| Entry::new(1000 * (n % 128))).collect();
    entries.iter().for_each(|entry| arm(&mut wheel, entry, 0));
    entries[0].end();
    let mut seen = 0;
    for part in 0..32 {
        let mut here = 0;
        wheel.begin_sample(part);
        while wheel.next_due() == Some(0) {
            let before = here;
            wheel.sample(&(), |_| here += 1);
            assert!(here - before <= BATCH, "{here} in one call");
        }
        assert!((50..=200).contains(&here), "{here} of 3200");
        seen += here;
    }
    assert_eq!(seen, 3199);
}

#[test]
fn what_has_ended_while_a_sample_went_on_is_not_in_it() {
    let mut wheel = Wheel::new();
    let entries: Vec<_> = (0..3200).map(|n| Entry::new(1000 * (n % 128))).collect();
    entries.iter().for_each(|entry| arm(&mut wheel, entry, 0));
    wheel.begin_sample(5);
    wheel.sample(&(), |_| ());
    while wheel.held > 0 {
        wheel.advance(&(), 200_000, |entry| {
            entry.end();
            ControlFlow::Continue(())
        });
    }
    wheel.sample(&(), |_| panic!("its second has passed"));
    assert_eq!(wheel.next_due(), None);
}
