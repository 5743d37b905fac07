//! Removed servers whose connections may live on.

use std::sync::{Arc, Weak};

use crate::dest::{Dest, DestLive};
use crate::model::{DestKey, ServiceKey};
use crate::service::SvcLive;
use crate::shards::Shards;
use crate::table::ReplySource;

/// Removed servers, by the service and address they had. Adding a server again takes it out, with its connections
/// and, unless the service itself was made anew in between, its counters.
#[derive(Clone, Debug, Default)]
pub struct Trash {
    entries: Shards<(ServiceKey, DestKey), Entry>,
    /// How many of them answer from there.
    sources: Shards<ReplySource, u32>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// The service it was removed from; only its identity counts.
    service: Weak<SvcLive>,
    /// As it was: its connections' replies still come.
    dest: Dest,
    /// Nobody held it at the last sweep.
    idle: bool,
}

/// A server that comes back.
pub(crate) struct Returned {
    pub(crate) live: Arc<DestLive>,
    /// Connections that it may still have answer through us.
    pub(crate) replies: bool,
    /// Or those of fronts, at these ports.
    pub(crate) fronted: Arc<[u16]>,
    /// It was removed from another service.
    pub(crate) foreign: bool,
}

impl Trash {
    /// Frees the servers that nobody has held at two sweeps in a row. Called once a minute it keeps an idle server
    /// for one to two minutes, as the kernel does.
    ///
    /// Returns what the freed ones answered from.
    pub fn sweep(&mut self) -> Vec<ReplySource> {
        let mut freed = Vec::new();
        self.entries.retain(|(key, _), entry| {
            let idle = Arc::strong_count(&entry.dest.live) == 1;
            let stays = !(idle && std::mem::replace(&mut entry.idle, idle));
            if !stays {
                freed.extend(entry.dest.reply_sources(key));
            }
            stays
        });
        freed.iter().for_each(|source| self.sources.discount(source));
        freed
    }

    /// How many servers wait here.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody waits here.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// The servers that wait here, with what they speak: their connections' replies still come.
    pub fn servers(&self) -> impl Iterator<Item = ReplySource> {
        self.sources.iter().map(|(source, _)| *source)
    }

    /// Whether it is one of [`Self::servers`].
    pub fn has_server(&self, source: &ReplySource) -> bool {
        self.sources.contains(source)
    }

    pub(crate) fn put(&mut self, key: ServiceKey, service: &Arc<SvcLive>, dest: &Dest) {
        dest.reply_sources(&key).for_each(|source| self.sources.count(source));
        let (dest, service) = (dest.clone(), Arc::downgrade(service));
        // There is none under this address: it was taken out when the server was added.
        self.entries.insert((key, dest.live.key), Entry { dest, service, idle: false });
    }

    /// The server that was removed under this address.
    pub(crate) fn take(
        &mut self,
        key: ServiceKey,
        service: &Arc<SvcLive>,
        addr: DestKey,
    ) -> Option<Returned> {
        let Entry { dest, service: from, .. } = self.entries.remove(&(key, addr))?;
        dest.reply_sources(&key).for_each(|source| self.sources.discount(&source));
        let Dest { live, replies, fronted, .. } = dest;
        Some(Returned { live, replies, fronted, foreign: !std::ptr::eq(from.as_ptr(), Arc::as_ptr(service)) })
    }
}
