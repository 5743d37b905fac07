//! What the engine has answered, as `top` shows it: services with their servers, totals, and what was dropped. Pure: the
//! same answers make the same picture.

use std::net::SocketAddr;
use std::time::Duration;

use control::api::{ConnPage, DestView, DrainList, ServiceList, ServiceView, Status};
use sched::{Counts, DestKey, Rates, ServiceKey, Share, Weight};
use serde::{Serialize, Serializer};

/// One round of answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) status: Status,
    pub(super) services: ServiceList,
    pub(super) drains: DrainList,
    /// Of what is being inspected, where that has been asked for.
    pub(super) connections: Option<ConnPage>,
}

/// A service, or one of its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) service: ServiceKey,
    pub(super) server: Option<DestKey>,
}

/// Everything that is shown. Serialized, it is what `--json` prints.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Picture {
    pub(super) engine: EnginePart,
    /// All services together.
    pub(super) load: Load,
    /// Why packets were dropped: the most frequent reason first, no reason without a packet.
    pub(super) drops: Vec<Drop>,
    pub(super) services: Vec<Service>,
    #[serde(skip)]
    pub(super) connections: Option<ConnPage>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct EnginePart {
    pub(super) version: String,
    pub(super) pid: u32,
    pub(super) uptime_seconds: u64,
    pub(super) port: String,
    pub(super) workers: usize,
    pub(super) memory: u64,
    pub(super) connections: u64,
    pub(super) max_connections: u64,
}

/// How busy something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Load {
    pub(super) active: u64,
    pub(super) inactive: u64,
    /// Per second, lately: the numbers of `ipvsadm -L --rate`.
    pub(super) rates: Rates,
    /// Since the start, or the last `ipvsadm -Z`.
    pub(super) counts: Counts,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Drop {
    pub(super) reason: String,
    pub(super) packets: u64,
    /// Between this picture and the one before; unknown in the first.
    pub(super) per_second: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Service {
    #[serde(serialize_with = "word")]
    pub(super) service: ServiceKey,
    pub(super) scheduler: String,
    pub(super) state: ServiceState,
    /// Clients come back to the server they had.
    pub(super) persistent: bool,
    /// TLS ends here.
    pub(super) tls: bool,
    pub(super) load: Load,
    pub(super) servers: Vec<Server>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Server {
    pub(super) server: SocketAddr,
    pub(super) method: &'static str,
    /// In force.
    pub(super) weight: u32,
    pub(super) configured_weight: u32,
    pub(super) state: ServerState,
    /// What its checks make of it, in the words of `ulvs health`; empty where it is not checked.
    pub(super) health: String,
    /// Clients who come back to it.
    pub(super) persistent: u64,
    /// Connections from which it gets nobody new; 0 for no limit.
    pub(super) upper: u32,
    pub(super) load: Load,
}

/// Whether a service can take a new client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ServiceState {
    Up,
    /// No server that takes anybody new.
    Down,
}

/// Whether a server gets new clients, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ServerState {
    Up,
    /// In its slow start: not all of its weight yet.
    Slow,
    /// As many connections as its upper threshold.
    Full,
    /// Weight 0.
    Quiet,
    /// Weight 0 by `ulvs drain`: clients who would come back do not either.
    Drain,
    /// Dead, or said to be.
    Down,
    /// Serves because the others cannot.
    Sorry,
}

impl ServerState {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Slow => "slow",
            Self::Full => "full",
            Self::Quiet => "quiet",
            Self::Drain => "drain",
            Self::Down => "down",
            Self::Sorry => "sorry",
        }
    }

    const fn takes_new(self) -> bool {
        matches!(self, Self::Up | Self::Slow | Self::Sorry)
    }
}

impl Picture {
    /// The picture of a sample. `before`: the one before it, and the time between them.
    pub(super) fn new(sample: Sample, before: Option<(&Self, Duration)>) -> Self {
        let Sample { status, services, drains, connections } = sample;
        let drained = |service: ServiceKey, server: DestKey| {
            drains.drains.iter().any(|drain| drain.service == service && drain.server == server)
        };
        let services: Vec<_> = services.services.iter().map(|view| service(view, drained)).collect();
        let mut load = Load::default();
        services.iter().for_each(|service| load.add(&service.load));
        Self { drops: drops(&status, before), engine: engine(status), load, services, connections }
    }

    /// The service, if it is still there.
    pub(super) fn service(&self, key: ServiceKey) -> Option<&Service> {
        self.services.iter().find(|service| service.service == key)
    }

    /// Servers of all services.
    pub(super) fn servers(&self) -> usize {
        self.services.iter().map(|service| service.servers.len()).sum()
    }
}

impl Service {
    pub(super) fn server(&self, key: DestKey) -> Option<&Server> {
        self.servers.iter().find(|server| server.server == key)
    }
}

impl Load {
    fn add(&mut self, other: &Self) {
        self.active += other.active;
        self.inactive += other.inactive;
        let (to, from) = (&mut self.rates, &other.rates);
        to.cps += from.cps;
        to.in_pps += from.in_pps;
        to.out_pps += from.out_pps;
        to.in_bps += from.in_bps;
        to.out_bps += from.out_bps;
        let (to, from) = (&mut self.counts, &other.counts);
        to.conns += from.conns;
        to.in_packets += from.in_packets;
        to.out_packets += from.out_packets;
        to.in_bytes += from.in_bytes;
        to.out_bytes += from.out_bytes;
    }
}

fn engine(status: Status) -> EnginePart {
    EnginePart {
        version: status.version,
        pid: status.pid,
        uptime_seconds: status.uptime_seconds,
        port: status.port,
        workers: status.workers,
        memory: status.memory,
        connections: status.connections,
        max_connections: status.max_connections,
    }
}

fn service(view: &ServiceView, drained: impl Fn(ServiceKey, DestKey) -> bool) -> Service {
    // A sorry server that is not needed is nobody yet.
    let shown = view.dests.iter().filter(|dest| !(dest.sorry && dest.absent));
    let servers: Vec<_> = shown.map(|dest| server(dest, drained(view.key, dest.spec.addr))).collect();
    let takes_new = servers.iter().any(|server| server.state.takes_new());
    let connections = |count: fn(&DestView) -> u64| view.dests.iter().map(count).sum();
    Service {
        service: view.key,
        scheduler: view.scheduler.clone(),
        state: if takes_new { ServiceState::Up } else { ServiceState::Down },
        persistent: view.persistence.is_some(),
        tls: view.tls.is_some(),
        load: Load {
            active: connections(|dest| dest.active),
            inactive: connections(|dest| dest.inactive),
            rates: view.rates,
            counts: view.counts,
        },
        servers,
    }
}

fn server(view: &DestView, drained: bool) -> Server {
    let DestView { spec, active, inactive, persistent, counts, rates, overloaded, ramping, .. } = view;
    let weight = if view.absent { Weight(0) } else { view.weight() };
    let state = match () {
        () if view.fitness.share != Share::In => ServerState::Down,
        () if drained => ServerState::Drain,
        () if view.sorry && weight.0 > 0 => ServerState::Sorry,
        () if weight.0 == 0 => ServerState::Quiet,
        () if *overloaded => ServerState::Full,
        () if ramping.is_some() => ServerState::Slow,
        () => ServerState::Up,
    };
    Server {
        server: spec.addr,
        method: spec.method.name(),
        weight: weight.0,
        configured_weight: spec.weight.0,
        state,
        health: view.state.clone(),
        persistent: *persistent,
        upper: spec.upper,
        load: Load { active: *active, inactive: *inactive, rates: *rates, counts: *counts },
    }
}

fn drops(status: &Status, before: Option<(&Picture, Duration)>) -> Vec<Drop> {
    let dropped = status.drops.iter().filter(|(_, packets)| **packets > 0);
    let mut drops: Vec<_> = dropped
        .map(|(reason, &packets)| {
            let per_second = before.map(|(picture, time)| {
                let then = picture.drops.iter().find(|drop| drop.reason == *reason).map_or(0, |d| d.packets);
                // An engine that has been started again counts from zero.
                let more = packets.saturating_sub(then) as f64;
                (more / time.as_secs_f64().max(0.001)).round() as u64
            });
            Drop { reason: reason.clone(), packets, per_second }
        })
        .collect();
    drops.sort_by_key(|drop| std::cmp::Reverse(drop.packets));
    drops
}

fn word<S: Serializer>(key: &ServiceKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&key.word())
}
