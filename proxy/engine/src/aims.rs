//! Flows that are to go to one given server: those of checks, which ask a server as a client would reach it. Who begins
//! one is known by address and port before its first packet, like an expected data connection of FTP.
//!
//! An aim stays until its time is over: if its flow is forgotten meanwhile, because the server is found dead, the
//! client's next packet must not reach another one that says that all is well.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use sched::{DestKey, ServiceKey};

use crate::conn::{FlowKey, Millis};

/// Milliseconds between two looks at all, if anybody aims.
const SWEEP_MS: Millis = 1_000;

/// Where a flow is to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) service: ServiceKey,
    pub(crate) server: DestKey,
    pub(crate) until: Millis,
}

#[derive(Debug)]
pub(crate) struct Aims {
    map: DashMap<FlowKey, Aim, SeedableRandomState>,
    /// How many there are: all that a packet has to know.
    held: AtomicUsize,
    next_sweep: AtomicU64,
}

impl Aims {
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self { map: DashMap::with_hasher(hasher), held: AtomicUsize::new(0), next_sweep: AtomicU64::new(0) }
    }

    /// Takes one in, in place of the one that the same flow had. From time to time the old ones go.
    pub(crate) fn put(&self, key: FlowKey, aim: Aim, now: Millis) {
        self.map.insert(key, aim);
        let due = self.next_sweep.load(Relaxed);
        if due <= now && self.next_sweep.compare_exchange(due, now + SWEEP_MS, Relaxed, Relaxed).is_ok() {
            self.map.retain(|_, aim| aim.until > now);
        }
        self.held.store(self.map.len(), Relaxed);
    }

    pub(crate) fn get(&self, key: &FlowKey, now: Millis) -> Option<Aim> {
        if self.held.load(Relaxed) == 0 {
            return None;
        }
        self.map.get(key).map(|aim| *aim).filter(|aim| aim.until > now)
    }
}

#[cfg(test)]
mod tests {
    use sched::Proto;

    use super::*;

    #[test]
    fn an_aim_holds_for_its_time_and_goes_with_those_that_come_later() {
        let at = |n: u16| std::net::SocketAddr::new([10, 0, 0, 1].into(), n);
        let key = |n| FlowKey::new(Proto::Tcp, at(n), at(80));
        let aims = Aims::new(1);
        let aim = |until| Aim { service: ServiceKey::addr(Proto::Tcp, at(80)), server: at(8000), until };
        assert!(aims.get(&key(1), 0).is_none());
        (1..=100).for_each(|n| aims.put(key(n), aim(500), 0));
        assert_eq!(aims.get(&key(7), 499).map(|aim| aim.server), Some(at(8000)));
        assert!(aims.get(&key(7), 500).is_none() && aims.get(&key(101), 0).is_none());
        aims.put(key(200), aim(5000), 2000);
        assert_eq!((aims.map.len(), aims.held.load(Relaxed)), (1, 1));
    }
}
