//! For how long a server is left alone that does not take clients' connections. Pure.

use std::time::{Duration, Instant};

use sched::{Met, Passive, counted};

/// For how long a server is left alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Hold {
    answered: u64,
    /// How often it was left alone since somebody got through.
    times: u32,
    until: Option<Instant>,
}

impl Hold {
    /// Takes what connections have met. Says why, if it is left alone from now on.
    pub(super) fn meet(&mut self, met: Met, rules: &Passive, now: Instant) -> Option<String> {
        if std::mem::replace(&mut self.answered, met.answered) != met.answered {
            self.times = 0;
        }
        if self.is_held(now) || met.in_a_row < rules.fall.max(1) {
            return None;
        }
        let longer = rules.hold.saturating_mul(1_u32.checked_shl(self.times).unwrap_or(u32::MAX));
        let hold = Duration::from_millis(longer.min(rules.max_hold.max(rules.hold)).into());
        self.until = Some(now + hold);
        self.times += 1;
        let (run, seconds) = (counted(met.in_a_row, "connection"), hold.as_secs_f64());
        Some(format!("{run} in a row came to nothing, it is left alone for {seconds} s"))
    }

    pub(super) fn is_held(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_left_alone_twice_as_long_each_time_until_somebody_gets_through() {
        let rules = Passive { fall: 3, hold: 1_000, max_hold: 3_000 };
        let mut now = Instant::now();
        let mut hold = Hold::default();
        let failed = |answered, in_a_row| Met { answered, in_a_row, ..Met::default() };
        assert_eq!(hold.meet(failed(0, 2), &rules, now), None);
        for expected in [1_000, 2_000, 3_000, 3_000] {
            assert!(hold.meet(failed(0, 3), &rules, now).is_some());
            assert_eq!(hold.until(), Some(now + Duration::from_millis(expected)));
            assert_eq!(hold.meet(failed(0, 9), &rules, now), None, "held already");
            now += Duration::from_millis(expected);
            assert!(!hold.is_held(now));
        }
        assert_eq!(hold.meet(failed(1, 2), &rules, now), None, "somebody got through, and then two did not");
        assert!(hold.meet(failed(1, 3), &rules, now).is_some());
        assert_eq!(hold.until(), Some(now + Duration::from_secs(1)), "from the beginning");
    }
}
