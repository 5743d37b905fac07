//! Persistence in its three forms, whatever the scheduler: per port, per mark, per client.

use super::Scenario;
use super::words::{CURL, add, alternates, nat_lab, same, start, stop};
use crate::play::Step;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "persistence",
    summary: "a client stays on its server: per port, per mark, per client; -M for whole networks",
    intro: "With -p the first connection of a client leaves a template: for a while all that matches it goes to the same \
            server, whatever the scheduler says. What matches is the question. Ports 80 and 8080 of the servers show the \
            same page.",
    topology: |terms| nat_lab(terms, 2),
    serving: &["server1", "server2"],
    needs: &[("ip", "iproute2")],
    steps,
};

fn get(from: &str, ports: &str, times: u8) -> String {
    format!(
        "for i in {{1..{times}}}; do for p in {ports}; do {CURL} --interface {from} http://203.0.113.1:$p/; done; done"
    )
}

const CLIENT: &str = "198.51.100.10";

fn steps() -> Vec<Step> {
    let port = |server: &'static str| {
        Step::new(
            format!("Port 8080 on {server}"),
            server,
            "echo 'Listen 8080' > /etc/httpd/conf.d/ports.conf; systemctl restart httpd",
        )
    };
    let pair = |first: &str, second: &str| format!("{first}; {second}");
    let both = |service: &str| {
        pair(
            &format!("ipvsadm -a {service} -r 10.0.0.11 -m"),
            &format!("ipvsadm -a {service} -r 10.0.0.12 -m"),
        )
    };
    vec![
        port("server1").part("Without persistence"),
        port("server2"),
        start(),
        Step::new("rr takes turns", "director", "ipvsadm -A -t 203.0.113.1:80 -s rr"),
        add("203.0.113.1:80", "10.0.0.11", "-m"),
        add("203.0.113.1:80", "10.0.0.12", "-m"),
        Step::new("Requests", "client", get(CLIENT, "80", 4)).check("the servers take turns", alternates),
        Step::new("Port 80 for 50 seconds", "director", "ipvsadm -E -t 203.0.113.1:80 -s rr -p 50").part("Per port"),
        Step::new(
            "Port 8080 as well",
            "director",
            format!("ipvsadm -A -t 203.0.113.1:8080 -s rr -p 50; {}", both("-t 203.0.113.1:8080")),
        ),
        Step::new("Port 80", "client", get(CLIENT, "80", 4)).check("it stays", same),
        Step::new("More clients", "client", "ip addr add 198.51.100.11/24 dev eth0; ip addr add 198.51.100.12/24 dev eth0")
            .means("The client gets two more addresses, to be three clients."),
        Step::new("Port 8080", "client", get("198.51.100.11", "8080", 2)).check("it stays", same),
        Step::new("Port 8080, of the first client", "client", get(CLIENT, "8080", 2)).check("it stays", same),
        Step::new("The templates", "director", "ipvsadm -Lnc | grep -E 'expire|:0 '")
            .means("A template has no client port, and says how long it lasts. Each port has its own.")
            .check("there are three", |said| said.lines().len() == 4),
        Step::new(
            "One service of both ports",
            "director",
            format!(
                "ipvsadm -C; iptables -t mangle -A PREROUTING -d 203.0.113.1 -p tcp -m multiport --dports 80,8080 -j MARK \
                 --set-mark 3; ipvsadm -A -f 3 -s rr -p 50; {}",
                both("-f 3")
            ),
        )
        .part("Per mark"),
        Step::new("Both ports", "client", get(CLIENT, "80 8080", 3))
            .means("Port affinity: whichever port comes first, the others follow.")
            .check("six answers from one server", |said| same(said) && said.lines().len() == 6),
        Step::new("Port 0 without -p", "director", "ipvsadm -C; iptables -t mangle -F; ipvsadm -A -t 203.0.113.1:0 -s rr")
            .part("Per client")
            .fails("Zero port specified for non-persistent service"),
        Step::new(
            "Port 0 with -p",
            "director",
            format!("ipvsadm -A -t 203.0.113.1:0 -s rr -p 50; {}", both("-t 203.0.113.1:0")),
        )
        .means("Every port of the VIP, one template for each client."),
        Step::new("Both ports", "client", get(CLIENT, "80 8080", 3))
            .check("six answers from one server", |said| same(said) && said.lines().len() == 6),
        Step::new("Another client", "client", format!("{}; {}", get(CLIENT, "80", 1), get("198.51.100.11", "80", 1)))
            .means("rr has given it the other server.")
            .check("each has a server of its own", alternates),
        Step::new("-M: a network is one client", "director", "ipvsadm -E -t 203.0.113.1:0 -s rr -p 50 -M 255.255.255.0"),
        Step::new(
            "Two clients of one network",
            "client",
            format!("{}; {}", get("198.51.100.12", "80 8080", 1), get("198.51.100.11", "80 8080", 1)),
        )
        .means("As when a provider has its customers behind several proxies.")
        .check("four answers from one server", |said| same(said) && said.lines().len() == 4),
        Step::new("It can be short", "director", "ipvsadm -E -t 203.0.113.1:0 -s rr -p 1; ipvsadm -Ln").says("persistent 1"),
        stop(),
    ]
}
