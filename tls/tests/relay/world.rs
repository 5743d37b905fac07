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
use tls::ca::{Authority, Key, KeyKind, Name, Order, Pair, Subject, Usage};
use tls::provider;
use tls::{Accept, Counters, Leg, Next, NoSuchName, Opened, Relay, Scratch, Terms, Timeouts, Who};

use crate::wire::{WireEnd, wire};

pub(crate) const NAME: &str = "www.example";

/// An authority called `name`.
pub(crate) fn new_authority(name: &str) -> Pair {
    let subject = Subject::new(Some(name), None).unwrap();
    Authority::create(&subject, KeyKind::by_name("ecdsa-p256").unwrap(), 30, SystemTime::now()).unwrap()
}

/// An authority, and a server's certificate of it.
fn authority() -> &'static (Pair, Pair) {
    static CA: OnceLock<(Pair, Pair)> = OnceLock::new();
    CA.get_or_init(|| {
        let pair = new_authority("ca.example");
        let key = Key::read(pair.key_pem.as_bytes()).unwrap();
        let ca = Authority::load(pair.cert_pem.as_bytes(), key).unwrap();
        let subject = Subject::new(None, None).unwrap();
        let order = Order { usage: Usage::Server, subject, names: vec![Name::dns(NAME).unwrap()], days: 30 };
        let (_, server) =
            ca.issue(&order, KeyKind::by_name("ecdsa-p256").unwrap(), SystemTime::now()).unwrap();
        (pair, server)
    })
}

fn pair() -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let (_, issued) = authority();
    let cert = CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap();
    (vec![cert], PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap())
}

fn roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority().0.cert_pem.as_bytes()).unwrap()).unwrap();
    Arc::new(roots)
}

/// A server's configuration, for the front or for a server that speaks TLS itself.
pub(crate) fn server_config(alpn: &[&[u8]], ask: bool) -> ServerConfig {
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

pub(crate) fn client_config(version: &'static SupportedProtocolVersion, alpn: &[&[u8]]) -> ClientConfig {
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    let mut config = config.with_root_certificates(roots()).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config
}

/// A front that knows one name.
pub(crate) struct Front {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) asks: bool,
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
pub(crate) fn terms() -> Terms {
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

pub(crate) fn http_terms() -> Terms {
    Terms { http: true, forwarded: true, ..terms() }
}

/// A client that speaks TLS.
pub(crate) struct Client {
    pub(crate) tls: ClientConnection,
    pub(crate) leg: WireEnd,
    pub(crate) got: Vec<u8>,
    pub(crate) error: Option<String>,
    /// The end was said in TLS.
    pub(crate) ended: bool,
}

impl Client {
    /// Moves what can be moved between TLS and the wire.
    pub(crate) fn pump(&mut self) {
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

    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.tls.writer().write_all(bytes.as_ref()).unwrap();
        self.pump();
    }

    pub(crate) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.got).into_owned()
    }
}

/// All of it.
pub(crate) struct World {
    pub(crate) relay: Relay,
    pub(crate) counters: Arc<Counters>,
    pub(crate) client: Client,
    pub(crate) near: WireEnd,
    /// The server's leg, and the server.
    pub(crate) leg: Option<WireEnd>,
    pub(crate) server: Option<WireEnd>,
    pub(crate) preface: Vec<u8>,
    /// Servers take connections.
    pub(crate) open: bool,
    pub(crate) connects: Vec<tls::Wanted>,
    pub(crate) free: Vec<(WireEnd, WireEnd, tls::Kept)>,
    pub(crate) now: Instant,
    pub(crate) end: Option<tls::How>,
    pub(crate) scratch: Scratch,
}

impl World {
    pub(crate) fn new(terms: impl Into<Arc<Terms>>, client: ClientConfig) -> Self {
        Self::named(terms, client, NAME)
    }

    pub(crate) fn named(terms: impl Into<Arc<Terms>>, config: ClientConfig, name: &'static str) -> Self {
        let now = Instant::now();
        let terms = terms.into();
        let counters = terms.counters.clone();
        let (far, near) = wire();
        let mut tls = ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
        tls.set_buffer_limit(None);
        let who = Who { client: addr("192.0.2.7:40000"), vip: addr("203.0.113.1:443") };
        Self {
            relay: Relay::new(terms, who, now),
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
    pub(crate) fn established(terms: impl Into<Arc<Terms>>) -> Self {
        let mut world = Self::new(terms, client_config(&rustls::version::TLS13, &[]));
        world.run();
        assert!(!world.client.tls.is_handshaking());
        world
    }

    /// Drives the relay once and does what it says.
    pub(crate) fn turn(&mut self) -> bool {
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
    pub(crate) fn run(&mut self) {
        loop {
            self.client.pump();
            let before = self.moved();
            let more = self.turn();
            self.client.pump();
            if self.end.is_some() || !(more || self.moved() != before) {
                return;
            }
        }
    }

    /// Something that changes when anything moves.
    fn moved(&self) -> impl PartialEq + use<> {
        let near = self.near.wire.borrow();
        let far = self.leg.as_ref().map(|leg| {
            let wire = leg.wire.borrow();
            (wire.there.queue.len(), wire.back.queue.len(), wire.there.fin, wire.reset)
        });
        (near.there.queue.len(), near.back.queue.len(), near.back.fin, near.reset, self.client.got.len(), far)
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.run();
    }

    pub(crate) fn server(&mut self) -> &mut WireEnd {
        self.server.as_mut().expect("a server was connected")
    }

    /// What the server has got.
    pub(crate) fn served(&mut self) -> String {
        String::from_utf8_lossy(&self.server().take()).into_owned()
    }

    /// The client asks, and the server gets this.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> String {
        self.client.say(request);
        self.run();
        self.served()
    }

    /// The server answers, and the client gets this.
    pub(crate) fn answer(&mut self, response: impl AsRef<[u8]>) -> String {
        self.server().write_all(response.as_ref()).unwrap();
        self.client.got.clear();
        self.run();
        self.client.heard()
    }
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
