//! A front: what the clients of a service meet when they speak TLS to it.
//!
//! Made from files' contents, checked as a whole, never changed afterwards. A reload makes another and puts it in its
//! place: sessions that are under way keep theirs, and since [`TicketKeys`] are given from outside, tickets outlive it.
//!
//! - [`Pair`]: certificates and keys, checked; which of them a client gets is decided by name (`names`);
//! - [`Profile`]: versions, suites, groups;
//! - [`ClientCertificates`]: whether clients show one, and whose count;
//! - [`TicketKeys`]: sessions resumed, here and at other directors.
//!
//! There is no early data (RFC 8446 section 8): what a server gets has not been replayed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::{KeyLog, ServerConfig};

mod accept;
mod backend;
mod certificate;
mod chain;
mod client;
mod clock;
mod error;
mod names;
mod pair;
mod profile;
mod shown;
mod source;
mod subject;
mod tickets;

pub use certificate::{KeyKind, Name};
pub use client::{Authorities, ClientCertificates};
pub use clock::Clock;
pub use error::{FrontError, Warning};
pub use names::{Refused, UnknownName};
pub use pair::{Pair, PairFiles};
pub use profile::Profile;
pub use shown::Shown;
pub use source::Source;
pub use subject::{ClientIdentity, Fingerprint};
pub use tickets::{TicketKeys, TicketTimes};

use names::Names;
use profile::First;
use subject::sha256;

/// What a front is made from.
#[derive(Clone, Debug)]
pub struct FrontSettings {
    /// Certificates and keys, at least one pair.
    pub pairs: Vec<PairFiles>,
    /// What becomes of clients that ask for a name that none of them has.
    pub unknown_name: UnknownName,
    /// Versions and suites.
    pub profile: Profile,
    /// Protocols of ALPN, the preferred first. A client that offers some, but none of these, is refused
    /// (`no_application_protocol`, RFC 7301 section 3.2). With none of ours there is no ALPN.
    pub alpn: Vec<String>,
    /// Certificates of clients.
    pub client_certificates: ClientCertificates,
    /// What tickets are made with. Without, no session is ever resumed.
    pub tickets: Option<Arc<TicketKeys>>,
    /// Who is told the secrets of all sessions: for looking into captures, and for nothing else.
    pub key_log: Option<Arc<dyn KeyLog>>,
}

/// A front without pairs, for HTTP/1.1, with all else as it is unless somebody asks for more.
impl Default for FrontSettings {
    fn default() -> Self {
        Self {
            pairs: Vec::new(),
            unknown_name: UnknownName::default(),
            profile: Profile::default(),
            alpn: vec!["http/1.1".to_owned()],
            client_certificates: ClientCertificates::default(),
            tickets: None,
            key_log: None,
        }
    }
}

/// What clients meet.
#[derive(Debug)]
pub struct Front {
    pairs: Vec<Pair>,
    names: Arc<Names>,
    aes_first: Arc<ServerConfig>,
    chacha20_first: Arc<ServerConfig>,
    /// Clients are asked for certificates.
    asks: bool,
}

impl Front {
    /// Makes a front. Certificates are checked as of the clock's time; sessions go by it too.
    pub fn new(settings: &FrontSettings, clock: &Arc<Clock>) -> Result<(Self, Vec<Warning>), FrontError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(clock.seconds());
        let mut warnings = Vec::new();
        let mut pairs = Vec::with_capacity(settings.pairs.len());
        for files in &settings.pairs {
            let (pair, odd) = Pair::new(files, now)?;
            pairs.push(pair);
            warnings.extend(odd);
        }
        if pairs.is_empty() {
            return Err(FrontError::NoPair);
        }
        let (names, odd) = Names::new(&pairs, settings.unknown_name);
        warnings.extend(odd);
        let names = Arc::new(names);

        let clients = settings.client_certificates.verification(now, &mut warnings)?;
        let binding = binding(&clients.digest, &pairs);
        let config = |first| -> Result<Arc<ServerConfig>, FrontError> {
            let provider = Arc::new(settings.profile.provider(first));
            let mut config = ServerConfig::builder_with_details(provider, Arc::clone(clock) as _)
                .with_protocol_versions(settings.profile.versions())?
                .with_client_cert_verifier(Arc::clone(&clients.verifier))
                .with_cert_resolver(Arc::clone(&names) as _);
            config.ignore_client_order = true;
            config.alpn_protocols = alpn(&settings.alpn)?;
            config.session_storage = Arc::new(NoServerSessionStorage {});
            // One is enough: each costs a tenth of a handshake, and whoever comes again gets another.
            config.send_tls13_tickets = usize::from(settings.tickets.is_some());
            if let Some(tickets) = &settings.tickets {
                config.ticketer = tickets.bound(binding);
            }
            if let Some(key_log) = &settings.key_log {
                config.key_log = Arc::clone(key_log);
            }
            Ok(Arc::new(config))
        };
        let (aes_first, chacha20_first) = (config(First::Aes)?, config(First::ChaCha20)?);
        let asks = !matches!(settings.client_certificates, ClientCertificates::Off);
        Ok((Self { pairs, names, aes_first, chacha20_first, asks }, warnings))
    }

    /// How to go on with the client that said this.
    pub fn accept(&self, hello: &ClientHello<'_>) -> Result<Arc<ServerConfig>, Refused> {
        self.names.find(hello.server_name())?;
        Ok(Arc::clone(match First::wanted(hello.cipher_suites()) {
            First::Aes => &self.aes_first,
            First::ChaCha20 => &self.chacha20_first,
        }))
    }

    /// Its pairs, in the order given.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// When the first of its certificates expires.
    pub fn expires(&self) -> Option<SystemTime> {
        self.pairs.iter().map(Pair::not_after).min()
    }
}

/// What tickets are bound to: what is demanded of clients, and the names served. A renewed certificate changes neither.
fn binding(clients: &[u8; 32], pairs: &[Pair]) -> [u8; 32] {
    let names: BTreeSet<_> = pairs.iter().flat_map(Pair::names).map(ToString::to_string).collect();
    let names: Vec<_> = names.into_iter().collect();
    sha256(&[clients, names.join(" ").as_bytes()])
}

fn alpn(protocols: &[String]) -> Result<Vec<Vec<u8>>, FrontError> {
    let one = |protocol: &String| match protocol.len() {
        1..=255 => Ok(protocol.clone().into_bytes()),
        _ => Err(FrontError::Alpn(protocol.clone())),
    };
    protocols.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
