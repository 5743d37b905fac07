//! On which terms clients are served.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, ServerConfig,
    pki_types::{CertificateDer, ServerName},
    server::ClientHello,
};

use crate::counters::Counters;

/// Chooses the certificate and all else that a client is met with.
pub trait Accept: Send + Sync {
    /// The configuration for this ClientHello. `Err` where there is none for the name that it asks for: the client
    /// gets the alert `unrecognized_name`.
    fn accept(&self, hello: &ClientHello<'_>) -> Result<Arc<ServerConfig>, NoSuchName>;

    /// Whether clients are asked for certificates.
    fn asks_for_certificates(&self) -> bool;

    /// Who a client with this certificate is, in one line. The certificate was verified.
    fn subject(&self, certificate: &CertificateDer<'_>) -> String;
}

/// There is no certificate for the name that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchName;

/// What is the same for all sessions of a front.
pub struct Terms {
    /// Certificates.
    pub accept: Arc<dyn Accept>,
    /// Within TLS is HTTP/1.1, unless ALPN says otherwise: requests are read, and what goes wrong is said in HTTP.
    pub http: bool,
    /// Requests tell the server about the client, in fields of their head. Takes [`Terms::http`]. Other protocols that
    /// ALPN may choose pass untouched: a front that promises its servers these fields must not offer `h2`.
    pub forwarded: bool,
    /// A server is had for one request, not for one client. Takes [`Terms::http`].
    pub pool: bool,
    /// TLS to the server.
    pub backend: Option<Backend>,
    /// Servers that are tried before the client is told that there is none.
    pub attempts: u32,
    /// How long what may last.
    pub timeouts: Timeouts,
    /// Where it is counted.
    pub counters: Arc<Counters>,
}

/// TLS to the server.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Whom to trust.
    pub config: Arc<ClientConfig>,
    /// The name in the servers' certificates. Without one it is each server's address.
    pub name: Option<ServerName<'static>>,
}

/// How long what may last.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the first byte to the end of the handshake.
    pub handshake: Duration,
    /// With HTTP: from the end of the handshake to the end of the first head, and from the first byte of a later head
    /// to its end.
    pub head: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
    /// Without a byte after one side has said its end, and for what has to be said before the other end.
    pub half_closed: Duration,
    /// For one server to take the connection, and to end its handshake.
    pub connect: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(3600),
            half_closed: Duration::from_secs(60),
            connect: Duration::from_secs(5),
        }
    }
}

/// Who talks to whom.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// The client.
    pub client: SocketAddr,
    /// What it has connected to.
    pub vip: SocketAddr,
}
