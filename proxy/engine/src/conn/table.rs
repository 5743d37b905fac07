//! The connection table: both directions of every flow, shared by all workers, bounded.
//!
//! Invariants: a connection that is found is under both of its keys; a key leads to one connection, so a reply tuple
//! is never shared. (One that a front has parked is under its server's alone.) While one is being put in, it holds its keys but nobody finds it; while it is being taken out,
//! nobody finds it and it stands in nobody's way. No guard is held across a second map call or a packet.

use std::hash::BuildHasher;
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use sched::Direction;

use super::{Conn, FlowKey, Room, Timed};
use crate::ftp::Expecting;
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
    room: Arc<Room>,
    /// Data connections of those in it.
    pub(crate) expecting: Expecting,
}

impl ConnTable {
    pub(crate) fn new(seed: u64, room: Arc<Room>) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        let keys = INITIAL_KEYS.min(room.max().saturating_mul(2));
        Self {
            map: DashMap::with_capacity_and_hasher_and_shard_amount(keys, hasher, SHARDS),
            expecting: Expecting::new(seed, Arc::clone(&room)),
            room,
        }
    }

    pub(crate) fn find(&self, key: &FlowKey) -> Option<(Arc<Conn>, Direction)> {
        let entry = self.map.get(key).filter(|entry| entry.0.is_live())?;
        Some((Arc::clone(&entry.0), entry.1))
    }

    pub(crate) fn insert(&self, conn: &Arc<Conn>) -> Inserted {
        if !self.room.take() {
            return Inserted::Full;
        }
        if let Err(other) = self.put(conn.out_key(), conn, Direction::Out) {
            self.room.give_back();
            return Inserted::ReplyTaken(other);
        }
        if let Err(other) = self.put(conn.in_key(), conn, Direction::In) {
            self.remove(conn);
            return Inserted::Raced(other);
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
        self.expecting.forget(conn);
        self.room.give_back();
        true
    }

    /// Has the client's packets find it no more.
    pub(crate) fn leave_client(&self, conn: &Arc<Conn>) {
        self.take(&conn.in_key(), conn);
    }

    /// Shows every connection of `part` to `visit`, in no order. Holds a shard at a time: not for the packet path, and
    /// nothing may be removed meanwhile.
    pub(crate) fn for_each(&self, part: Part, mut visit: impl FnMut(&Arc<Conn>)) {
        let hasher = self.map.hasher();
        for entry in &self.map {
            let (conn, direction) = entry.value();
            let mine =
                part.of <= 1 || hasher.hash_one(entry.key()) % u64::from(part.of) == u64::from(part.index);
            if *direction == Direction::In && mine && conn.is_live() {
                visit(conn);
            }
        }
    }

    /// Puts it under one key. The client's comes last and publishes it, before anybody can find it there.
    fn put(&self, key: FlowKey, conn: &Arc<Conn>, direction: Direction) -> Result<(), Arc<Conn>> {
        let entry = self.map.entry(key);
        if let Entry::Occupied(entry) = &entry
            && !entry.get().0.is_gone()
        {
            return Err(Arc::clone(&entry.get().0));
        }
        if direction == Direction::In {
            conn.publish();
        }
        entry.insert((Arc::clone(conn), direction));
        Ok(())
    }

    fn take(&self, key: &FlowKey, conn: &Arc<Conn>) {
        self.map.remove_if(key, |_, (found, _)| Arc::ptr_eq(found, conn));
    }
}

#[cfg(test)]
mod tests;
