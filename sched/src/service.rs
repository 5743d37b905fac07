//! A service as one snapshot has it, and the live part that all snapshots share.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::account::Account;
use crate::algo::{Algorithm, Change, Flow, Scheduler};
use crate::dest::{Dest, DestLive};
use crate::force;
use crate::model::{
    DestKey, Health, Persistence, PersistenceEngine, SchedFlags, ServiceKey, ServiceSpec, TcpOptions,
    TlsFront,
};
use crate::stats::Stats;
use crate::table::ReplySource;

/// A service as one snapshot has it.
#[derive(Clone, Debug)]
pub struct Service {
    /// What it matches.
    pub key: ServiceKey,
    /// Its scheduler.
    pub algorithm: &'static Algorithm,
    /// The scheduler's switches.
    pub flags: SchedFlags,
    /// Every packet of a UDP flow is scheduled by itself.
    pub one_packet: bool,
    /// Clients come back to the server they had.
    pub persistence: Option<Persistence>,
    /// What identifies a client besides its address.
    pub pe: Option<PersistenceEngine>,
    /// What is done to its TCP connections, those to come.
    pub tcp: TcpOptions,
    /// TLS from clients ends here.
    pub tls: Option<Arc<TlsFront>>,
    /// How its servers are checked.
    pub health: Option<Arc<Health>>,
    /// Local addresses of its own, in the order in which they were added.
    pub lips: Arc<[IpAddr]>,
    /// Its servers in force, **newest first**: the order of the kernel's list, which decides every tie.
    pub dests: Arc<[Dest]>,
    /// All that are configured, in the same order, those among them that the control plane has taken out.
    pub all: Arc<[Dest]>,
    /// Serves while the others cannot.
    pub sorry: Option<Dest>,
    /// It does, and nobody else.
    pub on_sorry: bool,
    /// What outlives the snapshot.
    pub live: Arc<SvcLive>,
}

impl Service {
    /// Asks the scheduler; counts nothing, reserves nothing. `None`: nobody is available.
    pub fn pick(&self, flow: &Flow) -> Option<&Dest> {
        let i = self.live.scheduler().pick(&self.dests, flow)?;
        self.dests.get(i)
    }

    /// What the scheduler would go by if it were asked now. Changes nothing.
    pub fn account(&self, flow: &Flow) -> Account {
        self.live.scheduler().account(&self.dests, flow)
    }

    /// What a user would have to configure to get this service.
    pub fn spec(&self) -> ServiceSpec {
        ServiceSpec {
            key: self.key,
            scheduler: self.algorithm.name.to_owned(),
            flags: self.flags,
            one_packet: self.one_packet,
            persistence: self.persistence,
            pe: self.pe,
            tcp: self.tcp,
            tls: self.tls.clone(),
            health: self.health.clone(),
            lips: self.lips.to_vec(),
            dests: self.all.iter().rev().map(Dest::spec).collect(),
        }
    }

    /// The front that clients reach at this address and port, as far as the service can tell: one that names no addresses
    /// is at all of them.
    pub fn front(&self, vip: SocketAddr) -> Option<&Arc<TlsFront>> {
        self.tls
            .as_ref()
            .filter(|tls| tls.port == vip.port() && (tls.vips.is_empty() || tls.vips.contains(&vip.ip())))
    }

    /// Its servers in force in the order of `ipvsadm -L`: by address, then port.
    pub fn listed(&self) -> Vec<&Dest> {
        sorted(self.dests.iter())
    }

    /// All its servers in that order, whether they are in force or not, the sorry server among them.
    pub fn everybody(&self) -> Vec<&Dest> {
        sorted(self.all.iter().chain(&self.sorry))
    }

    /// Whether the sorry server serves, and nobody else.
    pub fn serves_sorry(&self) -> bool {
        self.on_sorry && self.sorry.is_some()
    }

    /// Whether one of its servers is in its slow start.
    pub(crate) fn is_ramping(&self) -> bool {
        self.everyone().any(|d| !d.ramp.is_done())
    }

    /// All its servers, in force or not, the sorry server among them, in no order that matters.
    pub fn everyone(&self) -> impl Iterator<Item = &Dest> {
        self.all.iter().chain(&self.sorry)
    }

    /// The service with its servers as far in their slow starts as they are now; `None` if nothing changes. The
    /// scheduler is told of it.
    pub(crate) fn ramp(&self, now: Duration) -> Option<Self> {
        if !self.is_ramping() {
            return None;
        }
        let mut next = self.clone();
        let mut all = self.all.to_vec();
        all.iter_mut().chain(&mut next.sorry).for_each(|d| d.ramp = d.ramp.at(now, d.slow_start));
        let pairs = || self.everyone().zip(all.iter().chain(&next.sorry));
        let same = pairs().all(|(before, after)| before.ramp == after.ramp);
        let grown = pairs().find(|(before, after)| before.tenths() != after.tenths());
        let grown = grown.map(|(dest, _)| dest.live.key);
        let changes = force::put(&mut next, all, grown);
        self.live.dests_changed(&next.dests, &changes);
        (!same).then_some(next)
    }

    /// What its servers answer from where their replies come back through us.
    pub fn reply_sources(&self) -> impl Iterator<Item = ReplySource> {
        self.everyone().flat_map(|dest| dest.reply_sources(&self.key))
    }

    /// The addresses of its servers that answer clients past us, once for each.
    pub fn one_way_servers(&self) -> impl Iterator<Item = IpAddr> {
        self.everyone().filter(|dest| !dest.replies).map(|dest| dest.live.key.ip())
    }

    /// This very server, if it is in force.
    pub fn in_force(&self, live: &Arc<DestLive>) -> Option<&Dest> {
        self.dests.iter().find(|d| Arc::ptr_eq(&d.live, live))
    }

    /// The server with this address, in force or not; not the sorry server.
    pub fn find(&self, addr: &DestKey) -> Option<&Dest> {
        self.all.iter().find(|d| d.live.key == *addr)
    }

    pub(crate) fn position(&self, addr: &DestKey) -> Option<usize> {
        self.all.iter().position(|d| d.live.key == *addr)
    }
}

fn sorted<'a>(dests: impl Iterator<Item = &'a Dest>) -> Vec<&'a Dest> {
    let mut dests: Vec<_> = dests.collect();
    dests.sort_by_key(|d| d.live.key);
    dests
}

/// The live part of a service: scheduler state and counters, shared by all workers.
#[derive(Debug)]
pub struct SvcLive {
    /// Traffic counters.
    pub stats: Stats,
    scheduler: Mutex<Box<dyn Scheduler>>,
}

impl SvcLive {
    /// A service that has just been added.
    pub fn new(algorithm: &Algorithm, flags: SchedFlags) -> Self {
        Self { stats: Stats::default(), scheduler: Mutex::new((algorithm.new)(flags)) }
    }

    /// The same service, for nobody to see.
    pub(crate) fn copied(&self) -> Self {
        Self { stats: Stats::default(), scheduler: Mutex::new(self.scheduler().copied()) }
    }

    pub(crate) fn dests_changed(&self, dests: &[Dest], changes: &[Change]) {
        if !changes.is_empty() {
            self.scheduler().dests_changed(dests, changes);
        }
    }

    pub(crate) fn replace_scheduler(&self, algorithm: &Algorithm, flags: SchedFlags, dests: &[Dest]) {
        let mut new = (algorithm.new)(flags);
        new.dests_changed(dests, &[Change::Bound]);
        *self.scheduler() = new;
    }

    fn scheduler(&self) -> std::sync::MutexGuard<'_, Box<dyn Scheduler>> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
