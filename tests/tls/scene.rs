//! A laboratory in which TLS ends at the director, once by the host's TCP and once by our own; and the clients that speak
//! to it: curl, openssl, Python, and bytes of a test's own.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Output, Stdio};
use std::thread;
use std::time::Duration;

use lab::addr::Family;
use lab::client;
use lab::serve::Http;
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;
use serde_json::Value;

use crate::support::{Engine, PATIENCE, printed, ulvs};

/// Whose TCP clients speak with.
pub const STACKS: [&str; 2] = ["kernel", "userspace"];

/// The directory of the authority and of everything that it has issued, and a service whose servers speak HTTP.
pub struct Scene<'a> {
    pub lab: &'a NatLab,
    pub engine: &'a Engine<'a>,
    pub stack: &'static str,
    pub vip: SocketAddr,
    pub dir: &'a str,
}

/// Runs a case over both stacks, each in a laboratory of its own. A failure names the stack as its thread.
pub fn both(case: impl Fn(&Scene<'_>) + Sync) {
    both_over(Family::V4, case);
}

/// The same over a family.
pub fn both_over(family: Family, case: impl Fn(&Scene<'_>) + Sync) {
    thread::scope(|scope| {
        for stack in STACKS {
            let case = &case;
            let builder = thread::Builder::new().name(stack.to_owned());
            // One after the other: a laboratory at a time is load enough.
            let outcome = builder.spawn_scoped(scope, move || one(stack, family, case)).unwrap().join();
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

/// Runs a case over one stack.
pub fn one(stack: &'static str, family: Family, case: impl Fn(&Scene<'_>)) {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let _servers: Vec<_> = lab.servers.iter().map(|server| Http::start(server, 80).unwrap()).collect();
    let dir = lab.state_dir().to_str().unwrap();
    let engine = Engine::start(&lab, &[]);
    let vip = lab.vip.port(family, 443);
    let servers = [0, 1].map(|index| (lab.server_port(index, family, 80), 1));
    engine.service("tcp", vip, "rr", &servers);
    let scene = Scene { lab: &lab, engine: &engine, stack, vip, dir };
    scene.ca("init");
    case(&scene);
    engine.stop();
}

impl Scene<'_> {
    /// `ulvs ca` and these words, in the directory.
    pub fn ca(&self, line: &str) {
        self.ca_at(self.dir, line);
    }

    /// The same of another authority.
    pub fn ca_at(&self, dir: &str, line: &str) {
        let line = format!("ca {line} --dir {dir}");
        let output = ulvs(&self.lab.director, &line.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "ulvs {line}: {}", printed(&output));
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// A certificate for a name, and the options that name the pair.
    pub fn pair(&self, name: &str, options: &str) -> String {
        self.ca(&format!("issue --dns {name} --out {}{options}", self.path(name)));
        self.pair_files(name)
    }

    /// Another pair for a name, in the files NAME.new.*.
    pub fn issue_new(&self, name: &str) {
        self.ca(&format!("issue --dns {name} --key ed25519 --out {}", self.path(&format!("{name}.new"))));
    }

    /// Runs a line of a shell on the client that has to succeed: what it says.
    pub fn shell(&self, line: &str) -> String {
        let output = self.sh(line);
        assert!(output.status.success(), "{line}: {}", printed(&output));
        printed(&output)
    }

    /// The options that name a pair that is there.
    pub fn pair_files(&self, name: &str) -> String {
        format!("--cert {0}.crt --key {0}.key", self.path(name))
    }

    /// `ulvs tls add` with these options.
    pub fn add(&self, options: &str) {
        self.engine.ulvs(&self.add_line(options));
    }

    /// The same, which has to be refused: the message.
    pub fn add_refused(&self, options: &str) -> String {
        let output = self.engine.try_ulvs(&self.add_line(options));
        assert_eq!(output.status.code(), Some(1), "{options}: {}", printed(&output));
        printed(&output)
    }

    fn add_line(&self, options: &str) -> String {
        format!("tls add tcp/{} --stack {} {options}", self.vip, self.stack)
    }

    /// All about the front.
    pub fn show(&self) -> Value {
        let text = self.engine.ulvs(&format!("tls show tcp/{} --json", self.vip));
        serde_json::from_str(&text).unwrap()
    }

    /// The counters of the front that are not 0.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let counters: BTreeMap<String, u64> =
            serde_json::from_value(self.show()["counters"].clone()).unwrap();
        counters.into_iter().filter(|(_, n)| *n > 0).collect()
    }

    /// One of them.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters().get(name).copied().unwrap_or_default()
    }

    /// Waits until a counter has this value: what is counted may be counted after the client has its answer.
    pub fn wait_counter(&self, name: &str, value: u64) {
        let wait = wait_for(name, PATIENCE, || (self.counter(name) == value).then_some(()));
        wait.unwrap_or_else(|error| panic!("{error}: {:?}", self.counters()));
    }

    /// Waits until nobody is served.
    pub fn wait_idle(&self) {
        let wait =
            wait_for("the end of all sessions", PATIENCE, || (self.show()["sessions"] == 0).then_some(()));
        wait.unwrap_or_else(|error| panic!("{error}: {}", self.show()));
        assert_eq!(self.counter("handshakes-open"), 0);
    }

    /// Runs a line of a shell on the client, in the directory, with `VIP` and `AT` (with its port).
    pub fn sh(&self, line: &str) -> Output {
        let mut command = self.lab.client.command("timeout");
        command.args(["60", "sh", "-c", line]).current_dir(self.dir).stdin(Stdio::null());
        command.env("VIP", self.vip.ip().to_string()).env("AT", self.vip.to_string()).output().unwrap()
    }

    /// curl to https://NAME/: what it says on both.
    pub fn try_curl(&self, name: &str, options: &str) -> Output {
        let (port, ip) = (self.vip.port(), self.vip.ip());
        self.sh(&format!(
            "curl --silent --show-error --fail --max-time 30 --cacert ca.crt --resolve '{name}:{port}:{ip}' \
             {options} https://{name}:{port}/"
        ))
    }

    /// The same, which has to succeed: the page.
    pub fn curl(&self, name: &str, options: &str) -> String {
        let output = self.try_curl(name, options);
        assert!(output.status.success(), "curl {options} {name}: {}", printed(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A page of one of the servers.
    pub fn works(&self, name: &str, options: &str) {
        let page = self.curl(name, options);
        assert!(page.starts_with("server"), "{page:?}");
    }

    /// openssl's client asks for a page and waits for the end: what it says on both.
    pub fn s_client(&self, options: &str) -> String {
        printed(&self.sh(&format!(
            "printf 'GET / HTTP/1.1\\r\\nHost: one.example\\r\\nConnection: close\\r\\n\\r\\n' | \
             openssl s_client -connect $AT -CAfile ca.crt -ign_eof {options}"
        )))
    }

    /// A connection of TCP to the VIP.
    pub fn connect(&self) -> TcpStream {
        let stream = client::connect(&self.lab.client, self.vip).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// What the director answers to these bytes, until it says its end.
    pub fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        // It may have heard enough before it has heard all.
        let _ = stream.write_all(bytes);
        to_the_end(&mut stream)
    }
}

/// Everything up to the end, be it FIN or RST; and says the own end then.
pub fn to_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} after {all:02x?}"),
    }
    all
}
