//! The connection table: both directions of every flow, shared by all workers, bounded.
//!
//! Invariants: a connection is under both of its keys or under none; a key leads to one connection, so a reply
//! tuple is never shared. One that has ended is as good as absent, even while its keys are being taken out: nobody
//! finds it, and it stands in nobody's way. No guard is held across a second map call or a packet.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use sched::Direction;

use super::{Conn, FlowKey};
use crate::listing::Part;

/// Shards: enough that workers rarely meet, few enough that walking them is cheap.
const SHARDS: usize = 128;
/// Keys that fit before the first shard has to grow.
const INITIAL_KEYS: usize = 1 << 16;

/// What became of [`ConnTable::insert`].
#[derive(Debug)]
pub(crate) enum Inserted {
    /// It is in the table.
    Yes,
    /// The table holds as many as it may.
    Full,
    /// Another connection has its reply tuple.
    ReplyTaken(Arc<Conn>),
    /// Another worker made a connection for the same client and VIP meanwhile. The one offered has ended.
    Raced(Arc<Conn>),
}

#[derive(Debug)]
pub(crate) struct ConnTable {
    map: DashMap<FlowKey, (Arc<Conn>, Direction), SeedableRandomState>,
    len: AtomicUsize,
    max: usize,
}

impl ConnTable {
    pub(crate) fn new(seed: u64, max: usize) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        let keys = INITIAL_KEYS.min(max.saturating_mul(2));
        Self {
            map: DashMap::with_capacity_and_hasher_and_shard_amount(keys, hasher, SHARDS),
            len: AtomicUsize::new(0),
            max,
        }
    }

    /// Connections in the table.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    pub(crate) fn find(&self, key: &FlowKey) -> Option<(Arc<Conn>, Direction)> {
        let entry = self.map.get(key).filter(|entry| !entry.0.is_gone())?;
        Some((Arc::clone(&entry.0), entry.1))
    }

    pub(crate) fn insert(&self, conn: &Arc<Conn>) -> Inserted {
        if self.len.fetch_add(1, Relaxed) >= self.max {
            self.len.fetch_sub(1, Relaxed);
            return Inserted::Full;
        }
        if let Err(other) = self.put(conn.out_key(), conn, Direction::Out) {
            self.len.fetch_sub(1, Relaxed);
            return Inserted::ReplyTaken(other);
        }
        if let Err(other) = self.put(conn.in_key(), conn, Direction::In) {
            // It could be found by its first key, so another worker may have ended it already.
            self.remove(conn);
            return Inserted::Raced(other);
        }
        if conn.is_gone() {
            // Ended before it had its second key: whoever did that took only the first out.
            self.take(&conn.in_key(), conn);
            return Inserted::Raced(Arc::clone(conn));
        }
        Inserted::Yes
    }

    /// Takes it out, unless somebody else has.
    pub(crate) fn remove(&self, conn: &Arc<Conn>) -> bool {
        if !conn.retire() {
            return false;
        }
        self.take(&conn.in_key(), conn);
        self.take(&conn.out_key(), conn);
        self.len.fetch_sub(1, Relaxed);
        true
    }

    /// Shows every connection of `part` to `visit`, in no order. Holds a shard at a time: not for the packet path.
    pub(crate) fn for_each(&self, part: Part, mut visit: impl FnMut(&Conn)) {
        let hasher = self.map.hasher();
        for entry in &self.map {
            let (conn, direction) = entry.value();
            let mine =
                part.of <= 1 || hasher.hash_one(entry.key()) % u64::from(part.of) == u64::from(part.index);
            if *direction == Direction::In && mine {
                visit(conn);
            }
        }
    }

    fn put(&self, key: FlowKey, conn: &Arc<Conn>, direction: Direction) -> Result<(), Arc<Conn>> {
        match self.map.entry(key) {
            Entry::Occupied(entry) if !entry.get().0.is_gone() => Err(Arc::clone(&entry.get().0)),
            Entry::Occupied(mut entry) => {
                entry.insert((Arc::clone(conn), direction));
                Ok(())
            }
            Entry::Vacant(entry) => {
                entry.insert((Arc::clone(conn), direction));
                Ok(())
            }
        }
    }

    fn take(&self, key: &FlowKey, conn: &Arc<Conn>) {
        self.map.remove_if(key, |_, (found, _)| Arc::ptr_eq(found, conn));
    }
}

#[cfg(test)]
mod tests;
