//! A sender on a path with a bottleneck, and another end that holds whatever comes, in virtual time: what the sender
//! makes of it, without the limits that a receiver may have.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::*;

const SEGMENT: usize = 1448;
const HEADERS: usize = 66;
/// How long the other end gathers segments before it acknowledges them.
const GATHER: Duration = Duration::from_millis(1);

/// What a path is like.
#[derive(Clone, Copy, Debug)]
struct Path {
    rtt: Duration,
    /// Bits per second, and bytes of queue.
    rate: u64,
    queue: usize,
    /// Of a million segments, how many get lost.
    lost: u32,
    /// Segments that are acknowledged at once, if none is missing.
    gathered: usize,
}

impl Path {
    /// 1 Gbit/s, with a queue of one round trip.
    fn gigabit(rtt: Duration) -> Self {
        let rate = 1_000_000_000;
        let queue = (rtt.as_nanos() as u64 * rate / 8 / 1_000_000_000) as usize;
        Self { rtt, rate, queue, lost: 0, gathered: 2 }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Segment { from: u64, to: u64 },
    Acknowledgment { ack: u64, blocks: Vec<(u64, u64)> },
    Patience,
}

/// What has come to the other end.
#[derive(Default)]
struct OtherEnd {
    next: u64,
    /// Behind gaps: from, to, and when it last grew.
    ranges: BTreeMap<u64, (u64, u64)>,
    arrivals: u64,
    waiting: usize,
}

impl OtherEnd {
    /// Takes a segment and says whether that is to be acknowledged at once.
    fn take(&mut self, from: u64, to: u64) -> bool {
        self.arrivals += 1;
        self.waiting += 1;
        let (mut left, mut right) = (from, to);
        while let Some((&at, &(end, _))) = self.ranges.range(..=right).next_back() {
            if end < left {
                break;
            }
            (left, right) = (left.min(at), right.max(end));
            self.ranges.remove(&at);
        }
        let gap = left > self.next || !self.ranges.is_empty();
        if left <= self.next {
            self.next = self.next.max(right);
        } else {
            self.ranges.insert(left, (right, self.arrivals));
        }
        gap
    }

    fn acknowledgment(&mut self) -> Event {
        self.waiting = 0;
        let mut ranges = self.ranges.iter().collect::<Vec<_>>();
        ranges.sort_by_key(|(_, (_, grown))| Reverse(*grown));
        let blocks = ranges.iter().take(3).map(|(from, (to, _))| (**from, *to)).collect();
        Event::Acknowledgment { ack: self.next, blocks }
    }
}

/// What has become of a download.
#[derive(Debug)]
struct Download {
    /// Bits per second that have arrived without gaps.
    speed: f64,
    sent: u64,
    dropped: u64,
    timeouts: u64,
}

/// A download under way.
struct World {
    path: Path,
    sender: Sender,
    other: OtherEnd,
    now: Duration,
    /// When the bottleneck has sent all that it holds.
    free: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    order: u64,
    random: u64,
    sent: u64,
    dropped: u64,
}

impl World {
    fn new(path: Path) -> Self {
        let mut sender = Sender::new(BASE, 64 << 20, SEGMENT, true, 64 << 20, Duration::ZERO);
        sender.measured(path.rtt);
        Self {
            path,
            sender,
            other: OtherEnd::default(),
            now: Duration::ZERO,
            free: Duration::ZERO,
            events: BinaryHeap::new(),
            order: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            sent: 0,
            dropped: 0,
        }
    }

    /// Sends as fast as it may, for so long.
    fn download(mut self, time: Duration) -> Download {
        let zeros = [0; 64 << 10];
        while self.now < time {
            while self.sender.write(&zeros) > 0 {}
            while let Some(part) = self.sender.next(self.now) {
                let end = part.at + part.len as u64;
                for from in (part.at..end).step_by(SEGMENT) {
                    self.carry(from, end.min(from + SEGMENT as u64));
                }
                while self.sender.write(&zeros) > 0 {}
            }
            let next = self.events.peek().map(|Reverse((at, ..))| *at);
            let next = next.into_iter().chain(self.sender.deadline()).min();
            self.now = self.now.max(next.expect("something will happen"));
            if self.events.peek().is_some_and(|Reverse((at, ..))| *at <= self.now)
                && let Some(Reverse((.., event))) = self.events.pop()
            {
                self.happen(event);
            }
            assert!(self.sender.handle_timeout(self.now));
        }
        Download {
            speed: self.other.next as f64 * 8.0 / time.as_secs_f64(),
            sent: self.sent,
            dropped: self.dropped,
            timeouts: self.sender.timeouts(),
        }
    }

    fn carry(&mut self, from: u64, to: u64) {
        self.sent += 1;
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let chance = (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % 1_000_000;
        let takes = |bytes: usize| Duration::from_nanos(bytes as u64 * 8 * 1_000_000_000 / self.path.rate);
        self.free = self.free.max(self.now);
        if chance < u64::from(self.path.lost) || self.free - self.now > takes(self.path.queue) {
            self.dropped += 1;
            return;
        }
        self.free += takes((to - from) as usize + HEADERS);
        self.plan(self.free + self.path.rtt / 2, Event::Segment { from, to });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Segment { from, to } => {
                if self.other.take(from, to) || self.other.waiting >= self.path.gathered {
                    self.answer();
                } else if self.other.waiting == 1 {
                    self.plan(self.now + GATHER, Event::Patience);
                }
            }
            Event::Patience if self.other.waiting > 0 => self.answer(),
            Event::Patience => {}
            Event::Acknowledgment { ack, blocks } => {
                let seq = |at: u64| BASE.wrapping_add(at as u32);
                let blocks = blocks.iter().map(|(l, r)| (seq(*l), seq(*r))).collect::<Vec<_>>();
                let heard = self.sender.acknowledge(seq(ack), 64 << 20, &blocks, true, None, self.now);
                assert_eq!(heard, Ack::Fine);
            }
        }
    }

    fn answer(&mut self) {
        let acknowledgment = self.other.acknowledgment();
        self.plan(self.now + self.path.rtt / 2, acknowledgment);
    }

    fn plan(&mut self, at: Duration, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }
}

/// Goodput on links of 1 Gbit/s: all that the headers leave but for the first second if nothing gets lost but in the
/// queue, and what CUBIC's response function leaves otherwise (RFC 9438 section 5).
#[test]
fn a_bottleneck_is_filled_without_a_timeout() {
    let table = [
        // Milliseconds, lost of a million, seconds, Mbit/s at least, of a thousand segments at most dropped
        (10, 0, 3, 900.0, 1),
        (50, 0, 3, 750.0, 1),
        (10, 100, 3, 150.0, 2),
        (10, 1_000, 5, 50.0, 2),
        (10, 10_000, 5, 13.0, 12),
        (50, 1_000, 5, 14.0, 3),
    ];
    for (millis, lost, seconds, least, most) in table {
        for gathered in [2, 44] {
            let path = Path { lost, gathered, ..Path::gigabit(MS * millis) };
            let download = World::new(path).download(Duration::from_secs(seconds));
            println!(
                "{millis} ms, {lost} of a million, {gathered} segments acknowledged at once: {download:?}"
            );
            assert!(download.speed > least * 1e6, "{download:?}");
            assert!(download.dropped * 1000 <= download.sent * most, "{download:?}");
            assert_eq!(download.timeouts, 0);
        }
    }
}
