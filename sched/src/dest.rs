//! A real server: its settings in one snapshot, and the live part that all snapshots and connections share.

mod live;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub use self::live::{DestLive, Met, Path};
use crate::model::{DestSpec, Fitness, ForwardMethod, Proto, ServiceKey, Share, TlsFront, TlsStack, Weight};
use crate::ramp::Ramp;
use crate::table::{ReplySource, reply_source};

/// A server as one snapshot has it.
#[derive(Clone, Debug)]
pub struct Dest {
    /// Forwarding method.
    pub method: ForwardMethod,
    /// Weight in force: as configured, unless the control plane makes something else of it. Hash schedulers go by it.
    pub weight: Weight,
    /// Weight as configured.
    pub configured: Weight,
    /// What the control plane makes of it.
    pub fitness: Fitness,
    /// Weight that schedulers go by, in proportion to those of the service's other servers: not yet all of it during
    /// a slow start, and then on another scale. 0 if and only if `weight` is.
    pub effective: Weight,
    /// The latest weight above 0 that was in force since it was added; 0 if there was none.
    pub last_weight: Weight,
    /// Upper threshold, in connections; 0 for none.
    pub upper: u32,
    /// Lower threshold, in connections; 0 for three quarters of the upper one.
    pub lower: u32,
    /// Seconds that a new server takes to reach its weight.
    pub slow_start: u32,
    /// Its replies come back through us, or did under a method that it had before: connections keep theirs.
    pub replies: bool,
    /// Ports at which it answers fronts by our own TCP, or did: connections keep theirs.
    pub(crate) fronted: Arc<[u16]>,
    /// What outlives the snapshot.
    pub live: Arc<DestLive>,
    pub(crate) ramp: Ramp,
}

impl Dest {
    /// `effective` is final only after [`crate::ramp::weigh`].
    pub(crate) fn new(spec: &DestSpec, live: Arc<DestLive>, ramp: Ramp) -> Self {
        let &DestSpec { addr: _, method, weight, upper, lower, slow_start } = spec;
        let replies = method.sees_replies();
        let (effective, last_weight) = (weight, weight);
        let fronted = [].into();
        Self {
            method,
            weight,
            configured: weight,
            fitness: Fitness::default(),
            effective,
            last_weight,
            upper,
            lower,
            slow_start,
            replies,
            fronted,
            live,
            ramp,
        }
    }

    /// The same server with other settings. `effective` is final only after [`crate::ramp::weigh`].
    pub(crate) fn edited(&self, spec: &DestSpec) -> Self {
        let ramp = self.ramp.edited(self, spec);
        let mut dest = Self::new(spec, Arc::clone(&self.live), ramp);
        dest.replies |= self.replies;
        dest.fronted = Arc::clone(&self.fronted);
        if dest.weight.0 == 0 {
            dest.last_weight = self.last_weight;
        }
        Self { ramp, ..dest.fit(self.fitness) }
    }

    /// The same server as the control plane sees it now. Who comes back begins its slow start anew. `effective` is final
    /// only after [`crate::ramp::weigh`].
    pub(crate) fn fit(&self, fitness: Fitness) -> Self {
        let weight = match fitness.share {
            Share::Inhibited => Weight(0),
            Share::In | Share::Out => fitness.weight.unwrap_or(self.configured),
        };
        let serves = |share, weight: Weight| share != Share::Out && weight.0 > 0;
        let returns = !serves(self.fitness.share, self.weight) && serves(fitness.share, weight);
        let ramp = if returns { Ramp::joins(&self.spec()) } else { self.ramp };
        let last_weight = if weight.0 > 0 { weight } else { self.last_weight };
        Self { fitness, weight, effective: weight, last_weight, ramp, ..self.clone() }
    }

    /// Has it answer this front.
    pub(crate) fn front(&mut self, front: &TlsFront) {
        let port = front.port_of(&self.live.key);
        if front.stack == TlsStack::Userspace && !self.fronted.contains(&port) {
            self.fronted = self.fronted.iter().copied().chain([port]).collect();
        }
    }

    /// What it answers from, as a server of this service, where its replies come back through us.
    pub(crate) fn reply_sources(&self, service: &ServiceKey) -> impl Iterator<Item = ReplySource> + use<> {
        let (key, fronted) = (self.live.key, Arc::clone(&self.fronted));
        let own = self.replies.then(|| reply_source(service, key));
        let at = move |i: usize| (Some(Proto::Tcp), SocketAddr::new(key.ip(), fronted[i]));
        own.into_iter().chain((0..self.fronted.len()).map(at))
    }

    /// Connections that count as active: TCP in ESTABLISHED, SYN_SENT, SYN_RECV or SYNACK.
    pub fn active(&self) -> u64 {
        u64::from(self.live.active.load(Relaxed))
    }

    /// All the others, every UDP flow among them.
    pub fn inactive(&self) -> u64 {
        u64::from(self.live.inactive.load(Relaxed))
    }

    /// Clients that come back to it: persistence templates.
    pub fn persistent(&self) -> u64 {
        u64::from(self.live.persistent.load(Relaxed))
    }

    /// How busy it is, see [`DestLive::load`].
    pub fn load(&self) -> u64 {
        self.live.load()
    }

    /// What a user would have to configure to get this server.
    pub fn spec(&self) -> DestSpec {
        DestSpec {
            addr: self.live.key,
            method: self.method,
            weight: self.configured,
            upper: self.upper,
            lower: self.lower,
            slow_start: self.slow_start,
        }
    }

    /// The present share of its weight in tenths: 10 unless it is in its slow start.
    pub fn tenths(&self) -> u8 {
        self.ramp.tenths()
    }

    /// Its weight taken as a number of connections, as much of it as it has at present (rounded up).
    pub fn capacity(&self) -> u64 {
        (u64::from(self.weight.0) * u64::from(self.tenths())).div_ceil(10)
    }

    /// Whether a scheduler may choose it at all.
    pub fn eligible(&self) -> bool {
        self.weight.0 > 0 && !self.live.is_overloaded()
    }
}
