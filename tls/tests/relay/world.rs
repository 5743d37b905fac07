//! A front, a client and a server around one relay.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{ClientHello, WebPkiClientVerifier},
};
use tls::{
    Accept, Authority, Counters, Issued, Leg, Next, NoSuchName, Opened, Relay, Scratch, Terms, Timeouts, Who,
};

use crate::wire::{WireEnd, wire};

pub const NAME: &str = "www.example";

fn authority() -> &'static (Authority, Issued) {
    static CA: OnceLock<(Authority, Issued)> = OnceLock::new();
    CA.get_or_init(|| {
        let ca = Authority::create("ca.example", 30, SystemTime::now()).unwrap();
        let server = ca.issue(&[NAME.to_owned()], 30, SystemTime::now()).unwrap();
        (ca, server)
    })
}

fn pair() -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let (_, issued) = authority();
    let cert = CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap();
    (vec![cert], PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap())
}

fn roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority().0.pem().cert_pem.as_bytes()).unwrap()).unwrap();
    Arc::new(roots)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A server's configuration, for the front or for a server that speaks TLS itself.
pub fn server_config(alpn: &[&[u8]], ask: bool) -> ServerConfig {
    let config =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let (chain, key) = pair();
    let config = if ask {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots(), provider())
            .allow_unauthenticated()
            .build()
            .unwrap();
        config.with_client_cert_verifier(verifier)
    } else {
        config.with_no_client_auth()
    };
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config
}

pub fn client_config(version: &'static SupportedProtocolVersion, alpn: &[&[u8]]) -> ClientConfig {
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    let mut config = config.with_root_certificates(roots()).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config
}

/// A front that knows one name.
pub struct Front {
    pub config: Arc<ServerConfig>,
    pub asks: bool,
}

impl Accept for Front {
    fn accept(&self, hello: &ClientHello<'_>) -> Result<Arc<ServerConfig>, NoSuchName> {
        match hello.server_name() {
            Some(NAME) | None => Ok(self.config.clone()),
            Some(_) => Err(NoSuchName),
        }
    }

    fn asks_for_certificates(&self) -> bool {
        self.asks
    }

    fn subject(&self, _: &CertificateDer<'_>) -> String {
        "CN=somebody".to_owned()
    }
}

/// Terms for bytes, with timeouts that a test can tell apart.
pub fn terms() -> Terms {
    Terms {
        accept: Arc::new(Front { config: Arc::new(server_config(&[], false)), asks: false }),
        http: false,
        forwarded: false,
        pool: false,
        backend: None,
        attempts: 2,
        timeouts: Timeouts::default(),
        counters: Arc::new(Counters::default()),
    }
}

pub fn http_terms() -> Terms {
    Terms { http: true, forwarded: true, ..terms() }
}

/// A client that speaks TLS.
pub struct Client {
    pub tls: ClientConnection,
    pub leg: WireEnd,
    pub got: Vec<u8>,
    pub error: Option<String>,
    /// The end was said in TLS.
    pub ended: bool,
}

impl Client {
    /// Moves what can be moved between TLS and the wire.
    pub fn pump(&mut self) {
        while self.tls.wants_write() && self.tls.write_tls(&mut self.leg).is_ok() {}
        while let Ok(1..) = self.tls.read_tls(&mut self.leg) {
            match self.tls.process_new_packets() {
                Ok(state) => self.ended |= state.peer_has_closed(),
                Err(e) => {
                    self.error = Some(e.to_string());
                    break;
                }
            }
            let _ = self.tls.reader().read_to_end(&mut self.got);
        }
        while self.tls.wants_write() && self.tls.write_tls(&mut self.leg).is_ok() {}
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.tls.writer().write_all(bytes.as_ref()).unwrap();
        self.pump();
    }

    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.got).into_owned()
    }
}

/// All of it.
pub struct World {
    pub relay: Relay,
    pub counters: Arc<Counters>,
    pub client: Client,
    pub near: WireEnd,
    /// The server's leg, and the server.
    pub leg: Option<WireEnd>,
    pub server: Option<WireEnd>,
    pub preface: Vec<u8>,
    /// Servers take connections.
    pub open: bool,
    pub connects: Vec<tls::Wanted>,
    pub free: Vec<(WireEnd, WireEnd, tls::Kept)>,
    pub now: Instant,
    pub end: Option<tls::How>,
    pub scratch: Scratch,
}

impl World {
    pub fn new(terms: Terms, client: ClientConfig) -> Self {
        Self::named(terms, client, NAME)
    }

    pub fn named(terms: Terms, config: ClientConfig, name: &'static str) -> Self {
        let now = Instant::now();
        let counters = terms.counters.clone();
        let (far, near) = wire();
        let mut tls = ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
        tls.set_buffer_limit(None);
        let who = Who { client: addr("192.0.2.7:40000"), vip: addr("203.0.113.1:443") };
        Self {
            relay: Relay::new(Arc::new(terms), who, now),
            counters,
            client: Client { tls, leg: far, got: Vec::new(), error: None, ended: false },
            near,
            leg: None,
            server: None,
            preface: Vec::new(),
            open: true,
            connects: Vec::new(),
            free: Vec::new(),
            now,
            end: None,
            scratch: Scratch::new(),
        }
    }

    /// A world in which the handshake is done.
    pub fn established(terms: Terms) -> Self {
        let mut world = Self::new(terms, client_config(&rustls::version::TLS13, &[]));
        world.run();
        assert!(!world.client.tls.is_handshaking());
        world
    }

    /// Drives the relay once and does what it says.
    pub fn turn(&mut self) -> bool {
        let server = self.leg.as_mut().map(|leg| leg as &mut dyn Leg);
        let mut next = self.relay.drive(&mut self.near, server, self.now, &mut self.scratch);
        loop {
            match next {
                Next::Wait => return false,
                Next::Again => return true,
                Next::Connect(wanted) => {
                    self.connects.push(wanted);
                    self.leg = None;
                    if !self.open {
                        next = self.relay.refused(self.now);
                        continue;
                    }
                    let opened = if let Some((leg, server, kept)) = self.free.pop() {
                        (self.leg, self.server) = (Some(leg), Some(server));
                        Opened::Kept(kept)
                    } else {
                        let (leg, server) = wire();
                        (self.leg, self.server) = (Some(leg), Some(server));
                        Opened::New { preface: self.preface.clone(), server: [127, 0, 0, 1].into() }
                    };
                    self.relay.connected(opened);
                    return true;
                }
                Next::Release(kept) => {
                    let pair = (self.leg.take().unwrap(), self.server.clone().unwrap(), kept);
                    self.free.push(pair);
                    return true;
                }
                Next::Ended(how) => {
                    self.end = Some(how);
                    return false;
                }
            }
        }
    }

    /// Until nothing moves.
    pub fn run(&mut self) {
        for _ in 0..10_000 {
            self.client.pump();
            let more = self.turn();
            let before = self.client.got.len();
            self.client.pump();
            let moved = self.client.got.len() != before || self.client.tls.wants_write();
            let waits = {
                let wire = self.near.wire.borrow();
                !wire.there.queue.is_empty() && !wire.reset
            };
            if self.end.is_some() || !(more || moved || waits) {
                return;
            }
        }
    }

    pub fn wait(&mut self, time: Duration) {
        self.now += time;
        self.run();
    }

    pub fn server(&mut self) -> &mut WireEnd {
        self.server.as_mut().expect("a server was connected")
    }

    /// What the server has got.
    pub fn served(&mut self) -> String {
        String::from_utf8_lossy(&self.server().take()).into_owned()
    }

    /// The client asks, and the server gets this.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> String {
        self.client.say(request);
        self.run();
        self.served()
    }

    /// The server answers, and the client gets this.
    pub fn answer(&mut self, response: impl AsRef<[u8]>) -> String {
        self.server().write_all(response.as_ref()).unwrap();
        self.client.got.clear();
        self.run();
        self.client.heard()
    }
}

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
