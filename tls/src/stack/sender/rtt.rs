//! How long a round trip takes, and how long to wait for one: RFC 6298, with the least timeout that Linux has.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LEAST: Duration = Duration::from_millis(200);
const MOST: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rtt {
    /// Mean and variation.
    smoothed: Option<(Duration, Duration)>,
    least: Option<Duration>,
    backoff: u32,
}

impl Rtt {
    /// One was measured.
    pub(super) fn sample(&mut self, rtt: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => (rtt, rtt / 2),
            Some((mean, variation)) => {
                let variation = (variation * 3 + mean.abs_diff(rtt)) / 4;
                ((mean * 7 + rtt) / 8, variation)
            }
        });
        self.least = Some(self.least.map_or(rtt, |least| least.min(rtt)));
    }

    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed.map(|(mean, _)| mean)
    }

    pub(super) fn least(&self) -> Duration {
        self.least.unwrap_or_default()
    }

    /// How long to wait for an acknowledgment.
    pub(super) fn timeout(&self) -> Duration {
        let timeout = self.smoothed.map_or(FIRST, |(mean, variation)| mean + LEAST.max(variation * 4));
        (timeout * 2u32.pow(self.backoff.min(9))).min(MOST)
    }

    /// It was in vain.
    pub(super) fn back_off(&mut self) {
        self.backoff += 1;
    }

    /// How often in a row.
    pub(super) fn backoff(&self) -> u32 {
        self.backoff
    }

    /// Something new was acknowledged.
    pub(super) fn progress(&mut self) {
        self.backoff = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_follows_the_round_trip_and_doubles() {
        let ms = Duration::from_millis;
        let mut rtt = Rtt::default();
        assert_eq!(rtt.timeout(), ms(1000));
        (0..100).for_each(|_| rtt.sample(ms(10)));
        assert_eq!(rtt.timeout().as_millis(), 210);
        assert_eq!(rtt.least(), ms(10));
        rtt.back_off();
        assert_eq!(rtt.timeout().as_millis(), 420);
        (0..100).for_each(|_| rtt.back_off());
        assert_eq!(rtt.timeout(), MOST);
        rtt.progress();
        rtt.sample(ms(500));
        assert!(rtt.timeout() > ms(500) && rtt.timeout() < ms(1000));
    }
}
