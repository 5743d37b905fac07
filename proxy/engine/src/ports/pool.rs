//! The ports of one LIP towards one server.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{PoolKey, PortsInUse};

#[derive(Debug)]
pub(crate) struct Pool {
    key: PoolKey,
    usable: Arc<[u16]>,
    state: Mutex<State>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// Where in the list it has begun, and how many of it have been handed out at least once.
    start: usize,
    fresh: usize,
    returned: VecDeque<u16>,
    /// Taken by connections that are over, in the order in which they ended.
    resting: BTreeMap<u64, u16>,
    /// How often a connection has ended.
    ends: u64,
}

impl Pool {
    pub(super) fn new(key: PoolKey, usable: Arc<[u16]>, start: u64) -> Self {
        let start = start.checked_rem(usable.len() as u64).unwrap_or(0) as usize;
        let (returned, resting) = (VecDeque::new(), BTreeMap::new());
        let state = Mutex::new(State { start, fresh: 0, returned, resting, ends: 0 });
        Self { key, usable, state, refused: AtomicU64::new(0) }
    }

    /// One of which the same is taken.
    pub(crate) fn copied(&self) -> Self {
        let State { start, fresh, ref returned, ref resting, ends } = *self.state();
        let state = State { start, fresh, returned: returned.clone(), resting: resting.clone(), ends };
        let refused = self.refused.load(Relaxed).into();
        Self { key: self.key, usable: Arc::clone(&self.usable), state: Mutex::new(state), refused }
    }

    pub(crate) const fn key(&self) -> &PoolKey {
        &self.key
    }

    /// Takes a port; `None` when all are taken.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Lease> {
        let port = self.state().take(&self.usable)?;
        let addr = SocketAddr::new(self.key.lip, port);
        Some(Lease { addr, pool: Arc::clone(self), end: AtomicU64::new(TAKEN) })
    }

    /// The address and port of the connection that has been over for longest, each once: to be ended, if it still is.
    pub(crate) fn next_resting(&self) -> Option<SocketAddr> {
        let (_, port) = self.state().resting.pop_first()?;
        Some(SocketAddr::new(self.key.lip, port))
    }

    /// Counts that a connection got none.
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn in_use(&self) -> PortsInUse {
        let PoolKey { proto, lip, server, .. } = self.key;
        let (taken, resting) = {
            let state = self.state();
            (state.fresh - state.returned.len(), state.resting.len())
        };
        let refused = self.refused.load(Relaxed);
        PortsInUse { proto, lip, server, taken, resting, all: self.usable.len(), refused }
    }

    /// No code that holds it can panic half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, usable: &[u16]) -> Option<u16> {
        if self.fresh < usable.len() {
            let at = (self.start + self.fresh) % usable.len();
            self.fresh += 1;
            return usable.get(at).copied();
        }
        self.returned.pop_front()
    }
}

/// A port of a LIP, for as long as the connection that holds it is in the table.
#[derive(Debug)]
pub(crate) struct Lease {
    addr: SocketAddr,
    pool: Arc<Pool>,
    /// [`TAKEN`], the number of the connection's end, or [`GIVEN_BACK`]. Changed with the pool's lock.
    end: AtomicU64,
}

const TAKEN: u64 = 0;
const GIVEN_BACK: u64 = u64::MAX;

impl Lease {
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) const fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The same of a copy of its pool.
    pub(crate) fn copied(&self, pool: Arc<Pool>) -> Self {
        Self { addr: self.addr, pool, end: self.end.load(Relaxed).into() }
    }

    /// The connection is over, or goes on after all.
    pub(crate) fn rest(&self, over: bool) {
        let mut state = self.pool.state();
        match (self.end.load(Relaxed), over) {
            (TAKEN, true) => {
                state.ends += 1;
                let end = state.ends;
                state.resting.insert(end, self.addr.port());
                self.end.store(end, Relaxed);
            }
            (GIVEN_BACK, _) | (TAKEN, false) | (_, true) => {}
            (end, false) => {
                state.resting.remove(&end);
                self.end.store(TAKEN, Relaxed);
            }
        }
    }

    /// Others may have it. Does nothing the second time.
    pub(crate) fn give_back(&self) {
        let mut state = self.pool.state();
        let end = self.end.swap(GIVEN_BACK, Relaxed);
        if end != GIVEN_BACK {
            state.resting.remove(&end);
            state.returned.push_back(self.addr.port());
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}
