//! Local ports for FullNAT: which one of an address of ours (LIP) a connection to a server gets.
//!
//! A port is taken only towards one server, so each LIP has as many connections to *every* server as there are ports.
//! Taking one and giving it back cost the same however many are taken: fresh ports come first, then those that have been
//! given back, the one that has rested longest before the others, so that a server seldom sees a port again while it
//! still remembers it (TIME_WAIT). When there is none left, the connection that has been over for longest, and is only
//! remembered, gives its port.

mod pool;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use sched::Proto;

pub(crate) use pool::{Lease, Pool};

/// What a pool is for: its ports are those of one LIP towards one server. An address that becomes the host's own, or
/// ceases to be, has another one from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey {
    pub(crate) proto: Proto,
    pub(crate) lip: IpAddr,
    pub(crate) whose: Whose,
    pub(crate) server: SocketAddr,
}

/// Who else speaks from a LIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// Nobody.
    Ours,
    /// The host: it is an address of its own.
    Hosts,
}

/// How much of a LIP's ports towards a server is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortsInUse {
    /// Protocol.
    pub proto: Proto,
    /// Local address.
    pub lip: IpAddr,
    /// The server.
    pub server: SocketAddr,
    /// Ports taken.
    pub taken: usize,
    /// Those of them whose connections are over (TIME_WAIT, CLOSE): they are given up when they are needed.
    pub resting: usize,
    /// Ports there are.
    pub all: usize,
    /// How often none was left when one was needed.
    pub refused: u64,
}

/// All pools of an engine, made as they are needed.
#[derive(Debug)]
pub(crate) struct Ports {
    pools: DashMap<PoolKey, Arc<Pool>, SeedableRandomState>,
    /// Of ranges that are over, while connections have ports of them. The table of connections keeps those apart from
    /// new ones.
    former: Mutex<Vec<Arc<Pool>>>,
    /// Of LIPs that are ours alone, and of those that the host speaks from as well.
    usable: ArcSwap<[Arc<[u16]>; 2]>,
}

/// Ports that are not for anybody special: RFC 6335 section 6.
const FIRST_USER_PORT: u16 = 1024;

impl Ports {
    pub(crate) fn new(seed: u64) -> Self {
        let all = (FIRST_USER_PORT..=u16::MAX).collect::<Arc<[u16]>>();
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self {
            pools: DashMap::with_hasher(hasher),
            former: Mutex::default(),
            usable: ArcSwap::from_pointee([Arc::clone(&all), all]),
        }
    }

    /// The same ports, of which none is known to be taken.
    pub(crate) fn copied(&self) -> Self {
        let pools = DashMap::with_hasher(self.pools.hasher().clone());
        Self { pools, former: Mutex::default(), usable: ArcSwap::new(self.usable.load_full()) }
    }

    pub(crate) fn find(&self, key: &PoolKey) -> Option<Arc<Pool>> {
        self.pools.get(key).map(|pool| Arc::clone(&pool))
    }

    /// Takes a pool in.
    pub(crate) fn adopt(&self, pool: Arc<Pool>) {
        self.pools.insert(*pool.key(), pool);
    }

    /// From now on these are handed out. What is taken stays taken.
    pub(crate) fn set_usable(&self, ours: &[u16], hosts: &[u16]) {
        let usable = [ours.into(), hosts.into()];
        if **self.usable.load() != usable {
            self.usable.store(Arc::new(usable));
            let mut former = self.former();
            self.pools.retain(|_, pool| {
                former.push(Arc::clone(pool));
                false
            });
        }
    }

    /// The pool for these. `start` says, for the first of its connections, where in the range it begins: unpredictable,
    /// so that others cannot guess it.
    pub(crate) fn pool(&self, key: PoolKey, start: u64) -> Arc<Pool> {
        self.find(&key).unwrap_or_else(|| {
            let new = || Arc::new(Pool::new(key, Arc::clone(&self.usable.load()[key.whose as usize]), start));
            Arc::clone(&self.pools.entry(key).or_insert_with(new))
        })
    }

    /// What is taken of each pool. For listings and alarms.
    pub(crate) fn in_use(&self, mut visit: impl FnMut(PortsInUse)) {
        self.pools.iter().for_each(|pool| visit(pool.in_use()));
        self.former().iter().for_each(|pool| visit(pool.in_use()));
    }

    /// Forgets pools of which nothing is taken. For the control plane, now and then.
    pub(crate) fn sweep(&self) {
        let is_held = |pool: &Arc<Pool>| Arc::strong_count(pool) > 1 || pool.in_use().taken > 0;
        self.pools.retain(|_, pool| is_held(pool));
        self.former().retain(is_held);
    }

    /// No code that holds it can panic half-way.
    fn former(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Pool>>> {
        self.former.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
