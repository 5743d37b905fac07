//! The program under test, running in a node of a laboratory. When a test fails, what the engine knew and logged is
//! printed with it.

pub mod capture;
pub mod complaints;
pub mod decapsulator;
pub mod guest;
pub mod sctp;
pub mod talk;
pub mod trunk;
pub mod udp;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use lab::node::Node;
use lab::topo::NatLab;
use lab::wait::wait_for;
use serde::Deserialize;

/// How long a condition may take to become true: generous, because machines that run tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The `ulvs` that is tested: `ULVS_BIN`, or else `target/release/ulvs` of this tree.
pub fn binary() -> PathBuf {
    find_binary().unwrap_or_else(|error| panic!("{error}"))
}

/// Runs `ulvs` with these arguments in the node, to its end.
pub fn ulvs<S: AsRef<OsStr>>(node: &Node, args: &[S]) -> Output {
    try_ulvs(node, args).unwrap_or_else(|error| panic!("cannot run ulvs in {node}: {error}"))
}

fn try_ulvs<S: AsRef<OsStr>>(node: &Node, args: &[S]) -> io::Result<Output> {
    node.command(find_binary()?).args(args).stdin(Stdio::null()).output()
}

fn find_binary() -> io::Result<PathBuf> {
    let path = std::env::var_os("ULVS_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/ulvs"), PathBuf::from);
    path.canonicalize().map_err(|error| {
        io::Error::other(format!(
            "the program under test, {}, cannot be used: {error}. Build it with `cargo build --release`, or name \
             another with ULVS_BIN",
            path.display()
        ))
    })
}

/// Standard error and output of a command, as text.
pub fn printed(output: &Output) -> String {
    [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// A running engine. Its node kills it if it is still there when the node goes.
pub struct Engine<'a> {
    node: &'a Node,
    log: PathBuf,
}

/// What `ulvs status --json` says, as far as tests look at it.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    pub pid: i32,
    pub offload: String,
    pub workers: usize,
    pub generation: u64,
    pub services: usize,
    pub connections: u64,
    counters: BTreeMap<String, u64>,
    drops: BTreeMap<String, u64>,
}

impl Status {
    /// A counter of the engine, by its name in `ulvs status`.
    pub fn counter(&self, name: &str) -> u64 {
        *self.counters.get(name).unwrap_or_else(|| panic!("no counter {name:?} in {:?}", self.counters))
    }

    /// Packets dropped for a reason.
    pub fn dropped(&self, reason: &str) -> u64 {
        *self.drops.get(reason).unwrap_or_else(|| panic!("no drop reason {reason:?} in {:?}", self.drops))
    }

    /// The reasons for which packets were dropped, with their counts.
    pub fn drops(&self) -> BTreeMap<&str, u64> {
        self.drops.iter().filter(|(_, n)| **n > 0).map(|(reason, n)| (reason.as_str(), *n)).collect()
    }
}

impl<'a> Engine<'a> {
    /// `ulvs run --detach` and these arguments, on the laboratory's director.
    pub fn start(lab: &'a NatLab, args: &[&str]) -> Self {
        Self::start_on(&lab.director, lab.state_dir(), args)
    }

    /// The same on any node; the log goes to `dir`.
    pub fn start_on(node: &'a Node, dir: &Path, args: &[&str]) -> Self {
        let engine = Self { node, log: dir.join("ulvs.log") };
        let log = engine.log.to_str().unwrap();
        // A device without offload is for the TUN port alone: with `ULVS_PORT=packet` the rest of a test still is for that.
        let plain = args.windows(2).any(|pair| pair == ["--offload", "off"]);
        let port: &[_] = if plain { &["--port", "tun"] } else { &[] };
        let output = ulvs(node, &[&["run", "--detach", "--log", log], port, args].concat());
        assert!(output.status.success(), "`ulvs run` failed: {}", printed(&output));
        engine
    }

    /// One that was started otherwise.
    pub fn attach(node: &'a Node, log: PathBuf) -> Self {
        Self { node, log }
    }

    /// The file that it logs to.
    pub fn log_path(&self) -> &str {
        self.log.to_str().unwrap()
    }

    /// Runs `ulvs` with a line of arguments (separated by single spaces) and returns what it wrote to standard
    /// output. It has to succeed.
    pub fn ulvs(&self, line: &str) -> String {
        let output = self.try_ulvs(line);
        assert!(output.status.success(), "`ulvs {line}` failed: {}", printed(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, whatever comes of it.
    pub fn try_ulvs(&self, line: &str) -> Output {
        ulvs(self.node, &line.split(' ').collect::<Vec<_>>())
    }

    /// Adds a service (`proto` is `tcp` or `udp`) with NAT servers of these weights.
    pub fn service(&self, proto: &str, vip: SocketAddr, scheduler: &str, servers: &[(SocketAddr, u32)]) {
        let flag = flag(proto);
        self.ulvs(&format!("ipvsadm -A {flag} {vip} -s {scheduler}"));
        for (server, weight) in servers {
            self.ulvs(&format!("ipvsadm -a {flag} {vip} -r {server} -m -w {weight}"));
        }
    }

    pub fn status(&self) -> Status {
        let text = self.ulvs("status --json");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// The rows of `ipvsadm -Lnc` in one of the states, such as `ESTABLISHED`.
    pub fn connections(&self, state: &str) -> usize {
        let listing = self.ulvs("ipvsadm -Lnc");
        listing.lines().filter(|line| line.split_whitespace().nth(2) == Some(state)).count()
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Waits until the log has this text.
    pub fn wait_for_log(&self, text: &str) {
        let what = format!("{text:?} in the log");
        if let Err(error) = wait_for(&what, PATIENCE, || self.log().contains(text).then_some(())) {
            panic!("{error}");
        }
    }

    /// Sends the engine a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let pid = self.status().pid.to_string();
        self.node.exec(&["kill", &format!("-{name}"), &pid]).unwrap();
    }

    /// `ulvs stop`: the host is as it was when this returns.
    pub fn stop(self) {
        self.ulvs("stop");
    }
}

impl Drop for Engine<'_> {
    #[expect(clippy::print_stderr, reason = "what a failed test says")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        eprintln!("---- {} when the test failed", self.node);
        for line in ["status", "ipvsadm -Ln --stats", "ipvsadm -Lnc"] {
            let words: Vec<_> = line.split(' ').collect();
            let text = try_ulvs(self.node, &words).map_or_else(|error| error.to_string(), |o| printed(&o));
            let shown: Vec<_> = text.lines().take(40).collect();
            eprintln!("ulvs {line}\n{}\n", shown.join("\n"));
        }
        eprintln!("log\n{}----", self.log());
    }
}

/// The option of `ipvsadm` that names a service of this protocol.
pub fn flag(proto: &str) -> &'static str {
    match proto {
        "tcp" => "-t",
        "udp" => "-u",
        other => panic!("no services of {other}"),
    }
}

#[test]
fn an_engine_starts_tells_and_stops() {
    let lab = NatLab::new(&lab::topo::NatOptions::default()).unwrap();
    let engine = Engine::start(&lab, &["--workers", "1"]);
    let vip = lab.vip.port(lab::addr::Family::V4, 80);
    engine.service("tcp", vip, "rr", &[(lab.server_port(0, lab::addr::Family::V4, 80), 1)]);
    let status = engine.status();
    assert_eq!((status.workers, status.services, status.connections), (1, 1, 0));
    assert_eq!(status.counter("super-packets"), 0);
    assert_eq!(status.dropped("truncated"), 0);
    assert!(engine.log().contains("ready"));
    engine.stop();
}
