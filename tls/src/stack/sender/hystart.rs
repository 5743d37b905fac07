//! HyStart++ (RFC 9406): slow start ends when the queue of the bottleneck begins to fill, not when it overflows.
//!
//! Round trips that take longer than all before make growth conservative; if they stay long for some rounds, the window
//! is large enough, and if they become short again, it was jitter. They tell it a round late, which is an overflow where
//! the queue holds no more than a round trip. So there is the other sign of the first HyStart, too: acknowledgments that
//! come close behind each other for half a round trip are those of a full bottleneck. It makes growth conservative as
//! long as it lasts, and of little longer round trips a second sign: both together end slow start.
//!
//! Section 4.2 lets acknowledgments count up to a limit, for senders that do not pace. Here they count in full: receive
//! offloads merge those of a whole super-packet into one.

use std::time::Duration;

/// How much longer the round trips of a round have to be, in microseconds: this part of those before, within bounds.
const DIVISOR: u32 = 8;
const LEAST: u32 = 4_000;
const LEAST_IF_FULL: u32 = 1_000;
const MOST: u32 = 16_000;
/// Round trips of a round that tell something.
const SAMPLES: u8 = 8;
/// Rounds of conservative growth, and by how much slower that is.
const ROUNDS: u8 = 5;
const SLOWER: f64 = 4.0;
/// Acknowledgments are close if there is no more than this part of a round trip between them, nor so many microseconds.
const CLOSE: u32 = 8;
const FAR: u32 = 2_000;

/// Times are in microseconds; the largest round trip stands for none.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// The next round begins when something behind this position is acknowledged, so that acknowledgments that come
    /// together are of one round.
    end: u64,
    /// Least round trips of the rounds before and of this one.
    least: u32,
    current: u32,
    /// Least round trip with which conservative growth began.
    baseline: u32,
    samples: u8,
    /// Rounds of conservative growth, this one included.
    rounds: u8,
    /// When this round began, and up to when its acknowledgments were close.
    began: u64,
    close: u64,
    /// They were so for long in this round, and in the one before.
    long: bool,
    was_long: bool,
}

impl Default for HyStart {
    fn default() -> Self {
        let none = u32::MAX;
        Self {
            end: 0,
            least: none,
            current: none,
            baseline: none,
            samples: 0,
            rounds: 0,
            began: 0,
            close: 0,
            long: false,
            was_long: false,
        }
    }
}

impl HyStart {
    /// All before `una` is acknowledged, and all before `next` is sent; the latest that was acknowledged took so long.
    /// Says whether slow start is over.
    pub(super) fn on_ack(&mut self, una: u64, next: u64, rtt: Option<Duration>, now: Duration) -> bool {
        let now = now.as_micros() as u64;
        if una > self.end {
            self.end = next;
            (self.least, self.current, self.samples) = (self.least.min(self.current), u32::MAX, 0);
            (self.was_long, self.long, self.began, self.close) = (self.long, false, now, now);
            if self.rounds > 0 {
                self.rounds += 1;
            }
        } else if now - self.close <= u64::from((self.least / CLOSE).min(FAR)) {
            self.close = now;
            self.long = now - self.began > u64::from(self.least / 2);
        }
        if let Some(rtt) = rtt {
            self.measure(u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX));
        }
        self.rounds > ROUNDS || (self.rounds > 0 && self.is_full())
    }

    fn measure(&mut self, rtt: u32) {
        self.current = self.current.min(rtt);
        self.samples = self.samples.saturating_add(1);
        if self.samples < SAMPLES {
            return;
        }
        if self.rounds > 0 {
            if self.current < self.baseline {
                self.rounds = 0;
            }
        } else if self.least != u32::MAX {
            let least = if self.is_full() { LEAST_IF_FULL } else { LEAST };
            let longer = (self.least / DIVISOR).clamp(least, MOST);
            if self.current >= self.least.saturating_add(longer) {
                (self.baseline, self.rounds) = (self.current, 1);
            }
        }
    }

    /// The bottleneck seems to have something to send all the time.
    fn is_full(&self) -> bool {
        self.long || self.was_long
    }

    /// By how much the window grows for so many bytes that were acknowledged.
    pub(super) fn growth(&self, bytes: f64) -> f64 {
        if self.rounds > 0 || self.is_full() { bytes / SLOWER } else { bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round of ten acknowledgments with these round trips, far from each other. Says whether slow start is over.
    fn round(hystart: &mut HyStart, number: u64, least: u64) -> bool {
        (0..10).fold(false, |_, ack| {
            let (una, now) = (number * 1000 + ack + 1, Duration::from_millis(number * 1000 + 10 * ack));
            hystart.on_ack(una, (number + 1) * 1000, Some(Duration::from_millis(least + ack)), now)
        })
    }

    /// The same, in so many milliseconds.
    fn train(hystart: &mut HyStart, number: u64, least: u64, lasts: u64) -> bool {
        (0..10).fold(false, |_, ack| {
            let (una, now) =
                (number * 1000 + ack + 1, Duration::from_micros(number * 1_000_000 + lasts * 1000 * ack / 9));
            hystart.on_ack(una, (number + 1) * 1000, Some(Duration::from_millis(least)), now)
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
            hystart.on_ack(2001 + ack, 3000, Some(Duration::from_millis(200)), Duration::from_secs(2));
        }
        assert_eq!(hystart.growth(1000.0), 1000.0);
        hystart.on_ack(2008, 3000, Some(Duration::from_millis(200)), Duration::from_secs(2));
        assert_eq!(hystart.growth(1000.0), 250.0);
    }

    #[test]
    fn half_a_round_trip_of_acknowledgments_slows_growth_down_and_with_long_round_trips_ends_it() {
        let mut hystart = HyStart::default();
        train(&mut hystart, 0, 20, 1);
        assert!(!train(&mut hystart, 1, 20, 9));
        assert_eq!(hystart.growth(1000.0), 1000.0);
        assert!(!train(&mut hystart, 2, 20, 11));
        assert_eq!(hystart.growth(1000.0), 250.0);
        for number in 3..20 {
            assert!(!train(&mut hystart, number, 20, 15), "there is no queue");
            assert_eq!(hystart.growth(1000.0), 250.0);
        }
        // Other traffic is gone.
        train(&mut hystart, 20, 20, 5);
        train(&mut hystart, 21, 20, 5);
        assert_eq!(hystart.growth(1000.0), 1000.0);
        train(&mut hystart, 22, 20, 11);
        assert!(train(&mut hystart, 23, 23, 11), "an eighth more");
    }

    #[test]
    fn acknowledgments_with_pauses_between_them_are_not_those_of_a_full_bottleneck() {
        let mut hystart = HyStart::default();
        train(&mut hystart, 0, 20, 1);
        assert!(!train(&mut hystart, 1, 20, 19));
        assert_eq!(hystart.growth(1000.0), 1000.0);
    }
}
