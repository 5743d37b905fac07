use wire::build::{self, Build};
use wire::checksum;

use super::*;
use crate::random::Random;

/// What a stream of `len` bytes becomes, byte by byte: for each of the receiver's places the sender's place whose byte
/// it has, or `None` for one of ours.
struct Model {
    received: Vec<Option<u32>>,
    sent: u32,
}

impl Model {
    fn new(sent: u32, splices: &[Splice]) -> Self {
        let mut received = Vec::new();
        let mut at = 0;
        for splice in splices {
            received.extend((at..splice.at).map(Some));
            received.extend(std::iter::repeat_n(None, splice.new as usize));
            at = splice.at + splice.old;
        }
        received.extend((at..sent).map(Some));
        Self { received, sent }
    }

    /// The first of the receiver's places that has the sender's byte at `at` or a later one.
    fn shifted(&self, at: u32) -> u32 {
        let found = self.received.iter().position(|byte| byte.is_some_and(|byte| byte >= at));
        found.unwrap_or(self.received.len()) as u32
    }

    /// Up to where the sender's bytes are there, or replaced by what is there, when the receiver has all before
    /// `place`.
    fn acknowledged(&self, place: u32) -> u32 {
        let behind = self.received[place as usize..].iter().position(Option::is_some);
        let ours = place > 0 && self.received[place as usize - 1].is_none() && behind != Some(0);
        if behind == Some(0) {
            // All before the sender's next byte.
            return self.received[place as usize].unwrap_or_default();
        }
        if behind.is_none() && !ours && place == self.received.len() as u32 {
            return self.sent;
        }
        let before = self.received[..place as usize].iter().rev().find_map(|byte| *byte);
        before.map_or(0, |byte| byte + 1)
    }
}

/// Numbers of every place, against the model, with sequence numbers that pass zero.
#[test]
fn every_place_has_the_number_that_its_byte_has() {
    let mut random = Random::new(7);
    for round in 0..500 {
        let begin = if round % 2 == 0 { u32::MAX - 60 } else { random.next() as u32 };
        let mut splices = Vec::new();
        let mut at = 0;
        for _ in 0..random.next() % (KEPT as u64 + 1) {
            // Between two there is a byte, and what is replaced is replaced by something.
            at += 1 + (random.next() % 20) as u32;
            let old = (random.next() % 12) as u32;
            splices.push(Splice { at, old, new: 1 + (random.next() % 12) as u32 });
            at += old;
        }
        let sent = at + 5;
        let model = Model::new(sent, &splices);
        let mut stream = Stream::default();
        for splice in &splices {
            stream.replace(begin.wrapping_add(splice.at), splice.old, splice.new);
            stream.replace(begin.wrapping_add(splice.at), splice.old, 77);
        }
        for at in 0..=sent {
            let inside = splices.iter().any(|s| (s.at..s.at + s.old).contains(&at));
            if !inside {
                let number = stream.shifted(begin.wrapping_add(at)).wrapping_sub(begin);
                assert_eq!(number, model.shifted(at), "round {round}, byte {at} of {splices:?}");
            }
        }
        for place in 0..=model.received.len() as u32 {
            let number = begin.wrapping_add(place);
            let original = |inside| stream.original(number, inside).wrapping_sub(begin);
            assert_eq!(
                original(Inside::Begin),
                model.acknowledged(place),
                "round {round}, place {place} of {splices:?}"
            );
            let behind = model.received[place as usize..].iter().find_map(|byte| *byte).unwrap_or(sent);
            let amid = original(Inside::Begin) != original(Inside::End);
            assert!(!amid || original(Inside::End) == behind, "round {round}, place {place} of {splices:?}");
        }
    }
}

#[test]
fn in_the_middle_of_what_is_replaced_numbers_do_not_pass_its_end() {
    let mut stream = Stream::default();
    stream.replace(100, 20, 5);
    assert_eq!([99, 100, 103, 110, 119, 120].map(|at| stream.shifted(at)), [99, 100, 103, 105, 105, 105]);
}

#[test]
fn of_what_is_long_past_only_the_sum_is_kept() {
    let mut stream = Stream::default();
    for n in 0..KEPT as u32 + 3 {
        stream.replace(1000 * n, 1, 3);
    }
    assert_eq!((stream.splices.len(), stream.base), (KEPT, 6));
    assert_eq!(stream.shifted(20_000), 20_000 + 2 * (KEPT as u32 + 3));
    // All around the numbers' circle: half of it away from a place, it would come before it again.
    let mut stream = Stream::default();
    stream.replace(u32::MAX, 0, 50);
    let mut at = u32::MAX;
    for _ in 0..40 {
        assert_eq!(stream.shifted(at), at.wrapping_add(50));
        assert_eq!(stream.original(at.wrapping_add(50), Inside::Begin), at);
        at = at.wrapping_add(FAR / 4);
        stream.acknowledged(at);
    }
    assert!(stream.splices.is_empty());
}

fn client() -> Build {
    build::tcp("192.0.2.1:1000", "198.51.100.1:80").window(1000)
}

fn server() -> Build {
    build::tcp("198.51.100.1:80", "192.0.2.1:1000").window(1000)
}

/// Sends a segment through: what it says afterwards, and the blocks that it reports.
fn through(shifts: &Shifts, build: &Build, direction: Direction) -> (Numbers, Vec<u8>) {
    let mut frame = build.frame();
    let packet = Packet::parse(frame.packet()).unwrap();
    shifts.apply(&mut frame, &packet, direction);
    assert_eq!(checksum::verify(frame.packet()), Ok(()));
    let sack = tcp::options(&frame, &packet).find(|option| option.kind == 5);
    let sack = sack.map(|option| option.data.to_vec()).unwrap_or_default();
    (tcp::numbers(&frame, &packet).unwrap(), sack)
}

fn numbers(seq: u32, ack: u32, window: u16) -> Numbers {
    Numbers { seq, ack, window }
}

/// A connection whose client's first byte has number 101 and comes behind 50 of ours.
fn with_header(scales: [&[u8]; 2]) -> Shifts {
    let shifts = Shifts::default();
    through(&shifts, &client().syn().seq(100).tcp_options(scales[0]), Direction::In);
    through(&shifts, &server().syn().seq(500).ack(101).tcp_options(scales[1]), Direction::Out);
    shifts.replace(Direction::In, 101, 0, 50);
    shifts
}

#[test]
fn both_directions_of_a_connection_are_translated() {
    let shifts = with_header([&[], &[]]);
    let sent = |build: Build| through(&shifts, &build.ack(501), Direction::In).0;
    assert_eq!(sent(client().seq(101)), numbers(151, 501, 1000));
    let heard = |ack: u32| through(&shifts, &server().seq(501).ack(ack), Direction::Out).0;
    assert_eq!(heard(101), numbers(501, 101, 950));
    assert_eq!(heard(120), numbers(501, 101, 969));
    assert_eq!(heard(151), numbers(501, 101, 1000));
    assert_eq!(heard(161), numbers(501, 111, 1000));
    assert_eq!(shifts.shifted(Direction::In, 101), 151);
    assert_eq!(shifts.original(Direction::In, 151), 101);
    assert_eq!(shifts.shifted(Direction::Out, 101), 101);
}

#[test]
fn a_window_that_the_header_fills_is_closed() {
    let shifts = with_header([&[], &[]]);
    assert_eq!(through(&shifts, &server().seq(501).ack(101).window(50), Direction::Out).0.window, 0);
    assert_eq!(through(&shifts, &server().seq(501).ack(101).window(30), Direction::Out).0.window, 0);
}

#[test]
fn windows_are_scaled_where_both_ends_want_it() {
    const SCALE: [&[u8]; 2] = [&[3, 3, 9], &[3, 3, 3]];
    let window = |scales| {
        let shifts = with_header(scales);
        through(&shifts, &server().seq(501).ack(101), Direction::Out).0.window
    };
    assert_eq!(window(SCALE), (8000 - 50) / 8);
    assert_eq!(window([SCALE[0], &[]]), 950);
    assert_eq!(window([&[], SCALE[1]]), 950);
    // One that the field cannot say.
    let shifts = Shifts::default();
    shifts.replace(Direction::In, 101, 10, 2);
    let answer = server().seq(501).ack(101).window(u16::MAX);
    assert_eq!(through(&shifts, &answer, Direction::Out).0.window, u16::MAX);
}

#[test]
fn only_the_windows_of_syns_are_not_scaled() {
    let shifts = with_header([&[3, 3, 9], &[3, 3, 3]]);
    let again = server().syn().seq(500).ack(101).tcp_options(&[3, 3, 3]);
    assert_eq!(through(&shifts, &again, Direction::Out).0, numbers(500, 101, 950));
}

#[test]
fn blocks_never_report_what_the_sender_has_not_sent() {
    let shifts = with_header([&[], &[]]);
    let sack = |blocks: &[(u32, u32)]| {
        let list: Vec<_> = blocks.iter().flat_map(|(l, r)| [l.to_be_bytes(), r.to_be_bytes()]).collect();
        let mut options = vec![1, 1, 5, 2 + 8 * blocks.len() as u8];
        options.extend(list.concat());
        let answer = server().seq(501).ack(101).tcp_options(&options);
        let data = through(&shifts, &answer, Direction::Out).1;
        let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        data.chunks(8).map(|block| (word(&block[..4]), word(&block[4..]))).collect::<Vec<_>>()
    };
    assert_eq!(sack(&[(161, 171)]), [(111, 121)]);
    assert_eq!(sack(&[(120, 171), (181, 191)]), [(101, 121), (131, 141)]);
    assert_eq!(sack(&[(101, 151), (161, 171)]), [(111, 121)]);
    assert_eq!(sack(&[(101, 140)]), []);
}

#[test]
fn what_acknowledges_nothing_has_its_own_number_shifted_alone() {
    let shifts = with_header([&[], &[]]);
    let reset = client().rst().seq(101);
    assert_eq!(through(&shifts, &reset, Direction::In).0, numbers(151, 0, 1000));
}
