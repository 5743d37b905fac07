//! A service as configured.

use std::net::IpAddr;
use std::ops::BitOr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dest::DestSpec;
use super::health::Health;
use super::key::ServiceKey;
use super::persistence::{Persistence, PersistenceEngine};
use super::tcp::TcpOptions;
use super::tls::TlsFront;

/// `-b`: switches of a scheduler; what they mean is the scheduler's ([`crate::Algorithm::flags`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchedFlags(pub u8);

impl SchedFlags {
    /// `flag-1`: `sh-fallback`, `mh-fallback`.
    pub const ONE: Self = Self(1);
    /// `flag-2`: `sh-port`, `mh-port`.
    pub const TWO: Self = Self(2);
    /// `flag-3`.
    pub const THREE: Self = Self(4);

    /// Whether all of `other` are set here.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether none is set.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

impl BitOr for SchedFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A service as configured. `dests` is in the order in which they were added (a listing and the schedulers have
/// orders of their own).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// What it matches.
    pub key: ServiceKey,
    /// Name of the scheduler, one of [`crate::algo::ALL`].
    pub scheduler: String,
    /// The scheduler's switches.
    #[serde(default)]
    pub flags: SchedFlags,
    /// `-o`: every packet of a UDP flow is scheduled by itself.
    #[serde(default)]
    pub one_packet: bool,
    /// `-p` and `-M`.
    #[serde(default)]
    pub persistence: Option<Persistence>,
    /// `--pe`.
    #[serde(default)]
    pub pe: Option<PersistenceEngine>,
    /// What is done to its TCP connections.
    #[serde(default, skip_serializing_if = "TcpOptions::is_none")]
    pub tcp: TcpOptions,
    /// TLS from clients ends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Arc<TlsFront>>,
    /// How its servers are checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Arc<Health>>,
    /// Local addresses of its own for FullNAT. Without any it uses those that are everybody's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lips: Vec<IpAddr>,
    /// Its real servers.
    #[serde(default)]
    pub dests: Vec<DestSpec>,
}

impl ServiceSpec {
    /// A service with everything else at its default, and no servers.
    pub fn new(key: ServiceKey, scheduler: &str) -> Self {
        Self {
            key,
            scheduler: scheduler.to_owned(),
            flags: SchedFlags::default(),
            one_packet: false,
            persistence: None,
            pe: None,
            tcp: TcpOptions::default(),
            tls: None,
            health: None,
            lips: Vec::new(),
            dests: Vec::new(),
        }
    }

    /// Whether the settings are the same, whatever the servers, the local addresses, the front and the checks.
    pub fn same_settings(&self, other: &Self) -> bool {
        let settings =
            |s: &Self| Self { dests: Vec::new(), lips: Vec::new(), tls: None, health: None, ..s.clone() };
        settings(self) == settings(other)
    }
}
