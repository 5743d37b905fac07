//! A real server: its settings in one snapshot, and the live part that all snapshots and connections share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crate::model::{DestKey, DestSpec, ForwardMethod, Weight};
use crate::stats::Stats;

/// A server as one snapshot has it.
#[derive(Clone, Debug)]
pub struct Dest {
    /// Forwarding method.
    pub method: ForwardMethod,
    /// Weight.
    pub weight: Weight,
    /// Upper threshold, in connections; 0 for none.
    pub upper: u32,
    /// Lower threshold, in connections; 0 for three quarters of the upper one.
    pub lower: u32,
    /// Seconds that a new server takes to reach its weight.
    pub slow_start: u32,
    /// What outlives the snapshot.
    pub live: Arc<DestLive>,
}

impl Dest {
    pub(crate) fn new(spec: &DestSpec, live: Arc<DestLive>) -> Self {
        let &DestSpec { addr: _, method, weight, upper, lower, slow_start } = spec;
        Self { method, weight, upper, lower, slow_start, live }
    }

    /// Connections that count as active: TCP in ESTABLISHED, SYN_SENT, SYN_RECV or SYNACK.
    pub fn active(&self) -> u64 {
        u64::from(self.live.active.load(Relaxed))
    }

    /// All the others, every UDP flow among them.
    pub fn inactive(&self) -> u64 {
        u64::from(self.live.inactive.load(Relaxed))
    }

    /// How busy it is, as the least-connection schedulers measure: all connections, and each active one weighs 256
    /// more. (Older kernels leave the active ones out of "all"; it shows only where loads are nearly equal.)
    pub fn load(&self) -> u64 {
        (self.active() << 8) + self.active() + self.inactive()
    }

    /// What a user would have to configure to get this server.
    pub fn spec(&self) -> DestSpec {
        DestSpec {
            addr: self.live.key,
            method: self.method,
            weight: self.weight,
            upper: self.upper,
            lower: self.lower,
            slow_start: self.slow_start,
        }
    }

    /// Whether a scheduler may choose it at all.
    pub fn eligible(&self) -> bool {
        self.weight.0 > 0 && !self.live.is_overloaded()
    }
}

/// The live part of a server: one per (service, address, port) for as long as it or a connection to it exists.
#[derive(Debug)]
pub struct DestLive {
    /// Address and port.
    pub key: DestKey,
    /// Traffic counters.
    pub stats: Stats,
    /// Connections in an active state.
    pub active: AtomicU32,
    /// Connections in any other state.
    pub inactive: AtomicU32,
    /// Path MTU towards the server in bytes, 0 while unknown.
    pub mtu: AtomicU32,
    available: AtomicBool,
    overloaded: AtomicBool,
}

impl DestLive {
    /// A server that has just been added.
    pub fn new(key: DestKey) -> Self {
        Self {
            key,
            stats: Stats::default(),
            active: AtomicU32::new(0),
            inactive: AtomicU32::new(0),
            mtu: AtomicU32::new(0),
            available: AtomicBool::new(true),
            overloaded: AtomicBool::new(false),
        }
    }

    /// False once it has been removed from its service: its connections get no more packets.
    pub fn is_available(&self) -> bool {
        self.available.load(Relaxed)
    }

    pub(crate) fn set_available(&self, yes: bool) {
        self.available.store(yes, Relaxed);
    }

    /// Tells the schedulers to leave it alone, or to come back.
    pub fn set_overloaded(&self, yes: bool) {
        self.overloaded.store(yes, Relaxed);
    }

    /// Over its upper threshold.
    pub fn is_overloaded(&self) -> bool {
        self.overloaded.load(Relaxed)
    }
}
