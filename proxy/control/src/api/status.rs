//! The engine at a glance, as it travels over the control socket.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use sched::Proto;
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
