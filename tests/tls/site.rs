//! A laboratory with a certificate, and a client of TLS that says exactly how a connection ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use lab::addr::Family;
use lab::client::{self, Connection};
use lab::node::Node;
use lab::topo::NatOptions;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::scene::Scene;
use crate::support::{Engine, printed, ulvs};

/// The name in the certificate, beside the VIP's addresses.
pub const NAME: &str = "www.example";
pub const HTTPS: u16 = 443;

/// A laboratory whose servers have plain HTTP on port 80, with an authority and a certificate in its directory.
pub struct Site {
    pub scene: Scene,
    pub stack: &'static str,
    pub dir: String,
}

impl Site {
    pub fn new(stack: &'static str, options: &NatOptions) -> Self {
        let scene = Scene::new(options);
        let dir = scene.lab.state_dir().to_str().unwrap().to_owned();
        let site = Self { scene, stack, dir };
        site.ca("init");
        let vip = site.scene.lab.vip;
        site.ca(&format!("issue --dns {NAME} --ip {} --ip {} --out {}/site", vip.v4, vip.v6, site.dir));
        site
    }

    /// `ulvs ca` in the directory.
    pub fn ca(&self, line: &str) {
        let line = format!("ca {line} --dir {}", self.dir);
        let output = ulvs(self.scene.director(), &line.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{line}: {}", printed(&output));
    }

    pub fn engine(&self) -> Engine<'_> {
        Engine::start(&self.scene.lab, &["--workers", "2"])
    }

    /// https of the VIP.
    pub fn vip(&self, family: Family) -> SocketAddr {
        self.scene.lab.vip.port(family, HTTPS)
    }

    /// The options of `ulvs tls add` that every front here has.
    pub fn front(&self) -> String {
        format!("--cert {0}/site.crt --key {0}/site.key --stack {1}", self.dir, self.stack)
    }

    /// A service of https whose scheduler, and more, is given, with all servers on this port, in this family. Returns
    /// its address.
    pub fn serve(
        &self,
        engine: &Engine<'_>,
        family: Family,
        port: u16,
        scheduler: &str,
        tls: &str,
    ) -> SocketAddr {
        let vip = self.vip(family);
        engine.ulvs(&format!("ipvsadm -A -t {vip} -s {scheduler}"));
        for index in 0..self.scene.lab.servers.len() {
            let server = self.scene.lab.server_port(index, family, port);
            engine.ulvs(&format!("ipvsadm -a -t {vip} -r {server} -m"));
        }
        let tls = if tls.is_empty() { String::new() } else { format!(" {tls}") };
        engine.ulvs(&format!("tls add tcp/{vip} {}{tls}", self.front()));
        vip
    }

    /// A client that trusts the authority.
    pub fn client(&self) -> Client<'_> {
        self.client_on(&self.scene.lab.client)
    }

    pub fn client_on<'a>(&self, node: &'a Node) -> Client<'a> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(format!("{}/ca.crt", self.dir)).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        Client { node, config: Arc::new(config) }
    }

    /// curl on the client, with the authority and these options. What it has printed, standard error first.
    pub fn curl(&self, options: &[&str]) -> String {
        let mut command = self.scene.lab.client.command("curl");
        command.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]);
        command.arg(format!("{}/ca.crt", self.dir)).args(options);
        printed(&command.output().unwrap())
    }
}

/// A counter of the front of this service.
pub fn counter(engine: &Engine<'_>, service: SocketAddr, name: &str) -> u64 {
    let front = listed(engine, service);
    front["counters"][name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {front:#}"))
}

/// The sessions that it has at present.
pub fn sessions(engine: &Engine<'_>, service: SocketAddr) -> u64 {
    listed(engine, service)["sessions"].as_u64().unwrap()
}

fn listed(engine: &Engine<'_>, service: SocketAddr) -> Value {
    let list: Value = serde_json::from_str(&engine.ulvs("tls list --json")).unwrap();
    let fronts = list["fronts"].as_array().unwrap();
    let is_it = |addr: &Value| addr["vip"] == service.ip().to_string() && addr["l4_port"] == service.port();
    let front = fronts.iter().find(|front| is_it(&front["service"]["addr"]));
    front.unwrap_or_else(|| panic!("no front of {service} in {list:#}")).clone()
}

/// Clients of TLS on a machine.
pub struct Client<'a> {
    node: &'a Node,
    config: Arc<ClientConfig>,
}

impl Client<'_> {
    /// The first session of somebody who has none to resume, its handshake complete.
    pub fn open(&self, at: SocketAddr) -> Session {
        self.try_open(at).unwrap_or_else(|error| panic!("{at}: {error:#}"))
    }

    pub fn try_open(&self, at: SocketAddr) -> anyhow::Result<Session> {
        self.over(client::connect(self.node, at)?, at)
    }

    /// On a connection that is there already.
    pub fn over(&self, stream: std::net::TcpStream, at: SocketAddr) -> anyhow::Result<Session> {
        let name = ServerName::from(at.ip());
        let tls = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut session = Session(StreamOwned::new(tls, stream));
        while session.0.conn.is_handshaking() {
            session.0.conn.complete_io(&mut session.0.sock)?;
        }
        Ok(session)
    }

    /// The same for requests.
    pub fn http(&self, at: SocketAddr) -> Connection<Session> {
        Connection::over(self.open(at), at)
    }

    /// What a page of its own connection says.
    pub fn get(&self, at: SocketAddr, path: &str) -> String {
        self.http(at).get(path).unwrap_or_else(|error| panic!("{path} of {at}: {error:#}")).body
    }

    /// The answer to this, up to the end of the session, which has to be clean.
    pub fn ask(&self, at: SocketAddr, request: &str) -> String {
        let mut session = self.open(at);
        session.say(request.as_bytes());
        let (answer, end) = session.rest();
        assert_eq!(end, End::Clean, "after {answer:?}");
        answer
    }
}

/// How the other side has ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `close_notify`, and TCP's end.
    Clean,
    /// TCP's end alone.
    Cut,
    /// TCP's reset.
    Reset,
}

/// A session from the client's side.
#[derive(Debug)]
pub struct Session(StreamOwned<ClientConnection, std::net::TcpStream>);

impl Session {
    pub fn local_addr(&self) -> SocketAddr {
        self.0.sock.local_addr().unwrap()
    }

    pub fn socket(&self) -> &std::net::TcpStream {
        &self.0.sock
    }

    pub fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).and_then(|()| self.0.flush()).unwrap();
    }

    /// So many bytes.
    pub fn hear(&mut self, len: usize) -> String {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Up to and with this.
    pub fn hear_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            text += &self.hear(1);
        }
        text
    }

    /// All that still comes, and how it ends.
    pub fn rest(&mut self) -> (String, End) {
        let mut bytes = Vec::new();
        let end = match self.0.read_to_end(&mut bytes) {
            Ok(_) => {
                assert_eq!(self.0.sock.read(&mut [0]).unwrap(), 0, "after close_notify there is FIN");
                End::Clean
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => End::Cut,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
        };
        (String::from_utf8_lossy(&bytes).into_owned(), end)
    }

    /// `close_notify` and FIN: it has nothing more to say, and listens.
    pub fn end(&mut self) {
        self.0.conn.send_close_notify();
        while self.0.conn.wants_write() {
            self.0.conn.write_tls(&mut self.0.sock).unwrap();
        }
        self.0.sock.shutdown(Shutdown::Write).unwrap();
    }

    /// FIN alone.
    pub fn cut(&self) {
        self.0.sock.shutdown(Shutdown::Write).unwrap();
    }

    /// A reset, at once.
    pub fn reset(self) {
        socket2::SockRef::from(&self.0.sock).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Session {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
