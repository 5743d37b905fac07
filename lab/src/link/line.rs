//! One direction of an impaired link, as arithmetic: packets go in with the time and come out when they are due.
//!
//! First a packet waits for the transmitter, which sends at the link's rate and drops what its queue has no room for;
//! then it travels, gets lost, doubled or late. The same seed, settings and packets give the same result.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What a direction of a link does to packets. The default does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// How long a packet travels.
    pub delay: Duration,
    /// Up to so much more or less, evenly spread. Packets keep their order all the same.
    pub jitter: Duration,
    /// Share of the packets that are lost, 0 to 1.
    pub loss: f64,
    /// Share of the packets that arrive twice.
    pub duplicate: f64,
    /// Share of the packets that travel in no time, past those that are under way.
    pub reorder: f64,
    /// How fast it sends; as fast as packets come if not given.
    pub rate: Option<Rate>,
}

/// A transmitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bits of packets (IP headers included) in a second.
    pub bits_per_s: u64,
    /// Bytes that may wait for their turn; a packet that finds more before it is dropped.
    pub queue: u64,
}

/// What became of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that came in.
    pub entered: u64,
    /// Packets that found the queue full.
    pub overflowed: u64,
    /// Packets that were lost on the way.
    pub lost: u64,
    /// Packets that were doubled.
    pub doubled: u64,
    /// Packets that went past others.
    pub reordered: u64,
    /// Packets that came out, copies included.
    pub left: u64,
}

/// The direction. Times count from any moment, the same for all calls, and never go back.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) impairment: Impairment,
    pub(super) counts: Counts,
    random: Random,
    /// When the transmitter will have sent all that it took.
    idle_at: Duration,
    /// When the last packet that keeps its order arrives.
    arrived: Duration,
    /// By the time they are due, then by number.
    under_way: BinaryHeap<Reverse<(Duration, u64, Vec<u8>)>>,
    number: u64,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

impl Line {
    pub(super) fn new(impairment: Impairment, seed: u64) -> Self {
        Self {
            impairment,
            counts: Counts::default(),
            random: Random(seed),
            idle_at: Duration::ZERO,
            arrived: Duration::ZERO,
            under_way: BinaryHeap::new(),
            number: 0,
            spare: Vec::new(),
        }
    }

    /// Takes a packet.
    pub(super) fn push(&mut self, now: Duration, packet: &[u8]) {
        self.counts.entered += 1;
        let Some(sent) = self.transmit(now, packet.len() as u64) else {
            self.counts.overflowed += 1;
            return;
        };
        let Impairment { delay, jitter, loss, duplicate, reorder, .. } = self.impairment;
        if self.random.happens(loss) {
            self.counts.lost += 1;
            return;
        }
        let due = if self.random.happens(reorder) {
            self.counts.reordered += 1;
            sent
        } else {
            let travels = (delay + jitter.mul_f64(2.0 * self.random.share())).saturating_sub(jitter);
            self.arrived = self.arrived.max(sent + travels);
            self.arrived
        };
        if self.random.happens(duplicate) {
            self.counts.doubled += 1;
            self.send(due, packet);
        }
        self.send(due, packet);
    }

    /// When the next packet is due.
    pub(super) fn due(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse((due, ..))| *due)
    }

    /// A packet that is due; give it back with [`Self::recycle`].
    pub(super) fn pop(&mut self, now: Duration) -> Option<Vec<u8>> {
        if self.due()? > now {
            return None;
        }
        let Reverse((_, _, packet)) = self.under_way.pop()?;
        self.counts.left += 1;
        Some(packet)
    }

    pub(super) fn recycle(&mut self, packet: Vec<u8>) {
        self.spare.push(packet);
    }

    /// When the last bit is on its way, unless the queue is full.
    fn transmit(&mut self, now: Duration, bytes: u64) -> Option<Duration> {
        let Some(Rate { bits_per_s, queue }) = self.impairment.rate else { return Some(now) };
        let time = |bytes: u64| Duration::from_secs_f64(bytes as f64 * 8.0 / bits_per_s as f64);
        let starts = self.idle_at.max(now);
        if starts - now > time(queue) {
            return None;
        }
        self.idle_at = starts + time(bytes);
        Some(self.idle_at)
    }

    fn send(&mut self, due: Duration, packet: &[u8]) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(packet);
        self.under_way.push(Reverse((due, self.number, buffer)));
        self.number += 1;
    }
}

/// SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.share() < share
    }

    /// From 0 up to, but not including, 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests;
