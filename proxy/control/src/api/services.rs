//! What travels over the control socket.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sched::{
    Counts, DestKey, DestSpec, Fitness, ForwardMethod, Health, Op, OpError, Persistence, PersistenceEngine,
    Proto, Rates, SchedFlags, ServiceKey, ServiceSpec, TcpOptions, TlsFront, Weight,
};
use serde::{Deserialize, Serialize};

use crate::settings::Timeouts;

/// The engine at a glance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the running binary.
    pub version: String,
    /// Process id, as the engine's own pid namespace has it.
    pub pid: u32,
    /// Seconds since the engine became ready.
    pub uptime_seconds: u64,
    /// Name of the TUN device; empty where the packet port does without one.
    pub device: String,
    /// What the device hands over unsplit, in words: `checksum, tso4, tso6, uso` or `off`.
    pub offload: String,
    /// Where packets come from and go to, in words: `tun`, or `packet, on eth0, eth1`.
    #[serde(default)]
    pub port: String,
    /// Why it is this port.
    #[serde(default)]
    pub port_reason: String,
    /// Worker threads.
    pub workers: usize,
    /// Generation of the table of services; every applied change adds one.
    pub generation: u64,
    /// Services in the table.
    pub services: usize,
    /// Servers of all of them, the sorry servers left out.
    #[serde(default)]
    pub servers: usize,
    /// Those of them that get nobody new because they are dead, or said to be.
    #[serde(default)]
    pub servers_down: usize,
    /// Services at which TLS ends.
    #[serde(default)]
    pub fronts: usize,
    /// Bytes of memory that the process has (resident).
    #[serde(default)]
    pub memory: u64,
    /// Connections in the table.
    pub connections: u64,
    /// The most connections that the table takes.
    pub max_connections: u64,
    /// Path of the configuration file, if there is one.
    #[serde(default)]
    pub config: Option<String>,
    /// Path of the log, if it is a file.
    #[serde(default)]
    pub log: Option<String>,
    /// What works less well on this host than it could, a line each.
    #[serde(default)]
    pub notices: Vec<String>,
    /// Whether the kernel's behaviour was asked for (`compat = "ipvs"`).
    #[serde(default)]
    pub compat: bool,
    /// Connection timeouts.
    pub timeouts: Timeouts,
    /// Named counters of the engine.
    pub counters: BTreeMap<String, u64>,
    /// Packets dropped, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Ports of local addresses (FullNAT), those most in use first.
    #[serde(default)]
    pub local_ports: Vec<LocalPortsView>,
}

/// The ports of one local address towards one server, which are as many connections by FullNAT as there can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalPortsView {
    /// Transport protocol.
    pub proto: Proto,
    /// The local address.
    pub lip: IpAddr,
    /// The server.
    pub server: SocketAddr,
    /// Ports taken.
    pub taken: u64,
    /// Those of them whose connections are over: they are given up when they are needed.
    #[serde(default)]
    pub resting: u64,
    /// Ports that there are.
    pub all: u64,
    /// How often there was none left, since this server was first spoken to from here.
    pub refused: u64,
}

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

/// One connection, or the template of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnView {
    /// Transport protocol; `None` ("IP" in listings) for the template of a mark service.
    pub proto: Option<Proto>,
    /// A persistence template: the server that a client comes back to.
    #[serde(default)]
    pub template: bool,
    /// Name and data of the persistence engine that made it.
    #[serde(default)]
    pub pe: Option<(PersistenceEngine, String)>,
    /// Seconds until it expires if no packet comes.
    pub expires: u32,
    /// The kernel's name for its state.
    pub state: Cow<'static, str>,
    /// The client.
    pub client: SocketAddr,
    /// The virtual address and port.
    pub vip: SocketAddr,
    /// The real server.
    pub dest: SocketAddr,
}

/// Which connections, and which part of them; an absent field matches all. The query string of
/// `GET /v1/connections`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnQuery {
    /// Transport protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<Proto>,
    /// Client address, any port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Virtual address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vip: Option<SocketAddr>,
    /// Real server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest: Option<SocketAddr>,
    /// [`ConnPage::next`] of the page before; 0 begins.
    pub cursor: u64,
    /// Connections wanted; a page may hold more or fewer. 0 leaves it to the engine.
    pub limit: usize,
}

impl ConnQuery {
    /// Whether the connection is wanted.
    pub fn matches(&self, conn: &ConnView) -> bool {
        self.proto.is_none_or(|p| Some(p) == conn.proto)
            && self.client.is_none_or(|c| c == conn.client.ip())
            && self.vip.is_none_or(|v| v == conn.vip)
            && self.dest.is_none_or(|d| d == conn.dest)
    }
}

/// A part of the connection table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnPage {
    /// The connections, in no particular order.
    pub connections: Vec<ConnView>,
    /// The cursor of the next page; `None` after the last.
    pub next: Option<u64>,
}

/// A list of edits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// What happens when one of them is refused.
    #[serde(default)]
    pub mode: ApplyMode,
    /// The edits, in order; together they are one swap of the table.
    pub ops: Vec<Op>,
}

/// What happens when an edit is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyMode {
    /// The first refusal leaves everything as it was.
    #[default]
    Atomic,
    /// Refused edits are skipped and reported: `ipvsadm -R`.
    KeepGoing,
}

/// The outcome of an [`Apply`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Generation of the table afterwards.
    pub generation: u64,
    /// The edits that were skipped; always empty in [`ApplyMode::Atomic`].
    #[serde(default)]
    pub failures: Vec<OpFailure>,
}

/// An edit that was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpFailure {
    /// Its place in [`Apply::ops`], from 0.
    pub index: usize,
    /// Why.
    pub error: OpError,
}

/// The outcome of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Generation of the table afterwards.
    pub generation: u64,
    /// What changed, one line each; empty when nothing did.
    pub changes: Vec<String>,
}
