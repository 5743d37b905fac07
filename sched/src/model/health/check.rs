//! One check: what a server is asked, how often, and how many answers it takes to change one's mind.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a server is asked, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is asked.
    #[serde(flatten)]
    pub kind: CheckKind,
    /// Between the beginnings of two questions, in milliseconds.
    #[serde(default = "Check::default_interval")]
    pub interval: u32,
    /// The same while the answers contradict what the server is taken for (a *soft* state); without it, `interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_interval: Option<u32>,
    /// For how long an answer is waited for, all in all, in milliseconds.
    #[serde(default = "Check::default_timeout")]
    pub timeout: u32,
    /// Failures in a row that make a live server dead (*hard*).
    #[serde(default = "Check::default_fall")]
    pub fall: u32,
    /// Successes in a row that make a dead server alive.
    #[serde(default = "Check::default_rise")]
    pub rise: u32,
    /// Failures among the last so many that make it dead as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// The first question comes at a random moment within so many milliseconds; without it, within `interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<u32>,
    /// Asked there in place of the server's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<IpAddr>,
    /// Asked there in place of the server's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The way that the question takes.
    #[serde(default)]
    pub via: Via,
    /// Asked from there; port 0 is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<SocketAddr>,
    /// Asked by this device only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Firewall mark of the question's packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
}

/// `"3/10"`: so many failures of the last so many answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Failures, 1 to `of`.
    pub failures: u8,
    /// Answers that are remembered, 1 to 64.
    pub of: u8,
}

impl Window {
    /// As many answers are remembered at most.
    pub const MAX: u8 = 64;
}

/// The way that a question takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// To the server's own address, as the host would reach it.
    #[default]
    Direct,
    /// To the VIP, as a client's packet: by the service's forwarding method, to this server.
    Vip,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum CheckKind {
    /// An echo (RFC 792, RFC 4443).
    Icmp,
    /// A connection.
    Tcp,
    /// A datagram.
    Udp(UdpCheck),
    /// Pages; with `tls`, by HTTPS.
    Http(HttpCheck),
    /// A TLS handshake.
    Tls(TlsCheck),
    /// A question to a name server, over UDP.
    Dns {
        /// Type of record.
        record: DnsRecord,
        /// The name that is asked for; `.` is the root.
        name: String,
    },
    /// The greeting of a mail server, and its answer to ours.
    Smtp {
        /// The name that we give.
        helo: String,
    },
    /// `grpc.health.v1.Health/Check`.
    Grpc(GrpcCheck),
    /// A command: exit code 0 is success.
    Exec(ExecCheck),
    /// A number in a file.
    File(FileCheck),
}

impl CheckKind {
    /// The word for it in configurations and listings.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Udp(_) => "udp",
            Self::Http(HttpCheck { tls: None, .. }) => "http",
            Self::Http(_) => "https",
            Self::Tls(_) => "tls",
            Self::Dns { .. } => "dns",
            Self::Smtp { .. } => "smtp",
            Self::Grpc(_) => "grpc",
            Self::Exec(_) => "exec",
            Self::File(_) => "file",
        }
    }
}

/// A datagram, and what is expected of the server then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UdpCheck {
    /// What is sent.
    pub payload: Vec<u8>,
    /// Without a reply it is a failure; else only an ICMP error is.
    pub require_reply: bool,
    /// What the reply begins with: `None` is any byte.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reply: Vec<Option<u8>>,
    /// The shortest reply, in bytes.
    pub min_reply: u16,
    /// The longest reply, in bytes; 0 for no limit.
    pub max_reply: u16,
}

/// Pages that are asked for, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpCheck {
    /// Without any, `/`.
    pub urls: Vec<HttpUrl>,
    /// What the request says of itself.
    pub version: HttpVersion,
    /// HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsCheck>,
}

/// A page, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpUrl {
    /// `GET`, `HEAD`, `OPTIONS` or what else there is.
    #[serde(default = "HttpUrl::default_method")]
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The Host field; without one, the server's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The statuses that are right, first and last of each range; without any, 200 to 299.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<(u16, u16)>,
    /// What the body has to be, all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub body: Vec<BodyTest>,
}

impl HttpUrl {
    fn default_method() -> String {
        "GET".to_owned()
    }

    /// A page that only has to be there.
    pub fn new(path: &str) -> Self {
        Self {
            method: Self::default_method(),
            path: path.to_owned(),
            host: None,
            status: Vec::new(),
            body: Vec::new(),
        }
    }
}

/// What a page's body has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyTest {
    /// These characters are in it.
    Keyword(String),
    /// Its MD5, in hexadecimal digits, as keepalived's `genhash` prints it.
    Digest(String),
    /// It matches, or does not.
    Regex {
        /// The expression.
        pattern: String,
        /// It is a failure if it matches.
        #[serde(default)]
        negate: bool,
        /// Bytes of the body that are left out at the beginning.
        #[serde(default)]
        min_offset: usize,
        /// Where a match has to begin at the latest; 0 for anywhere.
        #[serde(default)]
        max_offset: usize,
    },
}

/// What an HTTP request says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpVersion {
    /// HTTP/1.0.
    #[serde(rename = "1.0")]
    Http10,
    /// HTTP/1.0 with `Connection: close` (keepalived's `1.0C`).
    #[serde(rename = "1.0C")]
    Http10Close,
    /// HTTP/1.1 with `Connection: close`.
    #[default]
    #[serde(rename = "1.1")]
    Http11,
}

/// A TLS handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsCheck {
    /// The name that is asked for; without one, none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// The certificate has to be valid, for that name (or the server's address), by a known authority.
    pub verify: bool,
    /// The authorities, PEM; without it, those that the host trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Days for which the certificate has to be good still, 0 for not looking; whether or not it is verified.
    pub min_days: u16,
}

/// The health service of gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrpcCheck {
    /// Whose health; empty for the whole server's.
    pub service: String,
    /// Within TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsCheck>,
}

/// Type of a DNS record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRecord {
    /// Start of authority.
    #[default]
    Soa,
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Name server.
    Ns,
    /// Alias.
    Cname,
    /// Mail exchanger.
    Mx,
    /// Text.
    Txt,
}

/// A command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecCheck {
    /// The program and its arguments; no shell is involved.
    pub command: Vec<String>,
    /// The user, and after a colon the group, that it runs as; without it, our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Exit codes from 2 on are success with a weight: the code less 2 (keepalived's `misc_dynamic`).
    #[serde(default)]
    pub dynamic: bool,
}

/// A number in a file, as keepalived tracks one: 0 is right, and so is a file that is missing or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCheck {
    /// The file.
    pub path: PathBuf,
    /// What the number is multiplied with where it is `dynamic`, -254 to 254.
    #[serde(default = "FileCheck::one")]
    pub weight: i16,
    /// With the other sign; where it is not `dynamic`, all but 0 is right.
    #[serde(default)]
    pub reverse: bool,
    /// The product is added to the server's weight, and any number is right (keepalived's weights other than 0).
    #[serde(default)]
    pub dynamic: bool,
}

impl FileCheck {
    const fn one() -> i16 {
        1
    }
}

impl Check {
    /// A check with everything else at its default.
    pub const fn new(kind: CheckKind) -> Self {
        Self {
            kind,
            interval: Self::default_interval(),
            fast_interval: None,
            timeout: Self::default_timeout(),
            fall: Self::default_fall(),
            rise: Self::default_rise(),
            window: None,
            warmup: None,
            addr: None,
            port: None,
            via: Via::Direct,
            bind: None,
            device: None,
            mark: None,
        }
    }

    const fn default_interval() -> u32 {
        2_000
    }

    const fn default_timeout() -> u32 {
        2_000
    }

    const fn default_fall() -> u32 {
        3
    }

    const fn default_rise() -> u32 {
        2
    }

    pub(super) fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> + use<'_> {
        match &mut self.kind {
            CheckKind::Http(HttpCheck { tls, .. }) | CheckKind::Grpc(GrpcCheck { tls, .. }) => {
                tls.as_mut().and_then(|tls| tls.ca.as_mut())
            }
            CheckKind::Tls(check) => check.ca.as_mut(),
            CheckKind::File(file) => Some(&mut file.path),
            CheckKind::Icmp
            | CheckKind::Tcp
            | CheckKind::Udp(_)
            | CheckKind::Dns { .. }
            | CheckKind::Smtp { .. }
            | CheckKind::Exec(_) => None,
        }
        .into_iter()
    }
}
