use super::*;

mod congestion;
mod path;

const MSS: usize = 1000;
const MS: Duration = Duration::from_millis(1);
/// The sequence number of the first byte: the stream passes the end of the numbers.
const BASE: u32 = u32::MAX - 2500;

fn sender(sack: bool) -> Sender {
    let mut sender = Sender::new(BASE, 1 << 20, MSS, sack, 1 << 20, Duration::ZERO);
    sender.measured(10 * MS);
    sender
}

/// The segments that are sent now: where they begin and how long they are, in thousands.
fn send(sender: &mut Sender, now: Duration) -> Vec<(u64, usize)> {
    std::iter::from_fn(|| sender.next(now)).map(|part| (part.at / 1000, part.len / MSS)).collect()
}

/// The other end has all up to `ack`, and between the others, in thousands.
fn hear(sender: &mut Sender, ack: u32, blocks: &[(u32, u32)], now: Duration) {
    hear_echo(sender, ack, blocks, None, now);
}

/// It answers to what was sent in a certain millisecond.
fn hear_echo(sender: &mut Sender, ack: u32, blocks: &[(u32, u32)], echoed: Option<Duration>, now: Duration) {
    let seq = |thousands: u32| BASE.wrapping_add(thousands * 1000);
    let blocks = blocks.iter().map(|(from, to)| (seq(*from), seq(*to))).collect::<Vec<_>>();
    assert_eq!(sender.acknowledge(seq(ack), 1 << 20, &blocks, true, echoed, now), Ack::Fine);
}

#[test]
fn a_first_window_is_ten_segments_and_doubles() {
    let mut sender = sender(true);
    assert_eq!(sender.write(&[7; 40_000]), 40_000);
    assert_eq!(send(&mut sender, MS), [(0, 10)]);
    hear(&mut sender, 10, &[], 11 * MS);
    assert_eq!(send(&mut sender, 11 * MS), [(10, 20)]);
    hear(&mut sender, 30, &[], 21 * MS);
    assert_eq!(send(&mut sender, 21 * MS), [(30, 10)]);
    assert!(!sender.is_empty());
    hear(&mut sender, 40, &[], 31 * MS);
    assert!(sender.is_empty() && sender.deadline().is_none());
}

#[test]
fn what_was_overtaken_is_lost_after_a_while_or_after_three() {
    let mut sender = sender(true);
    sender.write(&[7; 10_000]);
    send(&mut sender, MS);
    // The first is missing, two others have come: it may still be on its way, for a quarter of a round trip.
    hear(&mut sender, 0, &[(1, 3)], 11 * MS);
    assert_eq!(send(&mut sender, 11 * MS), []);
    let look = sender.deadline().unwrap();
    assert!(look > 11 * MS && look < 16 * MS, "{look:?}");
    // The third says enough.
    hear(&mut sender, 0, &[(1, 4)], 12 * MS);
    assert_eq!(send(&mut sender, 12 * MS), [(0, 1)]);
    // Two gaps are filled at once.
    hear(&mut sender, 0, &[(1, 4), (5, 7), (8, 10)], 13 * MS);
    assert_eq!(send(&mut sender, 13 * MS), [(4, 1), (7, 1)]);
    // What was sent again may be lost again: others sent later have come.
    hear(&mut sender, 0, &[(1, 10)], 24 * MS);
    assert_eq!(send(&mut sender, 24 * MS), [(0, 1)]);
    hear(&mut sender, 10, &[], 34 * MS);
    assert!(sender.is_empty());
    assert_eq!(sender.timeouts(), 0);
}

#[test]
fn reordering_is_learned() {
    let mut sender = sender(true);
    sender.write(&[7; 10_000]);
    send(&mut sender, MS);
    hear(&mut sender, 0, &[(1, 2)], 11 * MS);
    // It was late, not lost.
    hear(&mut sender, 2, &[], 12 * MS);
    hear(&mut sender, 2, &[(3, 9)], 12 * MS);
    assert_eq!(send(&mut sender, 12 * MS), [], "three do not prove a loss any more");
    let look = sender.deadline().unwrap();
    assert!(sender.handle_timeout(look));
    // The tenth was sent behind all that has come.
    assert_eq!(send(&mut sender, look), [(2, 1)]);
}

#[test]
fn silence_is_probed_before_it_times_out() {
    let mut sender = sender(true);
    sender.write(&[7; 3_000]);
    send(&mut sender, MS);
    let probe = sender.deadline().unwrap();
    assert!(probe < 30 * MS, "{probe:?}");
    assert!(sender.handle_timeout(probe));
    assert_eq!(send(&mut sender, probe), [(2, 1)]);
    assert_eq!(sender.timeouts(), 0);
    // Then the timeout, of 200 ms at least, doubles.
    let mut at = sender.deadline().unwrap();
    assert!(at >= 200 * MS && at < 220 * MS, "{at:?}");
    for again in 1..4 {
        assert!(sender.handle_timeout(at));
        assert_eq!(send(&mut sender, at), [(0, 1)]);
        assert_eq!(sender.timeouts(), again);
        let next = sender.deadline().unwrap();
        assert!(next - at >= 200 * MS * 2u32.pow(again as u32));
        at = next;
    }
    // What comes then shows what else is missing.
    hear(&mut sender, 1, &[], at);
    assert_eq!(send(&mut sender, at), [(1, 1), (2, 1)]);
    while sender.handle_timeout(at) {
        send(&mut sender, at);
        at = sender.deadline().unwrap();
    }
    assert!(at > Duration::from_secs(100), "given up after {at:?}");
}

#[test]
fn those_who_acknowledge_no_gaps_are_served_by_duplicates() {
    let mut sender = sender(false);
    sender.write(&[7; 10_000]);
    send(&mut sender, MS);
    for _ in 0..2 {
        hear(&mut sender, 0, &[], 11 * MS);
        assert_eq!(send(&mut sender, 11 * MS), []);
    }
    hear(&mut sender, 0, &[], 11 * MS);
    assert_eq!(send(&mut sender, 11 * MS), [(0, 1)]);
    // Something else is missing.
    hear(&mut sender, 4, &[], 21 * MS);
    assert_eq!(send(&mut sender, 21 * MS), [(4, 1)]);
    hear(&mut sender, 10, &[], 31 * MS);
    assert!(sender.is_empty());
}

#[test]
fn what_was_selected_and_thrown_away_is_sent_again() {
    let mut sender = sender(true);
    sender.write(&[7; 4_000]);
    send(&mut sender, MS);
    hear(&mut sender, 0, &[(1, 2)], 11 * MS);
    hear(&mut sender, 1, &[], 11 * MS);
    let mut at = 11 * MS;
    while sender.timeouts() == 0 {
        at = sender.deadline().unwrap();
        assert!(sender.handle_timeout(at));
        if sender.timeouts() == 0 {
            send(&mut sender, at);
        }
    }
    assert_eq!(send(&mut sender, at), [(1, 1)]);
}

#[test]
fn a_closed_window_is_asked_about() {
    let mut sender = Sender::new(BASE, 2_500, MSS, true, 1 << 20, Duration::ZERO);
    sender.measured(10 * MS);
    sender.write(&[7; 10_000]);
    assert_eq!(sender.next(MS).map(|part| part.len), Some(2_000));
    assert_eq!(sender.next(MS), None, "windows are not used up by half segments");
    assert_eq!(sender.acknowledge(BASE.wrapping_add(2_000), 0, &[], true, None, 11 * MS), Ack::Fine);
    assert_eq!((sender.next(11 * MS), sender.take_question()), (None, None));
    let at = sender.deadline().unwrap();
    assert!(sender.handle_timeout(at));
    assert_eq!(sender.take_question(), Some(BASE.wrapping_add(1_999)));
    assert!(sender.deadline().unwrap() > at);
    // It opens.
    assert_eq!(sender.acknowledge(BASE.wrapping_add(2_000), 4_000, &[], true, None, at), Ack::Fine);
    assert_eq!(sender.next(at).map(|part| (part.at, part.len)), Some((2_000, 4_000)));
}

#[test]
fn acknowledgments_of_those_who_guess_are_told_apart() {
    let mut sender = sender(true);
    sender.write(&[7; 5_000]);
    send(&mut sender, MS);
    hear(&mut sender, 2, &[], 11 * MS);
    let mut hear = |ack: u32| sender.acknowledge(BASE.wrapping_add(ack), 1 << 20, &[], true, None, 12 * MS);
    assert_eq!(hear(5_001), Ack::Impossible);
    assert_eq!(hear(1_000), Ack::Old);
    assert_eq!(hear(1 << 31), Ack::Impossible);
    assert_eq!(hear(5_000), Ack::Fine);
    // Blocks of what was never sent mean nothing.
    let blocks = [(BASE.wrapping_add(9_000), BASE.wrapping_add(9_500)), (BASE, BASE.wrapping_add(1 << 31))];
    assert_eq!(
        sender.acknowledge(BASE.wrapping_add(5_000), 1 << 20, &blocks, true, None, 12 * MS),
        Ack::Fine
    );
}

#[test]
fn the_end_takes_a_number_and_is_repeated_like_data() {
    let mut sender = sender(true);
    sender.write(&[7; 1_000]);
    sender.finish();
    assert_eq!(sender.room(), 0);
    let part = sender.next(MS).unwrap();
    assert_eq!((part.len, part.fin, part.push), (1_000, true, true));
    assert_eq!(sender.next(MS), None);
    assert_eq!(sender.next_seq(), BASE.wrapping_add(1_001));
    hear(&mut sender, 1, &[], 11 * MS);
    assert!(sender.is_empty() && !sender.is_done());
    let at = sender.deadline().unwrap();
    assert!(sender.handle_timeout(at));
    let part = sender.next(at).unwrap();
    assert_eq!((part.seq, part.len, part.fin, part.resent), (BASE.wrapping_add(1_000), 0, true, true));
    assert_eq!(sender.acknowledge(BASE.wrapping_add(1_001), 1 << 20, &[], true, None, at), Ack::Fine);
    assert!(sender.is_done() && sender.deadline().is_none());
}
