//! Direct routing: requests pass the director, answers do not.

use super::Scenario;
use super::words::{CURL, add, alternates, one_link, start, stop};
use crate::play::Step;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "dr",
    summary: "direct routing: the servers have the VIP and answer the client themselves",
    intro: "Director and servers are on one link. The director changes nothing in a request but the MAC address that it is \
            sent to; the server has the VIP as well, and its answer goes straight to the client's router.",
    topology: one_link,
    serving: &["server1", "server2"],
    needs: &[("ip", "iproute2")],
    steps,
};

fn steps() -> Vec<Step> {
    let real = |server: &'static str| {
        Step::new(format!("{server} becomes a real server"), server, "ulvs real start --vip 10.0.0.100")
    };
    vec![
        start().part("A service by direct routing"),
        Step::new("The service", "director", "ipvsadm -A -t 10.0.0.100:80 -s rr"),
        add("10.0.0.100:80", "10.0.0.11", "-g"),
        add("10.0.0.100:80", "10.0.0.12", "-g"),
        Step::new("A request", "client", "curl -sS --max-time 2 http://10.0.0.100/")
            .fails("curl:")
            .means("It has reached server1 unchanged, and server1 does not know the address that it is for."),
        real("server1").part("The servers' part").says("10.0.0.100").means(
            "What setparam.sh of the lesson does: the VIP on lo, arp_ignore and arp_announce. It notes what was there before.",
        ),
        real("server2").show(0),
        Step::new("Requests", "client", format!("for i in {{1..6}}; do {CURL} http://10.0.0.100/; done"))
            .check("the servers take turns", |said| alternates(said) && said.lines().len() == 6),
        Step::new("Whom do servers see?", "client", format!("{CURL} http://10.0.0.100/whoami"))
            .says("198.51.100.10:")
            .means("The client itself, port and all."),
        Step::new("What passed the director", "director", "ipvsadm -Ln --stats")
            .means("Packets in, and none out: answers do not come by here. That is why direct routing is fast.")
            .check("no packet went out", |said| {
                let service = said.lines().into_iter().find(|line| line.starts_with("TCP")).unwrap_or_default();
                let fields: Vec<_> = service.split_whitespace().collect();
                fields.len() == 7 && fields[2] == "8" && fields[3] != "0" && fields[4] == "0"
            }),
        Step::new("The server's part ends", "server1", "ulvs real stop").part("The end").restores(),
        stop(),
    ]
}
