//! A container with one address that balances by FullNAT: no route leads through it, no privilege but one.

use super::Scenario;
use super::words::{CURL, alternates};
use crate::play::Step;
use crate::topo::ContainerLab;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "container",
    summary: "a container with one address and one capability balances by FullNAT",
    intro: "The container has one interface and one address. Clients talk to that address; the servers are in another \
            network, and their way back to the client leads past the container.",
    topology: |terms| Ok(Box::new(ContainerLab::new(terms.root.as_deref())?)),
    serving: &["server1", "server2", "container"],
    needs: &[("ping", "iputils-ping"), ("unshare", "util-linux"), ("setpriv", "util-linux")],
    steps,
};

fn steps() -> Vec<Step> {
    let server = |number: u8| {
        let line = format!("ipvsadm -a -t 192.0.2.10:8000 -r 10.0.0.1{number}:80 --fullnat");
        Step::new(format!("server{number}"), "container", line)
    };
    vec![
        Step::new(
            "The balancer in it",
            "container",
            "./confine ulvs run > log 2>&1 &\nfor i in {1..200}; do ulvs status >/dev/null 2>&1 && break; sleep 0.05; done; \
             ulvs status",
        )
        .part("Start")
        .show(4)
        .means(
            "As little as it takes: every capability dropped but one, /proc/sys read-only, mounts and processes of its own. \
             For Docker that is\n  docker run --cap-drop ALL --cap-add NET_ADMIN --device /dev/net/tun \\\n    --sysctl \
             net.ipv6.conf.all.forwarding=1 IMAGE ulvs run\nwhere the --sysctl is for IPv6 only.",
        ),
        Step::new("A service on its own address", "container", "ipvsadm -A -t 192.0.2.10:8000 -s rr"),
        server(1).means(
            "FullNAT writes an address of ours into the packets as well, so that the servers answer us and nobody has to be \
             told a route. Without a pool it is the one that we would use ourselves.",
        ),
        server(2),
        Step::new("Requests", "client", format!("for i in {{1..4}}; do {CURL} http://192.0.2.10:8000/; done"))
            .part("Requests")
            .check("both servers take part", |said| alternates(said) && said.lines().len() == 4),
        Step::new("Whom do servers see?", "client", format!("{CURL} http://192.0.2.10:8000/whoami"))
            .check("the container", |said| said.text.starts_with("192.0.2.10:")),
        Step::new("Its own web server", "client", format!("{CURL} http://192.0.2.10/"))
            .part("What the container does beside")
            .means("The address is still the container's own: it has a server on another port ...")
            .says("container"),
        Step::new("Ping", "client", "ping -c 1 192.0.2.10").says("1 received").means("... answers pings ..."),
        Step::new("As a client", "container", format!("{CURL} http://10.0.0.11/"))
            .means("... and is a client of the very servers that it balances.")
            .says("server1"),
        Step::new("What the balancer knows", "container", "ipvsadm -Ln").says("FullNat"),
        Step::new("Put everything back", "container", "ulvs stop").restores(),
    ]
}
