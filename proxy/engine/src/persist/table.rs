//! The templates, shared by all workers, bounded together with the connections.

use std::hash::BuildHasher;
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

use super::key::Parts;
use super::{Client, Template, TemplateKey};
use crate::conn::{Millis, Room, Timed};
use crate::listing::Part;

/// Shards: enough that workers rarely meet.
const SHARDS: usize = 64;

/// What became of [`Templates::insert`].
#[derive(Debug)]
pub(crate) enum Inserted {
    Yes,
    /// There is no room.
    Full,
    /// Another worker has made one for this client meanwhile. The one offered has ended.
    Raced(Arc<Template>),
}

#[derive(Debug)]
pub(crate) struct Templates {
    map: DashMap<TemplateKey, Arc<Template>, SeedableRandomState>,
    room: Arc<Room>,
}

impl Templates {
    pub(crate) fn new(seed: u64, room: Arc<Room>) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self { map: DashMap::with_hasher_and_shard_amount(hasher, SHARDS), room }
    }

    pub(crate) fn find(&self, client: &Client, call_id: Option<&[u8]>) -> Option<Arc<Template>> {
        let key: &dyn Parts = &(client, call_id);
        let found = self.map.get(key)?;
        (!found.is_gone()).then(|| Arc::clone(&found))
    }

    /// Takes one in that has its room already.
    pub(crate) fn adopt(&self, template: &Arc<Template>) {
        self.map.insert(template.key.clone(), Arc::clone(template));
    }

    pub(crate) fn insert(&self, template: &Arc<Template>) -> Inserted {
        if !self.room.take() {
            template.retire();
            return Inserted::Full;
        }
        match self.map.entry(template.key.clone()) {
            Entry::Occupied(found) if !found.get().is_gone() => {
                let other = Arc::clone(found.get());
                template.retire();
                self.room.give_back();
                Inserted::Raced(other)
            }
            entry => {
                entry.insert(Arc::clone(template));
                Inserted::Yes
            }
        }
    }

    /// Ends one that is no longer valid; its members go on. False where somebody else has ended it.
    pub(crate) fn remove(&self, template: &Arc<Template>) -> bool {
        let ended = template.retire();
        if ended {
            self.take_out(template);
        }
        ended
    }

    /// Ends one whose time is over, unless it has members. True where it has ended.
    pub(crate) fn expire(&self, template: &Arc<Template>, now: Millis, decay: bool) -> bool {
        let ended = template.expire(now, decay);
        if ended {
            self.take_out(template);
        }
        ended
    }

    /// Shows every template of `part` to `visit`, in no order. Holds a shard at a time: not for the packet path.
    pub(crate) fn for_each(&self, part: Part, mut visit: impl FnMut(&Template)) {
        let hasher = self.map.hasher();
        for entry in &self.map {
            let mine =
                part.of <= 1 || hasher.hash_one(entry.key()) % u64::from(part.of) == u64::from(part.index);
            if mine && !entry.is_gone() {
                visit(&entry);
            }
        }
    }

    fn take_out(&self, template: &Arc<Template>) {
        let key: &dyn Parts = &template.key;
        self.map.remove_if(key, |_, found| Arc::ptr_eq(found, template));
        self.room.give_back();
    }
}

#[cfg(test)]
mod tests;
