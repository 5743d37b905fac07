//! Removed servers whose connections may live on.

use std::sync::{Arc, Weak};

use crate::dest::DestLive;
use crate::model::{DestKey, ServiceKey};
use crate::service::SvcLive;
use crate::shards::Shards;
use crate::table::{ReplySource, reply_source};

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
    live: Arc<DestLive>,
    /// The service it was removed from; only its identity counts.
    service: Weak<SvcLive>,
    /// Nobody held it at the last sweep.
    idle: bool,
}

impl Trash {
    /// Frees the servers that nobody has held at two sweeps in a row. Called once a minute it keeps an idle server
    /// for one to two minutes, as the kernel does.
    ///
    /// Returns what the freed ones answered from.
    pub fn sweep(&mut self) -> Vec<ReplySource> {
        let mut freed = Vec::new();
        self.entries.retain(|(key, addr), entry| {
            let idle = Arc::strong_count(&entry.live) == 1;
            let stays = !(idle && std::mem::replace(&mut entry.idle, idle));
            if !stays {
                freed.push(reply_source(key, *addr));
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

    pub(crate) fn put(&mut self, key: ServiceKey, service: &Arc<SvcLive>, live: Arc<DestLive>) {
        let entry = Entry { service: Arc::downgrade(service), idle: false, live };
        let addr = entry.live.key;
        if self.entries.insert((key, addr), entry).is_none() {
            self.sources.count(reply_source(&key, addr));
        }
    }

    /// The server that was removed under this address, and whether it was removed from another service.
    pub(crate) fn take(
        &mut self,
        key: ServiceKey,
        service: &Arc<SvcLive>,
        addr: DestKey,
    ) -> Option<(Arc<DestLive>, bool)> {
        let entry = self.entries.remove(&(key, addr))?;
        self.sources.discount(&reply_source(&key, addr));
        let foreign = !std::ptr::eq(entry.service.as_ptr(), Arc::as_ptr(service));
        Some((entry.live, foreign))
    }
}
