use super::*;

const MS: Duration = Duration::from_millis(1);
const MANY: u64 = 100_000;

/// Sends `MANY` numbered packets of 1000 bytes, one each `gap`, and returns what arrived, when.
fn run(impairment: Impairment, seed: u64, gap: Duration) -> (Vec<(Duration, u64)>, Counts) {
    let mut line = Line::new(impairment, seed);
    let mut arrived = Vec::new();
    let mut drain = |line: &mut Line, until: Duration| {
        while let Some(due) = line.due().filter(|due| *due <= until) {
            let packet = line.pop(due).unwrap();
            assert_eq!(packet.len(), 1000);
            arrived.push((due, u64::from_le_bytes(packet[..8].try_into().unwrap())));
            line.recycle(packet);
        }
    };
    for number in 0..MANY {
        let now = gap * u32::try_from(number).unwrap();
        drain(&mut line, now);
        let mut packet = [0; 1000];
        packet[..8].copy_from_slice(&number.to_le_bytes());
        line.push(now, &packet);
    }
    drain(&mut line, Duration::MAX);
    assert_eq!(line.counts.left, arrived.len() as u64);
    (arrived, line.counts)
}

#[test]
fn nothing_happens_by_default() {
    let (arrived, counts) = run(Impairment::default(), 1, MS);
    assert!(
        arrived.iter().enumerate().all(|(at, (due, number))| (*due, *number) == (MS * at as u32, at as u64))
    );
    assert_eq!(counts, Counts { entered: MANY, left: MANY, ..Counts::default() });
}

#[test]
fn every_packet_takes_the_delay_and_none_comes_early() {
    let delay = 10 * MS;
    let (arrived, _) = run(Impairment { delay, ..Impairment::default() }, 1, MS / 4);
    assert!(arrived.iter().all(|(due, number)| *due == MS / 4 * *number as u32 + delay));

    let mut line = Line::new(Impairment { delay, ..Impairment::default() }, 1);
    line.push(3 * MS, &[1]);
    assert_eq!((line.due(), line.pop(13 * MS - Duration::from_nanos(1))), (Some(13 * MS), None));
    assert_eq!(line.pop(13 * MS), Some(vec![1]));
    assert_eq!((line.due(), line.pop(14 * MS)), (None, None));
}

#[test]
fn jitter_goes_both_ways_and_keeps_the_order() {
    let impairment = Impairment { delay: 10 * MS, jitter: 4 * MS, ..Impairment::default() };
    // Far apart, so that keeping the order holds nobody up.
    let (arrived, _) = run(impairment, 1, 10 * MS);
    let took: Vec<Duration> = arrived.iter().map(|(due, number)| *due - 10 * MS * *number as u32).collect();
    let (least, most) = (took.iter().min().unwrap(), took.iter().max().unwrap());
    assert!((6 * MS..6 * MS + MS / 10).contains(least), "{least:?}");
    assert!((14 * MS - MS / 10..14 * MS).contains(most), "{most:?}");
    let mean = took.iter().sum::<Duration>() / MANY as u32;
    assert!((10 * MS).abs_diff(mean) < MS / 20, "{mean:?}");

    let (close, _) = run(impairment, 1, MS / 4);
    assert!(close.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 < pair[1].1));
}

#[test]
fn loss_is_as_frequent_as_asked_and_the_seed_decides_whom_it_hits() {
    let impairment = |loss| Impairment { loss, ..Impairment::default() };
    for loss in [0.0, 0.001, 0.01, 0.5, 1.0] {
        let (arrived, counts) = run(impairment(loss), 7, MS);
        let (expected, spread) = (loss * MANY as f64, (loss * (1.0 - loss) * MANY as f64).sqrt());
        assert!((counts.lost as f64 - expected).abs() <= 4.0 * spread, "{loss}: {}", counts.lost);
        assert_eq!(counts.lost + arrived.len() as u64, MANY);
    }
    assert_eq!(run(impairment(0.01), 7, MS), run(impairment(0.01), 7, MS));
    assert_ne!(run(impairment(0.01), 7, MS), run(impairment(0.01), 8, MS));
}

#[test]
fn copies_follow_their_original() {
    let (arrived, counts) = run(Impairment { duplicate: 0.1, delay: MS, ..Impairment::default() }, 1, MS);
    assert!((9000..11_000).contains(&counts.doubled), "{counts:?}");
    let twice = arrived.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
    assert_eq!((twice, arrived.len() as u64), (counts.doubled, MANY + counts.doubled));
}

#[test]
fn a_packet_that_overtakes_comes_before_those_under_way() {
    let impairment = Impairment { reorder: 0.1, delay: 10 * MS, ..Impairment::default() };
    let (arrived, counts) = run(impairment, 1, MS);
    assert!((9000..11_000).contains(&counts.reordered), "{counts:?}");
    let early = arrived.iter().filter(|(due, number)| *due == MS * *number as u32).count() as u64;
    assert_eq!(early, counts.reordered);
    let backwards = arrived.windows(2).filter(|pair| pair[0].1 > pair[1].1).count() as u64;
    assert!(backwards > counts.reordered / 2, "{backwards}");
}

#[test]
fn the_rate_spaces_packets_and_the_queue_is_bounded() {
    // 8 Mbit/s: a packet of 1000 bytes takes a millisecond. Twice as many come.
    let rate = Some(Rate { bits_per_s: 8_000_000, queue: 20_000 });
    let (arrived, counts) = run(Impairment { rate, ..Impairment::default() }, 1, MS / 2);
    assert!(arrived.windows(2).all(|pair| pair[1].0 - pair[0].0 == MS));
    assert!(counts.overflowed.abs_diff(MANY / 2) < 25, "{counts:?}");
    let waited = arrived.iter().map(|(due, number)| *due - MS / 2 * *number as u32).max().unwrap();
    assert!(waited.abs_diff(21 * MS) <= MS, "{waited:?}");

    // Half as many: nobody waits but for itself.
    let (arrived, counts) = run(Impairment { rate, ..Impairment::default() }, 1, 2 * MS);
    assert!(arrived.iter().all(|(due, number)| *due == 2 * MS * *number as u32 + MS));
    assert_eq!(counts.overflowed, 0);
}

#[test]
fn new_settings_are_for_packets_that_come_later() {
    let mut line = Line::new(Impairment { delay: 10 * MS, ..Impairment::default() }, 1);
    line.push(Duration::ZERO, &[1]);
    line.impairment = Impairment { loss: 1.0, ..Impairment::default() };
    line.push(MS, &[2]);
    assert_eq!(line.pop(10 * MS), Some(vec![1]));
    assert_eq!((line.due(), line.counts.lost), (None, 1));
}
