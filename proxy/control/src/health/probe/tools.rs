//! What all questions share.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls_native_certs::ErrorKind;
use sched::{DestKey, Proto, ServiceKey};

use super::asking::Asking;
use super::words;

/// Makes what a local socket says to a VIP go to one given server, whatever the scheduler would say.
pub trait Aim: Send + Sync {
    /// What a client sends to a VIP, the two ends of `flow`, goes to `server` of that service, by its forwarding method, while the result is held.
    ///
    /// # Errors
    /// Why that cannot be, in words for a listing.
    fn aim(
        &self,
        flow: (Proto, SocketAddr, SocketAddr),
        service: ServiceKey,
        server: DestKey,
    ) -> Result<Box<dyn Aimed>, String>;

    /// Whether what is said from there, in this protocol, comes to this host by the engine, whatever device it has come to
    /// first: no socket that is bound to a device hears it then.
    fn by_engine(&self, proto: Proto, from: SocketAddr) -> Option<ByEngine>;
}

/// Somebody whose answers come by the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByEngine {
    /// The device by which this host reaches it, if that is known.
    pub device: Option<String>,
}

/// A flow that goes to a given server while this is held.
pub trait Aimed: Send {
    /// Its first packet has come by. If not, whoever answered has been asked by some other way.
    fn has_begun(&self) -> bool;
}

/// What all questions share: made once.
pub struct Tools {
    /// The provider of cryptography for TLS.
    pub(super) provider: Arc<CryptoProvider>,
    /// Believes any server, where none is verified.
    pub(super) anybody: Arc<dyn ServerCertVerifier>,
    /// Without one, no question goes by a VIP.
    pub(super) aim: Option<Arc<dyn Aim>>,
    /// Whom the host trusts, read when that is asked first.
    pub(super) roots: OnceLock<Arc<RootCertStore>>,
    hasher: RandomState,
    asked: AtomicU64,
}

impl Tools {
    /// With this provider of cryptography, and who believes any server; and, if questions are to go by VIPs, who sees to
    /// it that they can.
    pub fn new(
        provider: Arc<CryptoProvider>,
        anybody: Arc<dyn ServerCertVerifier>,
        aim: Option<Arc<dyn Aim>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            provider,
            anybody,
            aim,
            roots: OnceLock::new(),
            hasher: RandomState::new(),
            asked: AtomicU64::new(0),
        })
    }

    /// A number that nobody guesses, another each time: an answer that quotes it is the answer to our question.
    pub(super) fn nonce(&self) -> u64 {
        self.hasher.hash_one(self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// The authorities that this host trusts. While there are none they are looked for again.
    pub(super) fn roots(&self, asking: &Asking<'_>) -> Result<Arc<RootCertStore>, String> {
        match self.roots.get() {
            Some(roots) => Ok(Arc::clone(roots)),
            None => {
                let found = host_roots(asking)?;
                Ok(Arc::clone(self.roots.get_or_init(|| found)))
            }
        }
    }
}

fn host_roots(asking: &Asking<'_>) -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    // With some of them missing others would be taken for strangers, and for good.
    for error in &found.errors {
        if let ErrorKind::Io { inner, .. } = &error.kind
            && words::is_ours(inner)
        {
            return Err(format!("this host's authorities cannot be read: {}", asking.error(inner)));
        }
    }
    let mut roots = RootCertStore::empty();
    // Stores hold some that rustls does not take; a host trusts the others nevertheless.
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    match (taken, found.errors.first()) {
        (0, Some(error)) => Err(format!("this host's authorities cannot be read: {error}")),
        (0, None) => {
            Err("this host trusts no authority: install ca-certificates, or name a file as `ca`".into())
        }
        _ => Ok(Arc::new(roots)),
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools").field("aim", &self.aim.is_some()).finish_non_exhaustive()
    }
}
