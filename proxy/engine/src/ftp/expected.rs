//! Data connections that are expected: who may begin one, and what it will be. As in IPVS they are listed as connections
//! that listen, their servers count them, and they are given up as such ones.
//!
//! There is room for them as for connections, and for few of each control connection, which takes them along when it
//! ends. What begins one consumes it.

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use sched::{Direction, Proto};

use crate::conn::{Conn, FlowKey, Kept, Millis, Room};
use crate::listing::Part;
use crate::ports::Lease;

/// How many a control connection may have at a time.
const OF_ONE: usize = 8;

/// Milliseconds between two looks at all.
const SWEEP_MS: Millis = 10_000;

/// A data connection that may begin.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) control: Kept,
    /// Who begins it: the client (passive), from any port; or the server (active), from any.
    pub(crate) from: Direction,
    pub(crate) client: SocketAddr,
    pub(crate) vip: SocketAddr,
    pub(crate) server: SocketAddr,
    /// Where the server connects to, in place of the client.
    pub(crate) local: Option<Lease>,
    pub(crate) deadline: Millis,
}

impl Expected {
    /// Where the first packet goes, from whatever port.
    pub(crate) fn key(&self) -> FlowKey {
        let any = |addr: SocketAddr| SocketAddr::new(addr.ip(), 0);
        match self.from {
            Direction::In => FlowKey::new(Proto::Tcp, any(self.client), self.vip),
            Direction::Out => {
                let peer = self.local.as_ref().map_or(self.client, Lease::addr);
                FlowKey::new(Proto::Tcp, any(self.server), peer)
            }
        }
    }

    /// It may still begin.
    fn is_open(&self, now: Millis) -> bool {
        now < self.deadline
            && self.control.conn().is_some_and(|conn| !conn.is_gone() && !conn.state().is_over())
    }
}

/// All that are expected.
#[derive(Debug)]
pub(crate) struct Expecting {
    map: DashMap<FlowKey, Expected, SeedableRandomState>,
    held: AtomicUsize,
    next_sweep: AtomicU64,
    room: Arc<Room>,
}

impl Expecting {
    pub(crate) fn new(seed: u64, room: Arc<Room>) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        let (held, next_sweep) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { map: DashMap::with_hasher(hasher), held, next_sweep, room }
    }

    /// As many as `other` has, none of which is here yet.
    pub(crate) fn count_as(&self, other: &Self) {
        self.held.store(other.held.load(Relaxed), Relaxed);
        self.next_sweep.store(other.next_sweep.load(Relaxed), Relaxed);
    }

    /// Shows one to `visit`.
    pub(crate) fn with<T>(&self, key: &FlowKey, visit: impl FnOnce(&Expected) -> T) -> Option<T> {
        self.map.get(key).map(|expected| visit(&expected))
    }

    /// Takes one in that is counted already.
    pub(crate) fn adopt(&self, key: FlowKey, expected: Expected) {
        self.map.insert(key, expected);
    }

    /// The key of one that would begin between these.
    pub(crate) fn key_between(src: SocketAddr, dst: SocketAddr) -> FlowKey {
        FlowKey::new(Proto::Tcp, SocketAddr::new(src.ip(), 0), dst)
    }

    /// Nothing is expected: all that a packet has to know.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.load(Relaxed) == 0
    }

    /// Whether a control connection other than `than` expects this client there.
    pub(crate) fn is_taken(&self, client: SocketAddr, vip: SocketAddr, than: &Conn<'_>, now: Millis) -> bool {
        let key = Self::key_between(client, vip);
        let other = |expected: &Expected| expected.is_open(now) && !expected.control.is(than);
        self.map.get(&key).is_some_and(|expected| other(&expected))
    }

    /// Expects one more, in place of the one that has been expected there. False where that is another control
    /// connection's, or there is no room.
    #[must_use]
    pub(crate) fn expect(&self, expected: Expected, now: Millis) -> bool {
        let (key, control) = (expected.key(), expected.control.clone());
        let Some(state) = control.rare().and_then(|rare| rare.control.as_ref()) else { return false };
        let mut keys = state.expected.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|known| *known != key);
        if keys.len() == OF_ONE {
            let oldest = keys.remove(0);
            self.remove(&oldest, |expected| expected.control == control);
        }
        match self.map.entry(key) {
            Entry::Occupied(mut there) => {
                if there.get().is_open(now) && there.get().control != control {
                    return false;
                }
                count(&expected, true);
                count(&there.insert(expected), false);
            }
            Entry::Vacant(place) => {
                if !self.room.take() {
                    return false;
                }
                count(&expected, true);
                place.insert(expected);
                if self.held.fetch_add(1, Relaxed) == 0 {
                    self.next_sweep.store(now + SWEEP_MS, Relaxed);
                }
            }
        }
        keys.push(key);
        true
    }

    /// The one that begins with a packet between these, which is expected no more.
    pub(crate) fn take(&self, src: SocketAddr, dst: SocketAddr, now: Millis) -> Option<Expected> {
        let key = Self::key_between(src, dst);
        self.remove(&key, |expected| expected.is_open(now))
    }

    /// A control connection has ended.
    pub(crate) fn forget(&self, control: &Conn<'_>) {
        let Some(state) = control.control() else { return };
        let keys = std::mem::take(&mut *state.expected.lock().unwrap_or_else(PoisonError::into_inner));
        for key in keys {
            self.remove(&key, |expected| expected.control.is(control));
        }
    }

    /// When to call [`Self::sweep`] next.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        (!self.is_empty()).then(|| self.next_sweep.load(Relaxed))
    }

    /// Gives up those that nobody has begun in time. Whichever worker comes first does it.
    pub(crate) fn sweep(&self, now: Millis) {
        let due = self.next_due().filter(|due| *due <= now);
        let Some(due) = due else { return };
        if self.next_sweep.compare_exchange(due, now + SWEEP_MS, Relaxed, Relaxed).is_err() {
            return;
        }
        self.map.retain(|_, expected| {
            let open = expected.is_open(now);
            if !open {
                self.discount(expected);
            }
            open
        });
    }

    /// Shows those of one part to `visit`, as [`crate::conn::ConnTable::for_each`].
    pub(crate) fn for_each(&self, part: Part, now: Millis, mut visit: impl FnMut(&Expected)) {
        for entry in &self.map {
            let hash = self.map.hasher().hash_one(entry.key());
            if entry.is_open(now) && hash % u64::from(part.of) == u64::from(part.index) {
                visit(&entry);
            }
        }
    }

    fn remove(&self, key: &FlowKey, wanted: impl Fn(&Expected) -> bool) -> Option<Expected> {
        let (_, expected) = self.map.remove_if(key, |_, expected| wanted(expected))?;
        self.discount(&expected);
        Some(expected)
    }

    fn discount(&self, expected: &Expected) {
        count(expected, false);
        self.held.fetch_sub(1, Relaxed);
        self.room.give_back();
    }
}

/// Its server counts it, or no longer.
fn count(expected: &Expected, more: bool) {
    let dest = &expected.control.legs().dest;
    if more {
        dest.inactive.fetch_add(1, Relaxed);
    } else {
        dest.inactive.fetch_sub(1, Relaxed);
    }
    dest.update_overload();
}

#[cfg(test)]
mod tests;
