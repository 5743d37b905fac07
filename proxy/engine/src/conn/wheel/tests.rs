use super::*;
use crate::conn::{Conn, test_conn};

/// Brings the wheel to `now` as a worker does and returns how many connections that expired.
fn advance(wheel: &mut Wheel<Conn>, now: Millis) -> usize {
    let mut expired = 0;
    while wheel.next_due().is_some_and(|due| due <= now) {
        wheel.advance(now, |conn| {
            assert!(conn.timer.deadline() <= now, "expired {} ms early", conn.timer.deadline() - now);
            conn.retire();
            expired += 1;
            ControlFlow::Continue(())
        });
    }
    expired
}

fn conn(n: u16, deadline: Millis) -> Arc<Conn> {
    let conn = Arc::new(test_conn(n));
    conn.timer.set(deadline);
    conn
}

#[test]
fn a_connection_expires_within_a_second_of_its_deadline() {
    for deadline in [1, 999, 1000, 1001, 59_999, 60_000, 126_500, 127_000, 128_000, 900_000, 900_001] {
        let mut wheel = Wheel::new();
        wheel.arm(&conn(1, deadline), 0);
        assert_eq!(advance(&mut wheel, deadline.saturating_sub(1)), 0, "{deadline} early");
        assert_eq!(advance(&mut wheel, deadline + 1000), 1, "{deadline} late");
        assert_eq!(wheel.next_due(), None);
    }
}

#[test]
fn a_deadline_that_moves_nearer_counts() {
    let mut wheel = Wheel::new();
    let conn = conn(1, 900_000);
    wheel.arm(&conn, 0);
    assert_eq!(advance(&mut wheel, 5_500), 0);
    conn.timer.set(15_500);
    wheel.arm(&conn, 5_500);
    assert_eq!(advance(&mut wheel, 15_400), 0);
    assert_eq!(advance(&mut wheel, 16_000), 1);
    // The entry of the first arming is stale, and gone when its second has come.
    assert_eq!(advance(&mut wheel, 128_000), 0);
    assert_eq!((wheel.held, wheel.next_due()), (0, None));
}

#[test]
fn a_packet_costs_nothing_while_its_connection_is_armed_early_enough() {
    let mut wheel = Wheel::new();
    let conn = conn(1, 3_000);
    wheel.arm(&conn, 0);
    for now in 1..1000 {
        conn.timer.set(now + 60_000);
        wheel.arm(&conn, now);
    }
    assert_eq!(wheel.held, 1);
}

#[test]
fn the_wheel_of_another_worker_takes_over() {
    let (mut one, mut other) = (Wheel::new(), Wheel::new());
    let conn = conn(1, 60_000);
    one.arm(&conn, 0);
    conn.timer.set(10_000);
    other.arm(&conn, 0);
    assert_eq!(advance(&mut other, 9_999), 0);
    conn.timer.set(100_000);
    assert_eq!(advance(&mut other, 61_500), 0);
    assert_eq!(advance(&mut one, 61_500), 0);
    assert_eq!(one.held, 0, "the first wheel's entry was stale");
    assert_eq!(advance(&mut other, 101_000), 1);
}

#[test]
fn a_call_does_a_bounded_amount_of_work() {
    let mut wheel = Wheel::new();
    let conns: Vec<_> = (0..BATCH as u16 + 500).map(|n| conn(n, 1_500)).collect();
    conns.iter().for_each(|conn| wheel.arm(conn, 0));
    let mut expired = 0;
    let mut count = |enough: usize| {
        wheel.advance(2_000, |conn| {
            expired += usize::from(conn.retire());
            if expired == enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (expired, wheel.next_due())
    };
    assert_eq!(count(7), (7, Some(0)), "enough is enough");
    let (expired, due) = count(usize::MAX);
    assert!(expired <= BATCH + 7 && expired > BATCH / 2, "{expired}");
    assert_eq!(due, Some(0), "the rest is due at once");
    assert_eq!(count(usize::MAX), (conns.len(), None));
}

#[test]
fn it_catches_up_after_a_long_time_and_starts_again_after_idleness() {
    let mut wheel = Wheel::new();
    wheel.arm(&conn(1, 900_000), 0);
    assert_eq!(advance(&mut wheel, 100_000_000), 1);
    wheel.arm(&conn(2, 200_010_000), 200_000_000);
    assert_eq!(wheel.next_due(), Some(200_011_000));
    assert_eq!(advance(&mut wheel, 200_011_000), 1);
}

#[test]
fn a_sample_is_one_in_32_and_all_samples_are_everything() {
    let mut wheel = Wheel::new();
    let conns: Vec<_> = (0..3200).map(|n| conn(n, 1000 * u64::from(n % 128))).collect();
    conns.iter().for_each(|conn| wheel.arm(conn, 0));
    conns[0].retire();
    let mut seen = 0;
    for part in 0..32 {
        let mut here = 0;
        wheel.sample(part, |_| here += 1);
        assert!((50..=200).contains(&here), "{here} of 3200");
        seen += here;
    }
    assert_eq!(seen, 3199);
}
