//! Tunnels: direct routing to servers beyond a router.

use super::Scenario;
use super::words::{CURL, add, alternates, start, stop};
use crate::play::Step;
use crate::topo::{DirectLab, DirectOptions};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "tun",
    summary: "IPIP tunnels: servers beyond a router, whose answers do not pass the director",
    intro: "A router is between director and servers, so a request cannot just get another MAC address. The director puts \
            it into a packet of its own to the server (IPIP); the server takes it out and answers the client itself.",
    topology: |terms| {
        let options = DirectOptions {
            vip_on_servers: false,
            server_path: vec![1500],
            state_root: terms.root.clone(),
            ..DirectOptions::default()
        };
        Ok(Box::new(DirectLab::new(&options)?))
    },
    serving: &["server1", "server2"],
    needs: &[("ip", "iproute2")],
    steps,
};

pub(super) const BYTES: u64 = 10_000_000;

fn steps() -> Vec<Step> {
    let real = |server: &'static str| {
        Step::new(format!("{server} opens tunnels"), server, "ulvs real start --vip 203.0.113.1 --method tun")
    };
    vec![
        real("server1").part("Both ends of the tunnels").says("203.0.113.1").means(
            "The VIP on lo, as for direct routing, and a process that takes packets out of tunnels. The kernel needs no \
             tunnel device for it.",
        ),
        real("server2").show(0),
        start(),
        Step::new("The service", "director", "ipvsadm -A -t 203.0.113.1:80 -s rr"),
        add("203.0.113.1:80", "10.3.0.11", "-i").means("-i is IPIP."),
        add("203.0.113.1:80", "10.3.0.12", "-i"),
        Step::new("Requests", "client", format!("for i in {{1..6}}; do {CURL} http://203.0.113.1/; done"))
            .part("Requests")
            .check("the servers take turns", |said| alternates(said) && said.lines().len() == 6),
        Step::new("Whom do servers see?", "client", format!("{CURL} http://203.0.113.1/whoami")).says("198.51.100.10:"),
        Step::new("A page of 10 MB", "client", format!("curl -s --max-time 20 http://203.0.113.1/bytes/{BYTES} | wc -c"))
            .says(BYTES.to_string())
            .means("The answer does not go through the tunnel, so its packets have their full size."),
        Step::new("10 MB the other way", "client", "head -c 10000000 /dev/zero | curl -s --max-time 20 --data-binary @- http://203.0.113.1/discard")
            .says("10000000")
            .means("Requests do: each packet is 20 bytes longer in the tunnel. ulvs and the server see to it that nothing is lost."),
        Step::new("What passed the director", "director", "ipvsadm -Ln --stats").check("no packet went out", |said| {
            let service = said.lines().into_iter().find(|line| line.starts_with("TCP")).unwrap_or_default();
            service.split_whitespace().nth(4) == Some("0")
        }),
        Step::new("The server's part ends", "server1", "ulvs real stop").part("The end").restores(),
        stop(),
    ]
}
