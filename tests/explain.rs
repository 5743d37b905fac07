//! What ulvs says about packets is what happens to them: `explain` beforehand, `trace` and `capture` meanwhile, `drops`
//! afterwards.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Instant;

use lab::addr::Family;
use lab::client;
use lab::topo::NatOptions;
use serde_json::Value;

use crate::scene::Scene;
use crate::support::{Engine, PATIENCE, binary, printed};

struct Tried {
    scene: Scene,
    config: String,
    vip: SocketAddr,
}

impl Tried {
    fn new() -> Self {
        let scene = Scene::new(&NatOptions::default());
        let config = scene.config();
        let vip = SocketAddr::new(scene.lab.vip.of(Family::V4), 80);
        Self { scene, config, vip }
    }

    fn start(&self) -> Engine<'_> {
        Engine::start(&self.scene.lab, &["--workers", "1", "--config", &self.config])
    }

    /// Which server answers a client.
    fn get(&self) -> SocketAddr {
        let body = client::get(&self.scene.lab.client, self.vip, "/").unwrap().body;
        let servers =
            (0..self.scene.lab.servers.len()).map(|i| self.scene.lab.server_port(i, Family::V4, 80));
        let found = servers
            .into_iter()
            .find(|server| client::get(self.scene.director(), *server, "/").unwrap().body == body);
        found.unwrap_or_else(|| panic!("{body:?} is no server's"))
    }

    fn syn(&self) -> String {
        format!("--from 198.51.100.77:40000 --to {}", self.vip)
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line}"))).collect()
}

fn leaves_for(told: &Value) -> SocketAddr {
    told["leaves"]["dst"].as_str().unwrap_or_else(|| panic!("{told:#}")).parse().unwrap()
}

#[test]
fn what_is_explained_happens_and_explaining_changes_nothing() {
    let tried = Tried::new();
    let engine = tried.start();
    for _ in 0..3 {
        let before = engine.ulvs("ipvsadm -Ln --stats") + &engine.ulvs("ipvsadm -Lnc");
        let story = engine.ulvs(&format!("explain {}", tried.syn()));
        for part in ["lookup    no connection has TCP", "compare   rr: whose turn it is", "verdict   sent on"]
        {
            assert!(story.contains(part), "{story}");
        }
        let told = lines(&engine.ulvs(&format!("explain --json {}", tried.syn())));
        let after = engine.ulvs("ipvsadm -Ln --stats") + &engine.ulvs("ipvsadm -Lnc");
        assert_eq!(before, after);
        assert_eq!(leaves_for(&told[0]), tried.get(), "{story}");
    }
    // The service of a mark that no rule sets yet.
    let server = tried.scene.lab.server_port(0, Family::V4, 80);
    engine.ulvs("ipvsadm -A -f 3 -s rr");
    engine.ulvs(&format!("ipvsadm -a -f 3 -r {server} -m"));
    engine.ulvs("mark add 3 --input lan+");
    for supposed in ["--mark 0x3", "--dev lan0"] {
        let story = engine.ulvs(&format!("explain {supposed} {}", tried.syn()));
        assert!(
            story.contains("service   FWM 3") && story.contains(&format!("server    {server}")),
            "{story}"
        );
    }
    let story = engine.ulvs(&format!("explain --dev wan {}", tried.syn()));
    assert!(story.contains(&format!("service   TCP {}", tried.vip)), "{story}");
    let wrong = engine.try_ulvs("explain --from 10.0.0.9 --to 10.0.0.1:80");
    assert!(
        printed(&wrong).contains("--from: \"10.0.0.9\" is no address with a port"),
        "{}",
        printed(&wrong)
    );
    let wrong = printed(&engine.try_ulvs(&format!("explain --proto udp --tcp-flags S {}", tried.syn())));
    assert!(wrong.contains("--tcp-flags: only a packet of --proto tcp has flags"), "{wrong}");
    engine.stop();
    let offline = printed(&crate::support::ulvs(
        tried.scene.director(),
        &format!("explain --config {} {}", tried.config, tried.syn()).split(' ').collect::<Vec<_>>(),
    ));
    assert!(offline.contains("verdict   sent on by the host's routing"), "{offline}");
}

#[test]
fn what_is_traced_is_what_happened() {
    let tried = Tried::new();
    let engine = tried.start();
    let wrong = engine.try_ulvs("trace hots 10.0.0.9");
    assert!(printed(&wrong).contains("filter: \"hots\" is no word of it"), "{}", printed(&wrong));
    for (filter, told) in [("service web", "is no service"), ("-c 0 tcp", "0 is not in 1..")] {
        let wrong = printed(&engine.try_ulvs(&format!("trace {filter}")));
        assert!(wrong.contains(told), "{wrong}");
    }
    let mut command: Command = tried.scene.director().command(binary());
    command.args(["trace", "--json", "-c", "4", "new", "port", "80"]).stdout(Stdio::piped());
    let mut trace = command.spawn().unwrap();
    let (mut got, began) = (Vec::new(), Instant::now());
    while trace.try_wait().unwrap().is_none() {
        got.push(tried.get());
        assert!(began.elapsed() < PATIENCE, "the trace does not end: {got:?}");
    }
    let output = trace.wait_with_output().unwrap();
    let traced: Vec<_> = lines(&printed(&output)).iter().map(leaves_for).collect();
    assert_eq!(traced.len(), 4);
    assert!(got.windows(4).any(|four| four == traced), "traced {traced:?}, and got {got:?}");
}

#[test]
fn what_is_captured_opens_in_other_programs_with_its_reasons() {
    let tried = Tried::new();
    let engine = tried.start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.pcapng");
    let file = path.to_str().unwrap();
    let mut command: Command = tried.scene.director().command(binary());
    let vip = tried.vip.to_string();
    // More than one connection has: its beginning is among them.
    command.args(["capture", "-w", file, "-c", "30", "vip", &vip]).stdout(Stdio::piped());
    let mut capture = command.spawn().unwrap();
    let began = Instant::now();
    while capture.try_wait().unwrap().is_none() {
        tried.get();
        assert!(began.elapsed() < PATIENCE, "the capture does not end");
    }
    let told = printed(&capture.wait_with_output().unwrap());
    assert_eq!(told, "30 packets written\n");
    let read = Command::new("tcpdump").args(["-nr", file]).output().unwrap();
    let (text, vip) = (printed(&read), tried.vip);
    assert!(text.contains(&format!("> {}.{}: Flags [S]", vip.ip(), vip.port())), "{text}");
    let packets = text.lines().filter(|line| line.contains(" IP ")).count();
    assert_eq!(packets, 60, "each before and after: {text}");
    let bytes = std::fs::read(&path).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("verdict   sent on by the host's routing"), "the reasons are comments");
    let explained = lines(&engine.ulvs(&format!("explain --json --pcap {file}")));
    assert_eq!(explained.len(), 30, "what leaves did not come");
    let damaged = explained.iter().find(|told| told["dropped"]["reason"] == "bad-checksum");
    assert!(damaged.is_none(), "{damaged:#?}");
}

#[test]
fn a_drop_is_listed_with_its_last_packet_and_its_cause() {
    let tried = Tried::new();
    let engine = tried.start();
    assert!(engine.ulvs("drops").starts_with("no packet has been dropped"));
    let calls = SocketAddr::new(tried.vip.ip(), 5060);
    engine.ulvs(&format!("ipvsadm -A -u {calls} -s rr -p 60 --pe sip"));
    let server = tried.scene.lab.server_port(0, Family::V4, 5060);
    engine.ulvs(&format!("ipvsadm -a -u {calls} -r {server} -m"));
    let send = || {
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        UdpSocket::bind(any).unwrap().send_to(b"no call", calls).unwrap();
    };
    let began = Instant::now();
    let dropped = loop {
        tried.scene.lab.client.run(send).unwrap();
        let list: Value = serde_json::from_str(&engine.ulvs("drops --json")).unwrap();
        let drops = list["drops"].as_array().unwrap().clone();
        let found = drops.into_iter().find(|drop| drop["reason"] == "no-call-id" && drop["count"] != 0);
        if let Some(found) = found {
            break found;
        }
        assert!(began.elapsed() < PATIENCE, "nothing is dropped: {list:#}");
    };
    let last = dropped["last"]["packet"].as_str().unwrap();
    assert!(last.contains(&format!("> {calls}: udp length 7")), "{last}");
    let text = engine.ulvs("drops");
    assert!(text.starts_with("no-call-id ") && text.contains("usually: Something that is not SIP"), "{text}");
}
