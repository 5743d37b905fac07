//! Checks by IPv6: each kind, and by the VIP, of servers by NAT and by DR.

use std::time::Duration;

use lab::addr::{Family, Pair};
use lab::client;
use lab::node::Node;
use lab::serve::Http;
use lab::topo::{DirectLab, DirectOptions, NatLab, NatOptions};
use lab::wait::wait_for;
use serde_json::Value;

use crate::support::{Engine, PATIENCE};

/// Services, by their port, and how their servers are asked.
const SERVICES: [(u16, &str); 4] = [
    (80, "kind = \"tcp\""),
    (81, "kind = \"http\""),
    (82, "kind = \"icmp\""),
    (83, "kind = \"http\"\nvia = \"vip\""),
];
/// Nobody is at home: ports are closed, and no ping is answered.
const GONE: &str = "add table ip6 fault; add chain ip6 fault incoming { type filter hook input priority 0; }; \
                    add rule ip6 fault incoming tcp dport 80-83 reject with tcp reset; \
                    add rule ip6 fault incoming icmpv6 type echo-request drop";

struct Six<'a> {
    client: &'a Node,
    servers: &'a [Node],
    vip: Pair,
    engine: Engine<'a>,
}

impl<'a> Six<'a> {
    fn new(
        [client, director]: [&'a Node; 2],
        (servers, addrs): (&'a [Node], &[Pair]),
        (vip, method): (Pair, &str),
        dir: &std::path::Path,
    ) -> Self {
        let mut text = String::new();
        for (port, check) in SERVICES {
            text += &format!(
                "[[service]]\nvip = \"{}\"\nports = [\"tcp/{port}\"]\nscheduler = \"rr\"\n[[service.check]]\n{check}\n\
                 interval = \"200ms\"\ntimeout = \"1s\"\nfall = 2\nrise = 2\n",
                vip.v6
            );
            for addr in addrs {
                let addr = addr.v6;
                text += &format!("[[service.server]]\naddress = \"{addr}\"\nmethod = \"{method}\"\n");
            }
        }
        let path = dir.join("ulvs.toml");
        std::fs::write(&path, text).unwrap();
        let engine = Engine::start_on(director, dir, &["--config", path.to_str().unwrap()]);
        Self { client, servers, vip, engine }
    }

    /// The first server's state in each service.
    fn states(&self) -> Vec<(String, bool)> {
        let list: Value = serde_json::from_str(&self.engine.ulvs("health --json")).unwrap();
        let first = |service: &Value| service["servers"][0].clone();
        let servers = list["services"].as_array().unwrap().iter().map(first);
        servers.map(|s| (s["state"].as_str().unwrap().to_owned(), s["checks"][0]["ok"] == true)).collect()
    }

    fn wait_for_all(&self, state: &str) {
        let all = || {
            let states = self.states();
            let is = |(is, ok): &(String, bool)| is == state && *ok == (state == "up");
            (states.len() == SERVICES.len() && states.iter().all(is)).then_some(())
        };
        wait_for(&format!("the first server to be {state} everywhere"), PATIENCE, all)
            .unwrap_or_else(|e| panic!("{e}\n{}\n{}", self.engine.ulvs("health"), self.engine.log()));
    }

    /// What so many clients of each service get.
    fn pages(&self) -> Vec<Vec<String>> {
        let page = |port| client::get(self.client, self.vip.port(Family::V6, port), "/").unwrap().body;
        let pages = SERVICES.map(|(port, _)| {
            let mut pages: Vec<_> = (0..4).map(|_| page(port)).collect();
            pages.sort();
            pages.dedup();
            pages
        });
        pages.to_vec()
    }

    fn finds_the_dead(self) {
        self.wait_for_all("up");
        assert_eq!(self.pages(), vec![vec!["server1\n", "server2\n"]; SERVICES.len()]);
        self.servers[0].exec(&["nft", GONE]).unwrap();
        self.wait_for_all("down");
        assert_eq!(self.pages(), vec![vec!["server2\n"]; SERVICES.len()]);
        // Nobody else is taken for dead: two questions without an answer would be over by then.
        std::thread::sleep(Duration::from_millis(2_500));
        let listing = self.engine.ulvs("ipvsadm -Ln");
        assert_eq!(listing.matches("-> [").count(), SERVICES.len(), "{listing}");
        self.servers[0].exec(&["nft", "delete table ip6 fault"]).unwrap();
        self.wait_for_all("up");
        assert_eq!(self.pages(), vec![vec!["server1\n", "server2\n"]; SERVICES.len()]);
        self.engine.stop();
    }
}

fn serve(servers: &[Node]) -> Vec<Http> {
    let start = |server| SERVICES.map(|(port, _)| Http::start(server, port).unwrap());
    servers.iter().flat_map(start).collect()
}

#[test]
fn servers_by_nat_are_asked_by_ipv6() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let _https = serve(&lab.servers);
    let servers = (lab.servers.as_slice(), lab.server_addrs.as_slice());
    Six::new([&lab.client, &lab.director], servers, (lab.vip, "nat"), lab.state_dir()).finds_the_dead();
}

#[test]
fn servers_by_dr_are_asked_by_ipv6() {
    let lab = DirectLab::new(&DirectOptions::default()).unwrap();
    let _https = serve(&lab.servers);
    let servers = (lab.servers.as_slice(), lab.server_addrs.as_slice());
    Six::new([&lab.client, &lab.director], servers, (lab.vip, "dr"), lab.state_dir()).finds_the_dead();
}
