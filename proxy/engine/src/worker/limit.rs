//! How many refusals (resets, ICMP errors) a worker sends: a flood of packets that belong to nothing shall not become a
//! flood of answers to addresses that somebody else has written into them.

use std::cell::Cell;

use crate::conn::Millis;

/// Refusals a worker may send in a millisecond: 10,000 a second, as new kernels allow themselves for ICMP.
const PER_MILLI: u64 = 10;
/// And at once, after it has been quiet.
const BURST: u64 = 2000;

/// A token bucket.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    left: Cell<u64>,
    since: Cell<Millis>,
}

impl Default for Limit {
    fn default() -> Self {
        Self { left: Cell::new(BURST), since: Cell::new(0) }
    }
}

impl Limit {
    /// Whether one more may be sent, and takes its place.
    pub(super) fn allows(&self, now: Millis) -> bool {
        let quiet = now.saturating_sub(self.since.replace(now)).min(BURST);
        let left = (self.left.get() + quiet * PER_MILLI).min(BURST);
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_so_many_in_each_millisecond() {
        let limit = Limit::default();
        let allowed = |now, asked: u64| (0..asked).filter(|_| limit.allows(now)).count() as u64;
        assert_eq!(allowed(5, 3 * BURST), BURST);
        assert_eq!(allowed(6, 100), PER_MILLI);
        assert_eq!(allowed(6, 100), 0);
        assert_eq!(allowed(16, 3), 3);
        assert_eq!(allowed(16, 1000), 10 * PER_MILLI - 3);
        assert_eq!(allowed(1 << 40, 3 * BURST), BURST);
    }
}
