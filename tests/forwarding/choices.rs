//! Scenarios that were put to a kernel's IPVS, put to the engine as real connections: the same servers answer.

use lab::addr::Family;
use lab::client::{Connection, UdpClient};
use lab::serve::{Http, UdpEcho};
use lab::topo::{NatLab, NatOptions};

use crate::support::{Engine, PATIENCE};

const RR: &str = include_str!("../../sched/tests/oracle/rr.txt");
const WRR: &str = include_str!("../../sched/tests/oracle/wrr.txt");
const LC: &str = include_str!("../../sched/tests/oracle/lc.txt");
const WLC: &str = include_str!("../../sched/tests/oracle/wlc.txt");
const SED: &str = include_str!("../../sched/tests/oracle/sed.txt");
const NQ: &str = include_str!("../../sched/tests/oracle/nq.txt");
const FO: &str = include_str!("../../sched/tests/oracle/fo.txt");
const OVF: &str = include_str!("../../sched/tests/oracle/ovf.txt");

#[test]
fn real_connections_get_the_servers_that_the_kernel_chose_with_one_worker() {
    replay_all("1");
}

#[test]
fn real_connections_get_the_servers_that_the_kernel_chose_with_two_workers() {
    replay_all("2");
}

fn replay_all(workers: &str) {
    let lab = NatLab::new(&NatOptions { servers: 3, ..NatOptions::default() }).unwrap();
    let engine = Engine::start(&lab, &["--workers", workers]);
    assert_eq!(engine.status().workers.to_string(), workers);
    // Ports of their own for each. A service that is made anew finds the connections of its servers again, and one
    // port of a client cannot reach one port of a server through two services: the choice would fall on another.
    for (file, title, port) in [
        (RR, "three equal servers", 1),
        (WRR, "4:3:2", 2),
        (WRR, "a gcd above 1, odd quotients", 3),
        (LC, "open connections spread evenly", 4),
        (WLC, "open connections follow the weights", 5),
        (SED, "open connections follow the weights", 6),
        (NQ, "open connections follow the weights", 7),
        (FO, "the highest weight gets all", 8),
        (OVF, "a server joins and leaves under load", 9),
    ] {
        let scenario = Scenario::find(file, title, port);
        let _http: Vec<_> = lab.servers.iter().map(|server| Http::start(server, port).unwrap()).collect();
        let _udp: Vec<_> = lab.servers.iter().map(|server| UdpEcho::start(server, port).unwrap()).collect();
        for family in [Family::V4, Family::V6] {
            replay_tcp(&lab, &engine, &scenario, family);
            replay_udp(&lab, &engine, &scenario, family);
        }
    }
}

/// Every connection stays open, which is all the same to rr and wrr. That it has been answered means that the engine
/// has seen its handshake end.
fn replay_tcp(lab: &NatLab, engine: &Engine<'_>, scenario: &Scenario, family: Family) {
    let vip = lab.vip.port(family, scenario.port);
    engine.service("tcp", vip, scenario.scheduler, &scenario.servers(lab, family));
    let mut open = Vec::new();
    let answer = |_: char| {
        let mut connection = Connection::open(&lab.client, vip).unwrap();
        let name = connection.get("/").unwrap().body;
        open.push(connection);
        letter(name.trim())
    };
    let answers: String = scenario.answers.chars().map(answer).collect();
    assert_eq!(answers, scenario.answers, "TCP, {}, {}", scenario.scheduler, scenario.title);
}

/// A flow of UDP is never active, so this is for the schedulers that do not look.
fn replay_udp(lab: &NatLab, engine: &Engine<'_>, scenario: &Scenario, family: Family) {
    if !scenario.scheduler.ends_with("rr") {
        return;
    }
    let vip = lab.vip.port(family, scenario.port);
    engine.service("udp", vip, scenario.scheduler, &scenario.servers(lab, family));
    let mut open = Vec::new();
    let answer = |_: char| {
        let client = UdpClient::open(&lab.client, vip).unwrap();
        let name = client.exchange(UdpEcho::WHO, PATIENCE).unwrap();
        open.push(client);
        letter(std::str::from_utf8(&name).unwrap())
    };
    let answers: String = scenario.answers.chars().map(answer).collect();
    assert_eq!(answers, scenario.answers, "UDP, {}, {}", scenario.scheduler, scenario.title);
}

/// Servers are added, then connections come: what `sched/tests/oracle/record.sh` calls `add` and `hit` or `hold`.
struct Scenario {
    title: &'static str,
    port: u16,
    scheduler: &'static str,
    weights: Vec<u32>,
    /// A letter for each connection.
    answers: &'static str,
}

impl Scenario {
    fn find(file: &'static str, title: &'static str, port: u16) -> Self {
        let mut lines = file.lines().skip_while(|line| line.strip_prefix("scenario ") != Some(title)).skip(1);
        let mut scenario = Self { title, port, scheduler: "", weights: Vec::new(), answers: "" };
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("no scenario {title:?} with connections"));
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["scheduler", name] => scenario.scheduler = name,
                ["add", _] => scenario.weights.push(1),
                ["add", _, weight] => scenario.weights.push(weight.parse().unwrap()),
                ["hit" | "hold", _, "->", answers] => {
                    scenario.answers = answers;
                    return scenario;
                }
                _ => panic!("{title:?} has more than servers and connections: {line}"),
            }
        }
    }

    fn servers(&self, lab: &NatLab, family: Family) -> Vec<(std::net::SocketAddr, u32)> {
        self.weights
            .iter()
            .enumerate()
            .map(|(server, weight)| (lab.server_port(server, family, self.port), *weight))
            .collect()
    }
}

fn letter(name: &str) -> char {
    match name {
        "server1" => 'A',
        "server2" => 'B',
        "server3" => 'C',
        other => panic!("{other:?} answered"),
    }
}
