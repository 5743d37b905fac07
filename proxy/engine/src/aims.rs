//! Flows that are to go to one given server: those of checks, which ask a server as a client would reach it. Who begins
//! one is known by address and port before its first packet, like an expected data connection of FTP.
//!
//! An aim stays for as long as somebody holds it: if its flow is forgotten meanwhile, because the server is found dead,
//! the client's next packet must not reach another one that says that all is well. What the same ports have left behind
//! gives way to it: it may be another server's. And it leaves nothing behind that nobody would ask for again: datagrams,
//! handshakes that came to nothing. What was established ends as it does for any client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use sched::{DestKey, Direction, Proto, ServiceKey};

use crate::conn::{Conn, ConnTable, FlowKey};

/// Where a flow is to go.
#[derive(Clone, Debug)]
pub(crate) struct Aim {
    pub(crate) service: ServiceKey,
    pub(crate) server: DestKey,
    has_begun: Arc<AtomicBool>,
}

impl Aim {
    /// Its first packet has come by.
    pub(crate) fn begins(&self) {
        self.has_begun.store(true, Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct Aims {
    map: DashMap<FlowKey, Aim, SeedableRandomState>,
    /// How many there are: all that a packet has to know.
    held: AtomicUsize,
    /// Connections that have ended for them.
    ended: AtomicU64,
}

impl Aims {
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self { map: DashMap::with_hasher(hasher), held: AtomicUsize::new(0), ended: AtomicU64::new(0) }
    }

    /// Takes one in, unless the flow has one. A connection of the flow's in `conns` ends.
    pub(crate) fn put(
        self: &Arc<Self>,
        key: FlowKey,
        service: ServiceKey,
        server: DestKey,
        conns: &Arc<ConnTable>,
    ) -> Option<Aimed> {
        let has_begun = Arc::default();
        let aim = Aim { service, server, has_begun: Arc::clone(&has_begun) };
        let Entry::Vacant(place) = self.map.entry(key) else { return None };
        place.insert(aim);
        self.held.fetch_add(1, Relaxed);
        let aimed = Aimed { key, aims: Arc::clone(self), has_begun, conns: Arc::clone(conns) };
        aimed.end(|_| true);
        Some(aimed)
    }

    /// Connections that have ended for them, by no worker.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }

    pub(crate) fn get(&self, key: &FlowKey) -> Option<Aim> {
        if self.held.load(Relaxed) == 0 { None } else { self.map.get(key).map(|aim| aim.clone()) }
    }

    /// Takes one in that is like another's: what becomes of it says nothing about that.
    pub(crate) fn adopt(&self, key: FlowKey, aim: Aim) {
        self.held.fetch_add(1, Relaxed);
        self.map.insert(key, Aim { has_begun: Arc::default(), ..aim });
    }
}

/// A flow goes to the server that it is aimed at while this is held.
#[derive(Debug)]
pub struct Aimed {
    key: FlowKey,
    aims: Arc<Aims>,
    has_begun: Arc<AtomicBool>,
    conns: Arc<ConnTable>,
}

impl Aimed {
    /// Its first packet has come by. One that never does has gone another way, and whoever answers it has not been asked
    /// by the service.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Relaxed)
    }

    /// Forgets the flow's connection if it is `wanted`, in silence.
    fn end(&self, wanted: impl Fn(&Conn<'_>) -> bool) {
        let (mut reader, known) = self.conns.reader();
        if let Some((conn, Direction::In)) = self.conns.find(&mut reader, &known, &self.key)
            && wanted(&conn)
            && self.conns.remove(&conn)
        {
            self.aims.ended.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Aimed {
    fn drop(&mut self) {
        self.aims.map.remove(&self.key);
        self.aims.held.fetch_sub(1, Relaxed);
        self.end(|conn| conn.legs.proto == Proto::Udp || conn.state().is_opening());
    }
}
