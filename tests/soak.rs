//! A soak: streams and datagrams through servers of every method at once, while somebody edits the services every second.
//! In the end every byte has been right, every packet is accounted for, and the engine needs no more memory than half-way.
//!
//! `SOAK_SECONDS` says how long it takes on each port (`make soak SECONDS=600`), `ULVS_PORT` which one port it is.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use lab::client::Connection;
use lab::node::Node;
use lab::serve::{Http, UdpEcho};
use lab::topo::{DirectLab, DirectOptions};

use crate::scene::FAMILIES;
use crate::support::decapsulator::Decapsulator;
use crate::support::{Engine, talk};

/// Of the servers, in their order. The last one comes and goes.
const METHODS: [&str; 5] = ["-g", "--fullnat", "-i", "-m", "--fullnat"];
const SPARE: usize = METHODS.len() - 1;
const SCHEDULERS: [&str; 8] = ["rr", "wrr", "lc", "wlc", "sed", "nq", "lblc", "wlc"];
/// By what the most memory of the second half may be above that of the first, besides 192 bytes for each connection that it
/// held more.
const FLAT: f64 = (2 << 20) as f64;
/// The same of a run that is over before all that is kept for later use has been made: connections of UDP end after five
/// minutes, and tables grow by huge pages. Frames that nobody gives back are more.
const SHORT: (Duration, f64) = (Duration::from_secs(360), (16 << 20) as f64);

#[test]
fn every_byte_is_right_and_memory_stays_flat_under_edits() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(10, |text| text.parse().unwrap());
    let ports =
        std::env::var("ULVS_PORT").map_or_else(|_| vec!["tun".to_owned(), "packet".to_owned()], |p| vec![p]);
    for port in ports {
        soak(&port, Duration::from_secs(seconds));
    }
}

/// What there was.
#[derive(Default)]
struct Tally {
    streams: AtomicU64,
    bytes: AtomicU64,
    datagrams: AtomicU64,
    over: AtomicBool,
}

fn soak(port: &str, length: Duration) {
    let lab = DirectLab::new(&DirectOptions { servers: METHODS.len(), ..DirectOptions::default() }).unwrap();
    let _servers: Vec<_> =
        lab.servers.iter().zip(METHODS).map(|(node, method)| Server::new(&lab, node, method)).collect();
    let engine = Engine::start_on(&lab.director, lab.state_dir(), &["--workers", "2", "--port", port]);
    for family in FAMILIES {
        for flag in ["-t", "-u"] {
            engine.ulvs(&format!("ipvsadm -A {flag} {} -s rr", lab.vip.port(family, 80)));
        }
    }
    let mut edits = Edits { lab: &lab, engine: &engine, turn: 0, spare: false };
    (0..SPARE).for_each(|server| edits.add(server));

    let (tally, began) = (Tally::default(), Instant::now());
    let mut memory = Vec::new();
    let path = format!("/proc/{}/status", engine.status().pid);
    thread::scope(|scope| {
        // However this ends, so does the traffic.
        let over = Over(&tally.over);
        let (client, tally) = (&lab.client, &tally);
        for family in FAMILIES {
            let vip = lab.vip.port(family, 80);
            for seed in 1..=2 {
                scope.spawn(move || streams(client, vip, seed, tally));
            }
            scope.spawn(move || datagrams(client, vip, tally));
        }
        while began.elapsed() < length && !tally.over.load(Relaxed) {
            let next = began + Duration::from_secs(1) * (edits.turn as u32 + 1);
            thread::sleep(next.saturating_duration_since(Instant::now()));
            edits.next();
            memory.push((resident(&path), 192.0 * engine.status().connections as f64));
        }
        drop(over);
    });
    let (streams, datagrams) = (tally.streams.load(Relaxed), tally.datagrams.load(Relaxed));
    let growth = growth(&memory);
    let status = engine.status();
    say(&format!(
        "{port}: {} edits; {streams} streams, {} MB, {datagrams} datagrams; {:.0} kB of memory, {:.0} kB more in the second half than in \
         the first; drops {:?}",
        edits.turn,
        tally.bytes.load(Relaxed) >> 20,
        memory.last().unwrap().0 / 1024.0,
        growth / 1024.0,
        status.drops(),
    ));
    // Of a busy machine little can be asked.
    let least = length.as_secs() / 5;
    assert!(streams >= least && datagrams >= least, "hardly anything went through");
    let flat = if length < SHORT.0 { SHORT.1 } else { FLAT };
    assert!(growth < flat, "{memory:?}");
    let mut drops = status.drops();
    // The fragments behind a first one that was refused, as too long for the tunnel.
    drops.remove("unanswerable");
    assert_eq!(drops, [].into());
    let sum: u64 = ["transmitted", "replied", "diverted", "passed", "waiting"]
        .map(|name| status.counter(name))
        .iter()
        .sum();
    let sum = sum + status.drops().values().sum::<u64>();
    assert_eq!(status.counter("received"), sum, "a packet is counted twice, or not at all");
    let held = status.counter("connections-created") - status.counter("connections-ended");
    assert_eq!(status.connections, held, "a connection is held by nobody, or let go twice");
    for name in ["unreadable", "unsent", "unresolved", "lost"] {
        assert_eq!(status.counter(name), 0, "{name}");
    }
    engine.stop();
}

#[expect(clippy::print_stderr, reason = "what a long run has to tell")]
fn say(text: &str) {
    eprintln!("soak: {text}");
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A server of one method.
struct Server {
    _http: Http,
    _udp: Vec<UdpEcho>,
    _far_end: Option<Decapsulator>,
}

impl Server {
    fn new(lab: &DirectLab, node: &Node, method: &str) -> Self {
        let own = lab.servers.iter().position(|server| server.name() == node.name()).unwrap();
        let direct = ["-g", "-i"].contains(&method);
        let at = if direct { lab.vip } else { lab.server_addrs[own] };
        if method == "-m" {
            for (family, gateway) in [("-4", lab.director_addr.v4), ("-6", lab.director_addr.v6)] {
                node.exec(&["ip", family, "route", "replace", "default", "via", &gateway.to_string()])
                    .unwrap();
            }
        }
        Self {
            _http: Http::start(node, 80).unwrap(),
            _udp: FAMILIES.map(|family| UdpEcho::start_at(node, at.port(family, 80)).unwrap()).into(),
            _far_end: (method == "-i").then(|| Decapsulator::start(node)),
        }
    }
}

/// Somebody who changes something every second.
struct Edits<'a> {
    lab: &'a DirectLab,
    engine: &'a Engine<'a>,
    turn: usize,
    /// The last server is there.
    spare: bool,
}

impl Edits<'_> {
    fn next(&mut self) {
        self.turn += 1;
        match self.turn % 6 {
            0 => self.each(|vip| format!("-E {vip} -s {}", SCHEDULERS[self.turn / 6 % SCHEDULERS.len()])),
            2 => self.weigh(self.turn / 6 % SPARE, 1 + self.turn as u32 % 7),
            4 => self.other_services(),
            _ if !self.spare => {
                self.add(SPARE);
                self.spare = true;
            }
            // In two turns: first it gets nothing new, and it goes when it has nothing left.
            _ if self.weight_of_spare() > 0 => self.weigh(SPARE, 0),
            _ if self.is_spare_idle() => {
                self.each_server(SPARE, "-d", "");
                self.spare = false;
            }
            _ => {}
        }
    }

    fn add(&self, server: usize) {
        self.each_server(server, "-a", METHODS[server]);
    }

    fn weigh(&self, server: usize, weight: u32) {
        self.each_server(server, "-e", &format!("{} -w {weight}", METHODS[server]));
    }

    fn each_server(&self, server: usize, action: &str, options: &str) {
        for family in FAMILIES {
            let (vip, dest) = (self.lab.vip.port(family, 80), self.lab.server_port(server, family, 80));
            for flag in ["-t", "-u"] {
                self.engine.ulvs(format!("ipvsadm {action} {flag} {vip} -r {dest} {options}").trim_end());
            }
        }
    }

    fn each(&self, action: impl Fn(&str) -> String) {
        for family in FAMILIES {
            for flag in ["-t", "-u"] {
                self.engine.ulvs(&format!(
                    "ipvsadm {}",
                    action(&format!("{flag} {}", self.lab.vip.port(family, 80)))
                ));
            }
        }
    }

    /// Others come and go beside.
    fn other_services(&self) {
        for family in FAMILIES {
            let vip = self.lab.vip.port(family, 9000);
            let server = self.lab.server_port(0, family, 9000);
            self.engine.ulvs(&format!("ipvsadm -A -t {vip} -s wlc"));
            self.engine.ulvs(&format!("ipvsadm -a -t {vip} -r {server} -g"));
            self.engine.ulvs(&format!("ipvsadm -D -t {vip}"));
        }
    }

    /// A column of the last server's lines in the listing: 3 is the weight, 4 active connections.
    fn spare(&self, column: usize) -> u64 {
        let listing = self.engine.ulvs("ipvsadm -Ln");
        let of = |family| format!("-> {} ", self.lab.server_port(SPARE, family, 80));
        let lines = listing.lines().filter(|line| FAMILIES.iter().any(|family| line.contains(&of(*family))));
        lines.map(|line| line.split_whitespace().nth(column).unwrap().parse::<u64>().unwrap()).sum()
    }

    fn weight_of_spare(&self) -> u64 {
        self.spare(3)
    }

    fn is_spare_idle(&self) -> bool {
        self.spare(4) == 0
    }
}

/// Pages, downloads and uploads, several on each connection; the digests of all that is transferred are compared.
fn streams(client: &Node, vip: SocketAddr, seed: u64, tally: &Tally) {
    let (_over, mut random) = (Over(&tally.over), seed);
    while !tally.over.load(Relaxed) {
        let mut connection = Connection::open(client, vip).unwrap_or_else(|error| panic!("{vip}: {error:#}"));
        for _ in 0..4 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bytes = (random >> 33) % (2 << 20);
            let result = connection
                .get("/")
                .and_then(|_| connection.download(bytes, |_| ()))
                .and_then(|_| connection.upload(bytes / 2, |_| ()));
            result.unwrap_or_else(|error| panic!("{vip}, {bytes} bytes: {error:#}"));
            tally.bytes.fetch_add(bytes + bytes / 2, Relaxed);
        }
        tally.streams.fetch_add(1, Relaxed);
    }
}

fn datagrams(client: &Node, vip: SocketAddr, tally: &Tally) {
    let _over = Over(&tally.over);
    for len in (0..3000).step_by(37).cycle() {
        if tally.over.load(Relaxed) {
            return;
        }
        let datagram: Vec<u8> = (0..len).map(|at| (at * 7 + at / 251 + len) as u8).collect();
        talk::datagram_comes_back(client, vip, &datagram);
        tally.datagrams.fetch_add(1, Relaxed);
        thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes of memory that a process has.
fn resident(path: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}

/// Of memory and what connections may take of it: how much more there was in the second half. Until connections of UDP end,
/// after five minutes, there are more and more; what they have taken is kept for others.
fn growth(samples: &[(f64, f64)]) -> f64 {
    let (first, second) = samples.split_at(samples.len() / 2);
    let most = |half: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| half.iter().map(of).fold(0.0, f64::max);
    let more = |of| most(second, of) - most(first, of);
    more(|sample| sample.0) - more(|sample| sample.1).max(0.0)
}
