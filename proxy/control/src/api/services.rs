//! Services and their servers, as they travel over the control socket.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use sched::{
    Counts, Dest, DestKey, DestSpec, Fitness, ForwardMethod, Health, Persistence, PersistenceEngine, Rates,
    SchedFlags, Service, ServiceKey, ServiceSpec, TcpOptions, TlsFront, Weight,
};
use serde::{Deserialize, Serialize};

/// The table of services, in the order of `ipvsadm -L`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceList {
    /// Generation of the table.
    pub generation: u64,
    /// The services.
    pub services: Vec<ServiceView>,
    /// The local addresses of FullNAT that are everybody's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lips: Vec<IpAddr>,
}

/// A service with its counters. What is at its default, counters at zero among it, does not travel: a list of sixteen
/// thousand services is read in a fraction of the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// What it matches.
    pub key: ServiceKey,
    /// Name of the scheduler.
    pub scheduler: String,
    /// The scheduler's switches.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flags: SchedFlags,
    /// Every packet of a UDP flow is scheduled by itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub one_packet: bool,
    /// Clients come back to the server they had.
    #[serde(default, skip_serializing_if = "is_default")]
    pub persistence: Option<Persistence>,
    /// What identifies a client besides its address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pe: Option<PersistenceEngine>,
    /// What is done to its TCP connections.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tcp: TcpOptions,
    /// TLS from clients ends here.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tls: Option<Arc<TlsFront>>,
    /// How its servers are checked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub health: Option<Arc<Health>>,
    /// Local addresses of its own for FullNAT.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lips: Vec<IpAddr>,
    /// Traffic since the last zeroing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub counts: Counts,
    /// Traffic per second, lately.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rates: Rates,
    /// The real servers, by address and port.
    pub dests: Vec<DestView>,
}

impl ServiceView {
    /// The service as it is now, and what `states` says of its servers.
    pub fn of(service: &Service, states: &HashMap<(ServiceKey, DestKey), String>) -> Self {
        // Mostly everybody is in force, as he is configured.
        let all_in = Arc::ptr_eq(&service.all, &service.dests) && service.sorry.is_none();
        let in_force: HashMap<_, _> = match all_in {
            true => HashMap::new(),
            false => service.dests.iter().map(|dest| (Arc::as_ptr(&dest.live), dest)).collect(),
        };
        let dests = service.everybody().into_iter().map(|dest| {
            let here = if all_in { Some(dest) } else { in_force.get(&Arc::as_ptr(&dest.live)).copied() };
            let state = states.get(&(service.key, dest.live.key));
            let is_sorry = |sorry: &Dest| Arc::ptr_eq(&sorry.live, &dest.live);
            let sorry = service.sorry.as_ref().is_some_and(is_sorry);
            DestView { state: state.cloned().unwrap_or_default(), sorry, ..DestView::of(dest, here) }
        });
        Self {
            key: service.key,
            scheduler: service.algorithm.name.to_owned(),
            flags: service.flags,
            one_packet: service.one_packet,
            tcp: service.tcp,
            persistence: service.persistence,
            pe: service.pe,
            tls: service.tls.clone(),
            health: service.health.clone(),
            lips: service.lips.to_vec(),
            rates: service.live.stats.rates(),
            counts: service.live.stats.read(),
            dests: dests.collect(),
        }
    }

    /// Its servers in force: those of `ipvsadm -L`.
    pub fn in_force(&self) -> impl Iterator<Item = &DestView> {
        self.dests.iter().filter(|dest| !dest.absent)
    }

    /// The settings alone.
    pub fn spec(&self) -> ServiceSpec {
        ServiceSpec {
            key: self.key,
            scheduler: self.scheduler.clone(),
            flags: self.flags,
            one_packet: self.one_packet,
            tcp: self.tcp,
            persistence: self.persistence,
            pe: self.pe,
            tls: self.tls.clone(),
            health: self.health.clone(),
            lips: self.lips.clone(),
            dests: self.dests.iter().filter(|d| !d.sorry).map(|d| d.spec.clone()).collect(),
        }
    }
}

/// A real server with its counters: one that is configured, in force or not, or the sorry server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "DestWire")]
pub struct DestView {
    /// Its settings.
    #[serde(flatten)]
    pub spec: DestSpec,
    /// Connections in an active state.
    pub active: u64,
    /// Connections in any other state.
    pub inactive: u64,
    /// Clients who come back to it.
    #[serde(skip_serializing_if = "is_default")]
    pub persistent: u64,
    /// Traffic since the last zeroing.
    #[serde(skip_serializing_if = "is_default")]
    pub counts: Counts,
    /// Traffic per second, lately.
    #[serde(skip_serializing_if = "is_default")]
    pub rates: Rates,
    /// It has as many connections as its upper threshold, or has had and is not below the lower one yet.
    #[serde(skip_serializing_if = "is_default")]
    pub overloaded: bool,
    /// In its slow start: the tenths of its weight that it has.
    #[serde(skip_serializing_if = "is_default")]
    pub ramping: Option<u8>,
    /// It is not in force: schedulers and `ipvsadm -L` do not know it.
    #[serde(skip_serializing_if = "is_default")]
    pub absent: bool,
    /// The weight that is in force, where that is not the configured one.
    #[serde(skip_serializing_if = "is_default")]
    pub effective: Option<Weight>,
    /// What its health makes of it.
    #[serde(skip_serializing_if = "is_default")]
    pub fitness: Fitness,
    /// Its state in words, where it is looked after: `up`, `soft-down 1/3`, `down by hand`.
    #[serde(skip_serializing_if = "is_default")]
    pub state: String,
    /// It is the sorry server, which serves while the others cannot.
    #[serde(skip_serializing_if = "is_default")]
    pub sorry: bool,
}

impl DestView {
    /// A server as it is configured, and `here` as it is in force.
    fn of(dest: &Dest, here: Option<&Dest>) -> Self {
        let weight = here.map(|here| here.weight);
        Self {
            spec: dest.spec(),
            active: dest.active(),
            inactive: dest.inactive(),
            persistent: dest.persistent(),
            counts: dest.live.stats.read(),
            rates: dest.live.stats.rates(),
            overloaded: dest.live.is_overloaded(),
            ramping: here.map(Dest::tenths).filter(|tenths| *tenths < 10),
            absent: here.is_none(),
            effective: weight.filter(|weight| *weight != dest.configured),
            fitness: dest.fitness,
            state: String::new(),
            sorry: false,
        }
    }

    /// The weight that is in force.
    pub fn weight(&self) -> Weight {
        self.effective.unwrap_or(self.spec.weight)
    }
}

/// How a [`DestView`] is read: field by field, which is several times as fast as by `flatten`.
#[derive(Deserialize)]
struct DestWire {
    addr: DestKey,
    #[serde(default)]
    method: ForwardMethod,
    #[serde(default)]
    weight: Weight,
    #[serde(default)]
    upper: u32,
    #[serde(default)]
    lower: u32,
    #[serde(default)]
    slow_start: u32,
    active: u64,
    inactive: u64,
    #[serde(default)]
    persistent: u64,
    #[serde(default)]
    counts: Counts,
    #[serde(default)]
    rates: Rates,
    #[serde(default)]
    overloaded: bool,
    #[serde(default)]
    ramping: Option<u8>,
    #[serde(default)]
    absent: bool,
    #[serde(default)]
    effective: Option<Weight>,
    #[serde(default)]
    fitness: Fitness,
    #[serde(default)]
    state: String,
    #[serde(default)]
    sorry: bool,
}

impl From<DestWire> for DestView {
    fn from(wire: DestWire) -> Self {
        let DestWire { addr, method, weight, upper, lower, slow_start, .. } = wire;
        Self {
            spec: DestSpec { addr, method, weight, upper, lower, slow_start },
            active: wire.active,
            inactive: wire.inactive,
            persistent: wire.persistent,
            counts: wire.counts,
            rates: wire.rates,
            overloaded: wire.overloaded,
            ramping: wire.ramping,
            absent: wire.absent,
            effective: wire.effective,
            fitness: wire.fitness,
            state: wire.state,
            sorry: wire.sorry,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
