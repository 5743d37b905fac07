//! A real server as configured.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A real server within its service: address and port; port 0 is the one that the client asked for.
pub type DestKey = SocketAddr;

/// Share of new flows, 0 to 2^31 - 1. Zero drains: flows in progress stay, new ones go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weight(pub u32);

impl Weight {
    /// The largest weight that ipvsadm takes.
    pub const MAX: Self = Self(i32::MAX as u32);
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

/// How a packet gets to its real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForwardMethod {
    /// NAT: the destination is rewritten on the way in, the source on the way out.
    #[default]
    #[serde(alias = "nat")]
    Masq,
    /// FullNAT: both addresses are rewritten, the client's into one of the director's, so that the server's answers
    /// come back to it wherever it is.
    FullNat,
    /// DR: the packet goes to the server's link address as it is.
    #[serde(alias = "dr")]
    Route,
    /// The packet goes inside another one to the server.
    Tunnel(Tunnel),
}

impl ForwardMethod {
    /// The column of `ipvsadm -L`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Masq => "Masq",
            Self::FullNat => "FullNat",
            Self::Route => "Route",
            Self::Tunnel(_) => "Tunnel",
        }
    }

    /// The option of `ipvsadm -a` that asks for it.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Masq => "-m",
            Self::FullNat => "--fullnat",
            Self::Route => "-g",
            Self::Tunnel(_) => "-i",
        }
    }

    /// Whether the server may have another port than the service.
    pub const fn changes_port(self) -> bool {
        matches!(self, Self::Masq | Self::FullNat)
    }

    /// Whether the servers' replies come back through us. Where they do not, only half of a connection is seen.
    pub const fn sees_replies(self) -> bool {
        matches!(self, Self::Masq | Self::FullNat)
    }
}

/// The tunnel to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Tunnel {
    /// What is around the packet.
    pub kind: TunnelKind,
    /// UDP port of the server's end, GUE only; else 0.
    pub port: u16,
    /// What protects the outer header's payload; GRE and GUE only.
    pub checksum: TunnelChecksum,
}

/// What is around a tunnelled packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelKind {
    /// An IP header (RFC 2003, RFC 4213, RFC 2473).
    #[default]
    Ipip,
    /// Generic UDP Encapsulation, version 0.
    Gue,
    /// GRE (RFC 2784).
    Gre,
}

/// `--tun-nocsum`, `--tun-csum`, `--tun-remcsum`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelChecksum {
    /// None.
    #[default]
    None,
    /// Over the whole.
    Full,
    /// Remote checksum offload, GUE only.
    Remote,
}

/// A real server as configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestSpec {
    /// Address and port.
    pub addr: DestKey,
    /// Forwarding method.
    #[serde(default)]
    pub method: ForwardMethod,
    /// Weight.
    #[serde(default)]
    pub weight: Weight,
    /// Upper threshold, in connections: with that many it gets no new ones. 0 for none.
    #[serde(default)]
    pub upper: u32,
    /// Lower threshold, in connections: below it new ones come again. 0 for three quarters of the upper one.
    #[serde(default)]
    pub lower: u32,
    /// Seconds that a new server takes to reach its weight. 0 for none.
    #[serde(default)]
    pub slow_start: u32,
}

impl DestSpec {
    /// A server with everything else at its default.
    pub fn new(addr: DestKey) -> Self {
        Self {
            addr,
            method: ForwardMethod::default(),
            weight: Weight::default(),
            upper: 0,
            lower: 0,
            slow_start: 0,
        }
    }
}
