//! Fronts, where TLS ends, as they travel over the control socket.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sched::{ServiceKey, TlsFront, TlsStack};
use serde::{Deserialize, Serialize};

/// All fronts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsList {
    /// In the order of `ipvsadm -L`.
    pub fronts: Vec<TlsView>,
}

/// A front and what it has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsView {
    /// The service whose servers get what the sessions held.
    pub service: ServiceKey,
    /// The addresses at which TLS ends.
    pub vips: Vec<IpAddr>,
    /// The settings.
    pub settings: Arc<TlsFront>,
    /// Whose TCP clients are spoken to with.
    pub stack: TlsStack,
    /// The certificates that are in use, in the order of the settings.
    #[serde(default)]
    pub certificates: Vec<CertView>,
    /// Sessions that are open.
    #[serde(default)]
    pub sessions: u64,
    /// Named counters; [`TlsView::FULL`] and others are among them.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// Why the files could not be read when that was last tried: what was read before is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl TlsView {
    /// Counter of full handshakes.
    pub const FULL: &str = "handshakes-full";
    /// Counter of handshakes that resumed a session.
    pub const RESUMED: &str = "handshakes-resumed";
    /// Counter of handshakes that came to nothing.
    pub const FAILED: &str = "handshakes-failed";

    /// A front that has done nothing yet.
    pub fn new(service: ServiceKey, vips: Vec<IpAddr>, settings: Arc<TlsFront>) -> Self {
        Self {
            service,
            vips,
            stack: settings.stack,
            settings,
            certificates: Vec::new(),
            sessions: 0,
            counters: BTreeMap::new(),
            error: None,
        }
    }

    /// A counter, 0 if there is none of that name.
    pub fn count(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }
}

/// A certificate in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertView {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// Whose it is.
    pub subject: String,
    /// Who says so.
    pub issuer: String,
    /// Not good before; seconds since 1970 UTC.
    pub not_before: i64,
    /// Not good after.
    pub not_after: i64,
    /// The kind of its key: `ECDSA P-256`, `RSA 2048`.
    pub key: String,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
    /// Days that are left of its time; none are when it is negative.
    pub days_left: i64,
    /// What somebody should look at, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The outcome of reading the files of all fronts again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsReloaded {
    /// In the order of `ipvsadm -L`.
    pub fronts: Vec<TlsReload>,
}

/// The outcome for one front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsReload {
    /// Whose.
    pub service: ServiceKey,
    /// What is new, one line each.
    #[serde(default)]
    pub changes: Vec<String>,
    /// Why it goes on with what it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
