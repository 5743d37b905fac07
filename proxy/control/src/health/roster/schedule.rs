//! When which check is asked next. Pure: chance is a seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

/// Names one check of one server for as long as it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckId(pub(super) u64);

/// Questions to come, the next one first.
#[derive(Debug)]
pub(super) struct Schedule {
    due: BinaryHeap<Reverse<(Instant, CheckId)>>,
    /// The same by name.
    at: HashMap<CheckId, Instant>,
    chance: u64,
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Self {
        Self { due: BinaryHeap::new(), at: HashMap::new(), chance: seed }
    }

    /// The first question comes at a random moment within that time.
    pub(super) fn begin(&mut self, id: CheckId, within: Duration, now: Instant) {
        let at = now + within.mul_f64(self.random());
        self.put(id, at);
    }

    /// The next one about so long after the beginning of the one before, and not in the past. A twentieth more or less, so
    /// that those who begin together do not stay together.
    pub(super) fn again(&mut self, id: CheckId, began: Instant, pause: Duration, now: Instant) {
        let at = began + pause.mul_f64(0.95 + 0.1 * self.random());
        self.put(id, at.max(now));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    pub(super) fn pop(&mut self, now: Instant) -> Option<CheckId> {
        self.next().filter(|at| *at <= now)?;
        let Reverse((_, id)) = self.due.pop()?;
        self.at.remove(&id);
        Some(id)
    }

    /// When this one is asked; `None` while it is out.
    pub(super) fn at(&self, id: CheckId) -> Option<Instant> {
        self.at.get(&id).copied()
    }

    fn put(&mut self, id: CheckId, at: Instant) {
        self.due.push(Reverse((at, id)));
        self.at.insert(id, at);
    }

    /// 0 to 1 (Steele and others: splitmix64).
    fn random(&mut self) -> f64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_that_begin_together_are_spread_and_stay_so() {
        let began = Instant::now();
        let second = Duration::from_secs(1);
        let mut schedule = Schedule::new(7);
        (0..1000).for_each(|id| schedule.begin(CheckId(id), second, began));
        let mut counts = [0; 40];
        for tenth in 0..40 {
            let now = began + Duration::from_millis(100) * (tenth + 1);
            while let Some(at) = schedule.next().filter(|at| *at <= now) {
                let id = schedule.pop(now).unwrap();
                counts[tenth as usize] += 1;
                schedule.again(id, at, second, now);
            }
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least > 60 && *most < 140, "{counts:?}");
    }

    #[test]
    fn who_took_longer_than_the_interval_is_asked_at_once() {
        let began = Instant::now();
        let mut schedule = Schedule::new(7);
        let now = began + Duration::from_secs(5);
        schedule.again(CheckId(1), began, Duration::from_secs(1), now);
        assert_eq!(schedule.next(), Some(now));
    }
}
