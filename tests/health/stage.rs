//! A laboratory with web servers that can be made to fail, and clients who notice everything.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use lab::addr::Family;
use lab::node::{Child, Node};
use lab::topo::{DirectLab, DirectOptions, NatLab, NatOptions};
use lab::wait::wait_for;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Engine, PATIENCE};

/// How director and servers are wired.
pub enum Wiring {
    Nat(NatLab),
    Direct(DirectLab),
}

/// Two web servers behind a VIP.
pub struct Stage {
    wiring: Wiring,
    method: &'static str,
    pub webs: [Web; 2],
}

impl Stage {
    pub fn nat() -> Self {
        Self::new(Wiring::Nat(NatLab::new(&NatOptions::default()).unwrap()), "nat")
    }

    pub fn direct() -> Self {
        Self::new(Wiring::Direct(DirectLab::new(&DirectOptions::default()).unwrap()), "dr")
    }

    /// Servers behind a router, who have the VIP and take nothing out of tunnels.
    pub fn tunnel() -> Self {
        let options = DirectOptions { server_path: vec![1500], ..DirectOptions::default() };
        Self::new(Wiring::Direct(DirectLab::new(&options).unwrap()), "tunnel")
    }

    fn new(wiring: Wiring, method: &'static str) -> Self {
        let servers = match &wiring {
            Wiring::Nat(lab) => &lab.servers,
            Wiring::Direct(lab) => &lab.servers,
        };
        let client = match &wiring {
            Wiring::Nat(lab) => lab.client_addr,
            Wiring::Direct(lab) => lab.client_addr,
        };
        for server in servers {
            // What comes from clients, before anything in the server can drop it: checks come from the director. A reset
            // in a client's name tells the server that its connection is over.
            let rule = |flags: &str| {
                let from = client.v4;
                format!("; add rule ip watch clients ip saddr {from} tcp dport 80 tcp flags {flags} counter")
            };
            let chain = "add table ip watch; \
                         add chain ip watch clients { type filter hook prerouting priority -400; }";
            let rules = [chain, &rule("& (syn | rst) == syn"), &rule("& rst == 0")].concat();
            server.exec(&["nft", &rules]).unwrap();
        }
        let webs = [Web::new(&servers[0]), Web::new(&servers[1])];
        Self { wiring, method, webs }
    }

    pub fn client(&self) -> &Node {
        match &self.wiring {
            Wiring::Nat(lab) => &lab.client,
            Wiring::Direct(lab) => &lab.client,
        }
    }

    pub fn director(&self) -> &Node {
        match &self.wiring {
            Wiring::Nat(lab) => &lab.director,
            Wiring::Direct(lab) => &lab.director,
        }
    }

    pub fn server(&self, index: usize) -> &Node {
        match &self.wiring {
            Wiring::Nat(lab) => &lab.servers[index],
            Wiring::Direct(lab) => &lab.servers[index],
        }
    }

    /// The switch that a server is plugged into, and the port.
    pub fn plug(&self, index: usize) -> (&Node, String) {
        match &self.wiring {
            Wiring::Nat(lab) => (lab.switch().unwrap(), format!("port{}", index + 1)),
            Wiring::Direct(lab) => (&lab.switches[0], self.server(index).name().to_owned()),
        }
    }

    pub fn vip(&self) -> SocketAddr {
        match &self.wiring {
            Wiring::Nat(lab) => lab.vip.port(Family::V4, 80),
            Wiring::Direct(lab) => lab.vip.port(Family::V4, 80),
        }
    }

    pub fn address(&self, index: usize) -> IpAddr {
        match &self.wiring {
            Wiring::Nat(lab) => lab.server_addrs[index].of(Family::V4),
            Wiring::Direct(lab) => lab.server_addrs[index].of(Family::V4),
        }
    }

    /// What comes to a server's port 80 is dropped, or rejected.
    pub fn rule(&self, index: usize, verdict: &str) {
        let rules = format!(
            "add table ip fault; add chain ip fault incoming {{ type filter hook input priority 0; }}; \
             add rule ip fault incoming tcp dport 80 {verdict}"
        );
        self.server(index).exec(&["nft", &rules]).unwrap();
    }

    /// No more.
    pub fn no_rule(&self, index: usize) {
        self.server(index).exec(&["nft", "delete table ip fault"]).unwrap();
    }

    pub fn state_dir(&self) -> &Path {
        match &self.wiring {
            Wiring::Nat(lab) => lab.state_dir(),
            Wiring::Direct(lab) => lab.state_dir(),
        }
    }

    /// An engine with a service of both servers, one check, and more of what is said of each server.
    pub fn balance(&self, scheduler: &str, check: &str, server: &str) -> Engine<'_> {
        self.serve(scheduler, &format!("[[service.check]]\n{TIMES}\n{check}\n"), server)
    }

    /// An engine with a service of both servers, these tables of it, and more of what is said of each server.
    pub fn serve(&self, scheduler: &str, tables: &str, server: &str) -> Engine<'_> {
        let (dir, method) = (self.state_dir(), self.method);
        let servers = [0, 1].map(|index| {
            format!(
                "[[service.server]]\naddress = \"{}\"\nmethod = \"{method}\"\n{server}\n",
                self.address(index)
            )
        });
        let text = format!(
            "[[service]]\nvip = \"{}\"\nports = [\"tcp/80\"]\nscheduler = \"{scheduler}\"\n{tables}\n{}",
            self.vip().ip(),
            servers.concat()
        );
        let path = dir.join("ulvs.toml");
        std::fs::write(&path, text).unwrap();
        Engine::start_on(self.director(), dir, &["--config", path.to_str().unwrap()])
    }

    /// Whether the engine has a server in force.
    pub fn has(&self, engine: &Engine<'_>, index: usize) -> bool {
        engine.ulvs("ipvsadm -Ln").contains(&format!("-> {}:80 ", self.address(index)))
    }

    /// What `ulvs health` says of the service.
    pub fn health(&self, engine: &Engine<'_>) -> Value {
        let list: Value = serde_json::from_str(&engine.ulvs("health --json")).unwrap();
        list["services"][0].clone()
    }

    /// Waits until a server is taken for this.
    pub fn wait_for_state(&self, engine: &Engine<'_>, index: usize, state: &str) {
        let what = format!("server {} to be {state}", index + 1);
        let is = || (self.health(engine)["servers"][index]["state"] == state).then_some(());
        wait_for(&what, PATIENCE, is).unwrap_or_else(|e| panic!("{e}\n{}", engine.ulvs("health")));
    }

    /// Waits until a server is in force, or is not. What that took.
    pub fn wait_for(&self, engine: &Engine<'_>, index: usize, there: bool) -> Duration {
        let began = Instant::now();
        let what = format!("server {} to be {}", index + 1, if there { "there" } else { "gone" });
        wait_for(&what, PATIENCE, || (self.has(engine, index) == there).then_some(())).unwrap();
        began.elapsed()
    }

    /// Connections that the client has begun with a server, and all of its packets that have come there, resets aside.
    pub fn met(&self, index: usize) -> Met {
        let rules = self.server(index).exec(&["nft", "list", "chain", "ip", "watch", "clients"]).unwrap();
        let mut counts = rules.split("counter packets ").skip(1).map(|rest| rest.split(' ').next().unwrap());
        let mut count = || counts.next().unwrap_or_else(|| panic!("no counter in {rules}")).parse().unwrap();
        Met { begun: count(), packets: count() }
    }

    /// A client that asks for a page.
    pub fn ask(&self) -> std::io::Result<String> {
        let vip = self.vip();
        self.client().run(|| ask(vip)).unwrap()
    }

    /// Does something while clients ask for pages all the time.
    pub fn under_load<T>(&self, body: impl FnOnce(&Load) -> T) -> T {
        let load = Load::default();
        let vip = self.vip();
        thread::scope(|scope| {
            let _stop = Stop(&load.over);
            for _ in 0..4 {
                scope.spawn(|| self.client().run(|| load.work(vip)).unwrap());
            }
            body(&load)
        })
    }
}

/// How a check asks, and how long it takes to be sure.
const TIMES: &str =
    "interval = \"200ms\"\nfast_interval = \"100ms\"\ntimeout = \"500ms\"\nfall = 3\nrise = 2";
/// The longest until a server is dead whose answers are failures at once: the first question comes within an interval,
/// the others follow fast.
pub const REFUSED: Duration = Duration::from_millis(200 + 2 * 100);
/// The same where nothing comes back: each question lasts for the timeout.
pub const SILENT: Duration = Duration::from_millis(200 + 3 * 500);
/// The longest until a server is alive again: twice the right answer.
pub const BACK: Duration = Duration::from_millis(500 + 200 + 100);
/// How much longer things may take on a machine that is busy with other tests.
pub const SLACK: Duration = Duration::from_secs(2);

/// Ends the load, whatever becomes of the test.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Clients, each of whom asks for a page on a connection of its own, and again.
#[derive(Default)]
pub struct Load {
    over: AtomicBool,
    requests: Mutex<Vec<Request>>,
}

/// A request that has ended.
#[derive(Clone, Debug)]
pub struct Request {
    pub begun: Instant,
    /// The server's name, or what went wrong.
    pub answer: Result<String, String>,
}

impl Load {
    fn work(&self, vip: SocketAddr) {
        while !self.over.load(Relaxed) {
            let begun = Instant::now();
            let answer = ask(vip).map_err(|error| error.to_string());
            self.requests.lock().unwrap().push(Request { begun, answer });
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Those that were begun from then on, and have ended.
    pub fn since(&self, then: Instant) -> Vec<Request> {
        self.requests.lock().unwrap().iter().filter(|request| request.begun >= then).cloned().collect()
    }

    /// Lets clients ask for a while from now on. How many had their answer from each server; nobody had none.
    pub fn answers(&self, time: Duration) -> [usize; 2] {
        let began = Instant::now();
        thread::sleep(time);
        let requests = self.since(began);
        let lost: Vec<_> = requests.iter().filter(|request| request.answer.is_err()).collect();
        assert!(lost.is_empty(), "{} of {} requests were lost: {lost:?}", lost.len(), requests.len());
        ["server1", "server2"].map(|name| requests.iter().filter(|r| r.answer.as_deref() == Ok(name)).count())
    }
}

fn ask(vip: SocketAddr) -> std::io::Result<String> {
    let patience = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&vip, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"GET /page HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(std::io::Error::other(format!("the answer was {answer:?}"))),
    }
}

/// What has come to a server from clients.
#[derive(Clone, Copy, Debug)]
pub struct Met {
    pub begun: u64,
    pub packets: u64,
}

/// A web server: a process of its own, so that it can be killed.
pub struct Web {
    dir: TempDir,
    process: Mutex<Option<Child>>,
}

impl Web {
    fn new(node: &Node) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let web = Self { dir, process: Mutex::new(None) };
        web.put("page", node.name());
        web.put("health", "all is OK here\n");
        web.certificate(30);
        web.start(node);
        web
    }

    /// Starts it; it answers when this returns.
    pub fn start(&self, node: &Node) {
        let mut command = node.command("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/health/web.py")).arg(self.dir.path());
        let child = node.spawn(command.stdin(Stdio::null())).unwrap();
        *self.process.lock().unwrap() = Some(child);
        let own = SocketAddr::from(([127, 0, 0, 1], 80));
        let answers = || node.run(|| ask(own)).unwrap().ok().map(drop);
        wait_for("a web server", PATIENCE, answers).unwrap();
    }

    /// Sends it a signal, such as `KILL`.
    pub fn signal(&self, node: &Node, name: &str) {
        let pid = self.process.lock().unwrap().as_ref().map(|child| child.id().to_string()).unwrap();
        node.exec(&["kill", "-s", name, &pid]).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of it, at once.
    pub fn put(&self, name: &str, text: &str) {
        let next = self.path("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, self.path(name)).unwrap();
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    /// Gives it a certificate that is good for so many days; one of -1 has expired.
    pub fn certificate(&self, days: i32) {
        let script = format!(
            "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out request -subj /CN=web &&
             openssl x509 -req -in request -signkey key -days {days} -out certificate &&
             cat certificate key > next && mv next site.pem"
        );
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", &script]).current_dir(self.dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", crate::support::printed(&output));
    }
}
