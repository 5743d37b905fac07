//! FullNAT with a pool of local addresses: servers that know no way to the clients, and one port for many of them.

use super::Scenario;
use super::words::{CURL, add, nat_lab, start, stop};
use crate::play::Step;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "fullnat",
    summary: "servers that know no way to the clients, behind a pool of two addresses",
    intro: "The servers know their own network and nothing else: their default routes are taken away. What the client \
            sends reaches them by NAT, but their answers have nowhere to go.",
    topology: |terms| nat_lab(terms, 2),
    serving: &["server1", "server2"],
    needs: &[("ip", "iproute2")],
    steps,
};

fn steps() -> Vec<Step> {
    let forget = |server| Step::new("No way to the clients", server, "ip route del default; ip route");
    vec![
        forget("server1").part("Servers without a way back"),
        forget("server2"),
        start(),
        Step::new("A service by NAT", "director", "ipvsadm -A -t 203.0.113.1:80 -s rr"),
        add("203.0.113.1:80", "10.0.0.11:80", "-m"),
        Step::new("A request", "client", "curl -sS --max-time 2 http://203.0.113.1/")
            .fails("timed out")
            .means("It has reached server1, which sees the client's own address and knows no way there."),
        Step::new("Start over", "director", "ipvsadm -C; ipvsadm -A -t 203.0.113.1:80 -s rr").part("FullNAT"),
        add("203.0.113.1:80", "10.0.0.11:80", "--fullnat"),
        add("203.0.113.1:80", "10.0.0.12:80", "--fullnat"),
        Step::new("A pool", "director", "ipvsadm -P -z 10.0.0.5; ipvsadm -P -z 10.0.0.6").means(
            "With FullNAT the servers see an address and a port of ours, a LIP. These two are nobody's: the balancer \
             answers ARP for them. -P and -z are the words of DPVS; without -t a LIP is for all services.",
        ),
        Step::new("Whom do servers see?", "client", format!("for i in {{1..16}}; do {CURL} http://203.0.113.1/whoami; done"))
            .means("Not the client, 198.51.100.10, but the pool.")
            .check("both LIPs took part, and nothing else", |said| {
                let from = |lip: &str| said.lines().iter().filter(|line| line.starts_with(lip)).count();
                from("10.0.0.5:") > 0 && from("10.0.0.6:") > 0 && from("10.0.0.5:") + from("10.0.0.6:") == 16
            }),
        Step::new("Two ports for each LIP", "director", "ulvs sysctl ulvs.lip_port_first=40000 ulvs.lip_port_last=40001")
            .part("How far a port goes")
            .means("So few to see their end. A port is taken only towards one server: 2 ports, 2 LIPs, 2 servers make 8."),
        Step::new(
            "Nine connections at once",
            "client",
            "for i in {1..8}; do exec {c}<>/dev/tcp/203.0.113.1/80 && echo open; done\ncurl -s --max-time 2 http://203.0.113.1/ || echo no answer",
        )
        .means("The ninth has to wait until another one has ended.")
        .check("eight are open, and the ninth gets no answer", |said| {
            said.text == format!("{}no answer\n", "open\n".repeat(8))
        }),
        Step::new("The pool", "director", "ipvsadm -G"),
        Step::new("The balancer says so", "director", "ulvs status | grep ports-exhausted").says("ports-exhausted"),
        stop(),
    ]
}
