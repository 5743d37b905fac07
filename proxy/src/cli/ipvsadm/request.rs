//! One command with its options, understood but not yet checked against the engine.

use std::net::IpAddr;

use control::api::Timeouts;
use sched::{SchedFlags, ServiceKey, TcpOptions, TunnelKind, Weight};

use super::rules::{Command, Kind};

/// A command line.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) command: Command,
    /// What the options were about.
    pub(super) said: Vec<Kind>,
    /// What service it is about. Port 0 if none was given.
    pub(super) service: Option<ServiceKey>,
    pub(super) scheduler: Option<String>,
    /// `-b` as it was written, and what it says once the scheduler is known.
    pub(super) flag_names: String,
    pub(super) flags: SchedFlags,
    /// Seconds.
    pub(super) persistence: u32,
    /// `-M` as it was written: what it means depends on the service's family.
    pub(super) netmask: String,
    /// The name of a persistence engine; empty for none.
    pub(super) engine: String,
    pub(super) server: Option<Server>,
    pub(super) method: Method,
    pub(super) tunnel: TunnelKind,
    pub(super) tunnel_port: u16,
    pub(super) weight: Weight,
    /// Connections.
    pub(super) upper: u32,
    pub(super) lower: u32,
    /// Seconds.
    pub(super) slow_start: u32,
    /// `--proxy-protocol`, `--toa`, `--mss`.
    pub(super) tcp: TcpOptions,
    /// `-z`.
    pub(super) lip: Option<IpAddr>,
    /// Those that are 0 stay.
    pub(super) timeouts: Timeouts,
}

/// A real server as it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pub(super) ip: IpAddr,
    /// `None`: the service's.
    pub(super) port: Option<u16>,
}

/// `-g`, `-i`, `-m`, `--fullnat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Method {
    #[default]
    Gatewaying,
    Tunnel,
    Masquerading,
    FullNat,
}

impl Method {
    /// Whether the server may have another port than the service.
    pub(super) const fn changes_port(self) -> bool {
        matches!(self, Self::Masquerading | Self::FullNat)
    }
}

impl Request {
    pub(super) fn new(command: Command) -> Self {
        Self {
            command,
            said: Vec::new(),
            service: None,
            scheduler: None,
            flag_names: String::new(),
            flags: SchedFlags::default(),
            persistence: 0,
            netmask: String::new(),
            engine: String::new(),
            server: None,
            method: Method::default(),
            tunnel: TunnelKind::default(),
            tunnel_port: 0,
            weight: Weight::default(),
            upper: 0,
            lower: 0,
            slow_start: 0,
            tcp: TcpOptions::default(),
            lip: None,
            timeouts: Timeouts { tcp: 0, tcp_fin: 0, udp: 0 },
        }
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.said.contains(&kind)
    }

    pub(super) fn numeric(&self) -> bool {
        self.has(Kind::Numeric)
    }
}
