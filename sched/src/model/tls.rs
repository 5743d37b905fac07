//! Where TLS ends at the director: the front of a service.

mod flaw;
mod limits;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::dest::{DestKey, DestSpec};
use super::key::ServiceKey;

pub use flaw::TlsFlaw;
pub use limits::TlsLimits;

/// A front: TLS from clients ends here, and what it held goes on to a server that the service has chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFront {
    /// The port that clients speak TLS to.
    #[serde(default = "https")]
    pub port: u16,
    /// The addresses that clients speak to. Without any, those of the service: its own, or those of its mark's rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vips: Vec<IpAddr>,
    /// The port of the servers. Without one, the port of each server, or 80 where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_port: Option<u16>,
    /// Whose TCP the clients speak with.
    #[serde(default)]
    pub stack: TlsStack,
    /// Certificates, the first of them for names that no other is for.
    pub certs: Vec<CertFiles>,
    /// Clients that ask for a name that no certificate is for, or for none, are refused.
    #[serde(default)]
    pub strict_sni: bool,
    /// The protocols that are offered (ALPN), best first.
    #[serde(default = "TlsFront::default_alpn", skip_serializing_if = "is_http1")]
    pub alpn: Vec<String>,
    /// Services that have the servers for a protocol, where it is not this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_alpn: Vec<(String, ServiceKey)>,
    /// Versions and cipher suites.
    #[serde(default)]
    pub profile: TlsProfile,
    /// Clients show certificates too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// How sessions are resumed.
    #[serde(default)]
    pub tickets: Tickets,
    /// How servers learn who the client is.
    #[serde(default)]
    pub identity: ClientIdentity,
    /// Idle connections kept to each server for the next request of anybody (HTTP/1.1); 0: each client has its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pool: u32,
    /// A port on which plain HTTP is answered with a redirection to this front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_http: Option<u16>,
    /// The servers are spoken to by TLS as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_tls: Option<BackendTls>,
    /// A file that gets the secrets of all sessions, for Wireshark. Whoever has it reads everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_log: Option<PathBuf>,
    /// Limits in time and number.
    #[serde(default)]
    pub limits: TlsLimits,
}

impl TlsFront {
    /// A front with one certificate, and everything else at its default.
    pub fn new(cert: CertFiles) -> Self {
        Self {
            port: https(),
            vips: Vec::new(),
            server_port: None,
            stack: TlsStack::default(),
            certs: vec![cert],
            strict_sni: false,
            alpn: Self::default_alpn(),
            by_alpn: Vec::new(),
            profile: TlsProfile::default(),
            client_auth: None,
            tickets: Tickets::default(),
            identity: ClientIdentity::default(),
            pool: 0,
            redirect_http: None,
            backend_tls: None,
            key_log: None,
            limits: TlsLimits::default(),
        }
    }

    /// The port of a server: it speaks plain HTTP unless somebody says where.
    pub fn port_of(&self, server: &DestKey) -> u16 {
        const HTTP: u16 = 80;
        self.server_port.unwrap_or_else(|| if server.port() == 0 { HTTP } else { server.port() })
    }

    /// What is offered where nothing is said.
    pub fn default_alpn() -> Vec<String> {
        vec!["http/1.1".to_owned()]
    }

    /// A server that would get plain text where TLS is meant to be: it has the front's port, which is the service's, and
    /// nothing says otherwise.
    pub fn plain_on_its_port<'a>(&self, mut dests: impl Iterator<Item = &'a DestSpec>) -> Option<DestKey> {
        let said = self.server_port.is_some() || self.backend_tls.is_some();
        dests.find(|dest| !said && dest.addr.port() == self.port).map(|dest| dest.addr)
    }

    /// All the files that it names.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let certs =
            self.certs.iter_mut().flat_map(|c| [&mut c.cert, &mut c.key].into_iter().chain(&mut c.ocsp));
        let clients = self.client_auth.iter_mut().flat_map(|c| std::iter::once(&mut c.ca).chain(&mut c.crl));
        let servers = self.backend_tls.iter_mut().map(|b| &mut b.ca);
        let secret = match &mut self.tickets {
            Tickets::Shared(path) => Some(path),
            Tickets::Own | Tickets::Off => None,
        };
        certs.chain(clients).chain(servers).chain(secret).chain(&mut self.key_log)
    }
}

const fn https() -> u16 {
    443
}

fn is_http1(alpn: &[String]) -> bool {
    matches!(alpn, [one] if one == "http/1.1")
}

const fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CertFiles {
    /// The certificate and those that lead to a known authority, PEM.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// What the authority says about it (OCSP), DER: sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<PathBuf>,
}

/// What clients have to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientAuth {
    /// The authorities whose certificates are good, PEM.
    pub ca: PathBuf,
    /// Certificates that are good no longer, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<PathBuf>,
    /// Who has none is refused; else it is only not known.
    pub required: bool,
}

/// How servers are spoken to by TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendTls {
    /// The authorities whose certificates are good, PEM.
    pub ca: PathBuf,
    /// The name that their certificates have to have. Without one it is the server's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $d:literal])+ $(#[$attr:meta])? $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[doc = $d])+ $(#[$attr])? #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = NoSuchWord;

            fn from_str(text: &str) -> Result<Self, NoSuchWord> {
                Self::ALL.iter().copied().find(|one| one.name() == text).ok_or_else(|| NoSuchWord {
                    text: text.to_owned(),
                    known: Self::ALL.iter().map(|one| one.name()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

words! {
    /// Whose TCP clients of a front speak with.
    TlsStack {
        /// The host's: it recovers from losses as any kernel does.
        #[default]
        Kernel = "kernel",
        /// Our own: needs nothing of the host, and servers may see the client's own address.
        Userspace = "userspace",
    }
}

words! {
    /// Versions and cipher suites, after Mozilla's server-side recommendations.
    TlsProfile {
        /// TLS 1.3 alone.
        Modern = "modern",
        /// TLS 1.3, and 1.2 with forward secrecy and authenticated encryption.
        #[default]
        Intermediate = "intermediate",
    }
}

words! {
    /// How servers behind a front learn who the client is.
    ClientIdentity {
        /// They do not.
        #[default]
        None = "none",
        /// They see the client's own address and port as their peer; their answers have to come back through us.
        Transparent = "transparent",
        /// By the PROXY protocol, as a line of text.
        ProxyV1 = "proxy-v1",
        /// By the PROXY protocol, binary.
        ProxyV2 = "proxy-v2",
        /// By X-Forwarded-For, X-Forwarded-Proto and Forwarded in each request (HTTP/1.1).
        Forwarded = "forwarded",
    }
}

/// A word that does not say any of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no `{text}`: known are {known}")]
pub struct NoSuchWord {
    text: String,
    known: String,
}

/// How clients resume their sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tickets {
    /// By tickets that this director alone can read.
    #[default]
    Own,
    /// Not at all.
    Off,
    /// By tickets that every director with this secret can read: a file of 32 bytes or more.
    Shared(PathBuf),
}
