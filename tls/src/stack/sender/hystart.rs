//! HyStart++ (RFC 9406): slow start ends when the queue of the bottleneck begins to fill, not when it overflows.
//!
//! Round trips that take longer than those of the round before make growth conservative; if they stay long for some
//! rounds, the window is large enough, and if they become short again, it was jitter. Section 4.2 lets acknowledgments
//! count up to a limit, for senders that do not pace. Here they count in full: receive offloads merge those of a whole
//! super-packet into one.

use std::time::Duration;

/// How much longer the round trips of a round have to be, in microseconds: this part of those before, within bounds.
const DIVISOR: u32 = 8;
const LEAST: u32 = 4_000;
const MOST: u32 = 16_000;
/// Round trips of a round that tell something.
const SAMPLES: u8 = 8;
/// Rounds of conservative growth, and by how much slower that is.
const ROUNDS: u8 = 5;
const SLOWER: f64 = 4.0;

/// Round trips are in microseconds; the largest number stands for none.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// The round ends when all before this position is acknowledged.
    end: u64,
    /// Least round trips of the last round and of this one.
    last: u32,
    current: u32,
    /// Least round trip with which conservative growth began.
    baseline: u32,
    samples: u8,
    /// Rounds of conservative growth, this one included.
    rounds: u8,
}

impl Default for HyStart {
    fn default() -> Self {
        Self { end: 0, last: u32::MAX, current: u32::MAX, baseline: u32::MAX, samples: 0, rounds: 0 }
    }
}

impl HyStart {
    /// All before `una` is acknowledged, and all before `next` is sent; the latest that was acknowledged took so long.
    /// Says whether slow start is over.
    pub(super) fn on_ack(&mut self, una: u64, next: u64, rtt: Option<Duration>) -> bool {
        if una >= self.end {
            (self.end, self.last, self.current, self.samples) = (next, self.current, u32::MAX, 0);
            if self.rounds > 0 {
                self.rounds += 1;
            }
        }
        let Some(rtt) = rtt else { return self.rounds > ROUNDS };
        let rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
        self.current = self.current.min(rtt);
        self.samples = self.samples.saturating_add(1);
        if self.samples >= SAMPLES {
            if self.rounds == 0 && self.last != u32::MAX {
                let longer = (self.last / DIVISOR).clamp(LEAST, MOST);
                if self.current >= self.last.saturating_add(longer) {
                    (self.baseline, self.rounds) = (self.current, 1);
                }
            } else if self.current < self.baseline {
                (self.baseline, self.rounds) = (u32::MAX, 0);
            }
        }
        self.rounds > ROUNDS
    }

    /// By how much the window grows for so many bytes that were acknowledged.
    pub(super) fn growth(&self, bytes: f64) -> f64 {
        if self.rounds > 0 { bytes / SLOWER } else { bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round of ten acknowledgments with these round trips. Says whether slow start is over.
    fn round(hystart: &mut HyStart, number: u64, least: u64) -> bool {
        (0..10).fold(false, |_, ack| {
            let una = number * 1000 + ack;
            hystart.on_ack(una, (number + 1) * 1000, Some(Duration::from_millis(least + ack)))
        })
    }

    #[test]
    fn long_round_trips_slow_growth_down_and_end_it_if_they_stay() {
        let mut hystart = HyStart::default();
        assert!(!round(&mut hystart, 0, 10) && !round(&mut hystart, 1, 13));
        assert_eq!(hystart.growth(1000.0), 1000.0, "three milliseconds are nothing");
        assert!(!round(&mut hystart, 2, 17));
        assert_eq!(hystart.growth(1000.0), 250.0);
        for number in 3..7 {
            assert!(!round(&mut hystart, number, 18), "{number}");
        }
        assert!(round(&mut hystart, 7, 18));
    }

    #[test]
    fn jitter_is_forgotten() {
        let mut hystart = HyStart::default();
        round(&mut hystart, 0, 10);
        round(&mut hystart, 1, 30);
        assert_eq!(hystart.growth(1000.0), 250.0);
        round(&mut hystart, 2, 11);
        assert_eq!(hystart.growth(1000.0), 1000.0);
        for number in 3..20 {
            assert!(!round(&mut hystart, number, 11));
        }
    }

    #[test]
    fn an_eighth_of_a_long_round_trip_counts_and_few_samples_do_not() {
        let mut hystart = HyStart::default();
        round(&mut hystart, 0, 100);
        round(&mut hystart, 1, 111);
        assert_eq!(hystart.growth(1000.0), 1000.0);
        for ack in 0..7 {
            hystart.on_ack(2000 + ack, 3000, Some(Duration::from_millis(200)));
        }
        assert_eq!(hystart.growth(1000.0), 1000.0);
        hystart.on_ack(2008, 3000, Some(Duration::from_millis(200)));
        assert_eq!(hystart.growth(1000.0), 250.0);
    }
}
