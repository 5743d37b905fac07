//! NAT with weights: what LVS is, for someone who has never seen it.

use super::Scenario;
use super::words::{CURL, nat_lab, start, stop};
use crate::pattern::Pattern;
use crate::play::Step;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "nat",
    summary: "weighted round robin over three servers by NAT, then 1 GiB through it",
    intro: "Network namespaces stand for machines, with cables between them. The client talks to one address, the VIP, \
            behind which there is no machine at all. Each server runs a web server whose only page is its own name.",
    topology: |terms| nat_lab(terms, 3),
    serving: &["server1", "server2", "server3"],
    needs: &[("ping", "iputils-ping"), ("sha256sum", "coreutils")],
    steps,
};

/// What the kernel's IPVS chose for weights of 3, 2 and 1 and twelve connections, as recorded.
const KERNEL_WRR: [u8; 12] = [3, 2, 1, 1, 2, 1, 3, 2, 1, 1, 2, 1];
pub(super) const BYTES: u64 = 1 << 30;

fn steps() -> Vec<Step> {
    let server = |number: u8, weight: u8| {
        Step::new(
            format!("Server {number}, with a weight of {weight}"),
            "director",
            format!("ipvsadm -a -t 203.0.113.1:80 -r 10.0.0.1{number}:80 -m -w {weight}"),
        )
    };
    let kernel = KERNEL_WRR.map(|number| format!("server{number}"));
    let sha256 = Pattern::default().sha256(BYTES);
    vec![
        start().part("A service"),
        Step::new("A service on the VIP", "director", "ipvsadm -A -t 203.0.113.1:80 -s wrr")
            .means("TCP port 80 of the VIP, balanced by weighted round robin."),
        server(1, 3).means("-m is NAT. Of every six connections this server shall get three."),
        server(2, 2),
        server(3, 1),
        Step::new(
            "Twelve requests",
            "client",
            format!("for i in {{1..12}}; do {CURL} http://203.0.113.1/; done"),
        )
        .part("Requests")
        .means("Each over a new TCP connection.")
        .check(
            "each was answered by the server that the kernel's IPVS chose when it was asked the same",
            move |said| said.lines() == kernel,
        ),
        Step::new("What the balancer knows", "director", "ipvsadm -Ln")
            .means(
                "Services and servers, with connections that are open (ActiveConn) and closing (InActConn).",
            )
            .check("every server is listed", |said| said.text.matches("Masq").count() == 3),
        Step::new("Each connection", "director", "ipvsadm -Lnc")
            .show(5)
            .means("How long it will be remembered, from whom, to which VIP, by which server.")
            .check("all twelve are listed", |said| {
                said.lines().iter().filter(|line| line.starts_with("TCP")).count() == 12
            }),
        Step::new("Ping the VIP", "client", "ping -c 3 -i 0.2 203.0.113.1")
            .means("No machine has this address. The balancer answers in its name, as a machine would.")
            .says("3 received"),
        Step::new(
            "1 GiB through it",
            "client",
            format!("curl -s http://203.0.113.1/bytes/{BYTES} | sha256sum"),
        )
        .means("Every byte passes the balancer; the sum is known beforehand.")
        .check("what arrived is what the server has sent", move |said| said.text.contains(&sha256)),
        stop(),
    ]
}
