//! Firewall marks: http and https as one service, and why one wants that.

use super::Scenario;
use super::words::{CURL, add, alternates, https_on, nat_lab, same, start, stop};
use crate::play::Step;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "fwmark",
    summary: "http and https as one service: a firewall mark, with sh and with rr",
    intro: "A shop is visited by http and paid for by https. If these are two services, a customer whose basket is on one \
            server may pay at the other. A firewall mark makes one service of both ports.",
    topology: |terms| nat_lab(terms, 2),
    serving: &["server1", "server2"],
    needs: &[],
    steps,
};

/// http, then https, by a loop.
fn both(times: u8) -> String {
    format!(
        "for i in {{1..{times}}}; do {CURL} http://www.ilinux.io/; {CURL} --cacert ca.crt https://www.ilinux.io/; done"
    )
}

fn steps() -> Vec<Step> {
    let mut steps = https_on(&["server1", "server2"]);
    steps.extend([
        start().part("Two services"),
        Step::new("http", "director", "ipvsadm -A -t 203.0.113.1:80 -s rr"),
        add("203.0.113.1:80", "10.0.0.11", "-m"),
        add("203.0.113.1:80", "10.0.0.12", "-m"),
        Step::new("https", "director", "ipvsadm -A -t 203.0.113.1:443 -s rr"),
        add("203.0.113.1:443", "10.0.0.11", "-m"),
        add("203.0.113.1:443", "10.0.0.12", "-m"),
        Step::new("http and https in turn", "client", both(3))
            .means("Two services, two round robins: each goes on where its own last connection was.")
            .check("http and https each take turns by themselves", |said| {
                let lines = said.lines();
                lines.len() == 6 && lines.chunks(2).all(|pair| pair[0] == pair[1])
            }),
        Step::new(
            "Mark both ports",
            "director",
            "ipvsadm -C; iptables -t mangle -A PREROUTING -d 203.0.113.1 -p tcp -m multiport --dports 80,443 \
             -j MARK --set-mark 3",
        )
        .part("One service"),
        Step::new("A service for the mark", "director", "ipvsadm -A -f 3 -s sh"),
        Step::new("server1", "director", "ipvsadm -a -f 3 -r 10.0.0.11 -m"),
        Step::new("server2", "director", "ipvsadm -a -f 3 -r 10.0.0.12 -m"),
        Step::new("http and https in turn", "client", both(3))
            .means("sh picks by the client's address: its basket and its till are on one server.")
            .check("six answers from one server", |said| same(said) && said.lines().len() == 6),
        Step::new("Round robin instead", "director", "ipvsadm -E -f 3 -s rr"),
        Step::new("http and https in turn", "client", both(5))
            .means("One service, one round robin: connections alternate over both ports together.")
            .check("ten answers, every one from the other server", |said| {
                alternates(said) && said.lines().len() == 10
            }),
        Step::new("What the rule has counted", "director", "iptables -t mangle -vnL PREROUTING")
            .says("MARK set 0x3"),
        stop(),
    ]);
    steps
}
