//! When sessions want to be driven though nothing has come.
//!
//! Deadlines move with every byte; what is kept here moves only when it fires. So there is one entry a session, which
//! may come early and never comes late.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Who: an index, and which of those who have had it.
pub(super) type Name = (usize, u32);

#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Name)>>);

impl Timers {
    /// Fires for `name` at `at` or before. `armed` is the caller's note of when it fires.
    pub(super) fn arm(&mut self, name: Name, at: Instant, armed: &mut Option<Instant>) {
        if armed.is_none_or(|earlier| at < earlier) {
            *armed = Some(at);
            self.0.push(Reverse((at, name)));
        }
    }

    /// When the next one fires.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// One that fires now, and for when it was armed.
    pub(super) fn fire(&mut self, now: Instant) -> Option<(Instant, Name)> {
        if self.next().is_none_or(|at| at > now) {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_fires_in_order_and_arms_only_for_what_is_earlier() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        let at = |ms| now + Duration::from_millis(ms);
        let (mut one, mut two) = (None, None);
        timers.arm((1, 0), at(30), &mut one);
        timers.arm((1, 0), at(40), &mut one);
        timers.arm((2, 0), at(20), &mut two);
        timers.arm((1, 0), at(10), &mut one);
        assert_eq!(one, Some(at(10)));
        assert_eq!(timers.fire(at(9)), None);
        let fired: Vec<_> = std::iter::from_fn(|| timers.fire(at(100))).collect();
        assert_eq!(fired, [(at(10), (1, 0)), (at(20), (2, 0)), (at(30), (1, 0))]);
    }
}
