//! One command with its options, understood but not yet checked against the engine.

use std::net::{IpAddr, SocketAddr};

use sched::{Proto, ServiceKey, Weight};

use super::opts::{Command, Kind};

/// A command line.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) command: Command,
    /// What the options were about.
    pub(super) said: Vec<Kind>,
    /// Protocol, VIP and port, 0 if none was given.
    pub(super) service: Option<(Proto, IpAddr, u16)>,
    pub(super) server: Option<Server>,
    pub(super) scheduler: Option<String>,
    pub(super) weight: Weight,
}

/// A real server as it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pub(super) ip: IpAddr,
    /// `None`: the service's.
    pub(super) port: Option<u16>,
}

impl Request {
    pub(super) fn new(command: Command) -> Self {
        Self {
            command,
            said: Vec::new(),
            service: None,
            server: None,
            scheduler: None,
            weight: Weight::default(),
        }
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.said.contains(&kind)
    }

    pub(super) fn numeric(&self) -> bool {
        self.has(Kind::Numeric)
    }

    pub(super) fn key(&self) -> Option<ServiceKey> {
        self.service.map(|(proto, vip, port)| ServiceKey::addr(proto, SocketAddr::new(vip, port)))
    }
}
