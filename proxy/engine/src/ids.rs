//! Identification of packets that we make and that may be cut on their way: what is put together again at their
//! destination must not get mixed up (RFC 6864, RFC 8200 section 4.5).

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use std::hash::BuildHasher;

use crate::random::Random;

/// Counters, each for the destinations that hash to it: so a destination's seldom comes round before 2^16 packets.
const COUNTERS: usize = 64;

/// What all workers count with. Begins anywhere, so that a director that starts again does not repeat itself.
#[derive(Debug)]
pub(crate) struct Ids {
    counters: [AtomicU32; COUNTERS],
    hasher: SeedableRandomState,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            counters: std::array::from_fn(|_| AtomicU32::new(random.next() as u32)),
            hasher: SeedableRandomState::with_seed(random.next(), SharedSeed::global_fixed()),
        }
    }

    /// The same numbers to come.
    pub(crate) fn copied(&self) -> Self {
        let counters = std::array::from_fn(|at| self.counters[at].load(Relaxed).into());
        Self { counters, hasher: self.hasher.clone() }
    }

    /// The first of `count` in a row for packets to a destination.
    pub(crate) fn take(&self, to: IpAddr, count: u32) -> u32 {
        let at = self.hasher.hash_one(to) as usize % COUNTERS;
        self.counters[at].fetch_add(count, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_to_one_address_are_told_apart() {
        let ids = Ids::new(7);
        let [one, other] = ["10.0.0.1", "fd00::1"].map(|ip| ip.parse().unwrap());
        let first = ids.take(one, 45);
        assert_eq!(ids.take(one, 1), first.wrapping_add(45));
        ids.take(other, 1);
        assert_ne!(first, Ids::new(8).take(one, 1));
    }
}
