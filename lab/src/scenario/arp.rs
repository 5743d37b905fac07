//! What goes wrong in direct routing without `arp_ignore`.

use super::Scenario;
use super::words::{CURL, add, alternates, one_link, same, start, stop};
use crate::play::{Said, Step};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "arp",
    summary: "direct routing without arp_ignore: what goes wrong, and `ulvs real start`, which cures it",
    intro: "With direct routing the servers have the VIP. Linux answers ARP for any address that it has, on any link. If a \
            server answers for the VIP, the router sends everything there, and the director gets nothing to balance. The \
            treacherous part: pages still come.",
    topology: one_link,
    serving: &["server1", "server2"],
    needs: &[("ip", "iproute2"), ("arping", "iputils-arping")],
    steps,
};

/// Answers to a question that everybody hears, for a second.
fn ask() -> &'static str {
    "arping -b -w 1 -I south 10.0.0.100"
}

/// How many machines have answered.
fn macs(said: &Said<'_>) -> usize {
    let of = |line: &&str| {
        line.split_once('[').map(|(_, rest)| rest.split(']').next().unwrap_or_default().to_owned())
    };
    said.lines().iter().filter_map(of).collect::<std::collections::BTreeSet<_>>().len()
}

fn steps() -> Vec<Step> {
    let get = || format!("for i in {{1..6}}; do {CURL} http://10.0.0.100/; done");
    let vip = |server: &'static str| {
        Step::new(
            format!("{server} gets the VIP, and nothing else"),
            server,
            "ip addr add 10.0.0.100/32 dev lo",
        )
    };
    let real = |server: &'static str| {
        Step::new(
            format!("{server}, as it should be"),
            server,
            "ip addr del 10.0.0.100/32 dev lo; ulvs real start --vip 10.0.0.100",
        )
    };
    let connections = |said: &Said<'_>| -> Option<u32> {
        let service = said.lines().into_iter().find(|line| line.starts_with("TCP"))?;
        service.split_whitespace().nth(2)?.parse().ok()
    };
    vec![
        vip("server1").part("The mistake"),
        vip("server2"),
        Step::new("Who has the VIP?", "edge", ask())
            .means("The director is not even running, and there are two answers: both servers say that they have it.")
            .check("two machines answer", |said| macs(said) == 2),
        Step::new("Requests", "client", get())
            .means("Pages come, without any director: from whichever server the router has believed.")
            .check("always the same server", |said| same(said) && said.lines().len() == 6),
        start(),
        Step::new("The service", "director", "ipvsadm -A -t 10.0.0.100:80 -s rr"),
        add("10.0.0.100:80", "10.0.0.11", "-g"),
        add("10.0.0.100:80", "10.0.0.12", "-g"),
        Step::new("Who has the VIP?", "edge", ask())
            .means(
                "Three answers, and the router believes the one that comes first, whenever it asks again. Until then all may \
                 seem well. Two signs of this mistake: counters that stand still (ipvsadm -Ln --stats) while clients are \
                 served, and a neighbour entry that changes.",
            )
            .check("three machines answer", |said| macs(said) == 3),
        real("server1").part("The cure").says("arp_ignore"),
        real("server2").show(0),
        Step::new("Who has the VIP?", "edge", ask()).check("one machine answers: the director", |said| macs(said) == 1),
        Step::new("The router forgets", "edge", "ip neigh flush dev south")
            .means("By hand; by itself it would take a minute or so until it asks again."),
        Step::new("Requests", "client", get()).check("the servers take turns", |said| alternates(said) && said.lines().len() == 6),
        Step::new("What passed the director", "director", "ipvsadm -Ln --stats")
            .check("all six connections", move |said| connections(said) == Some(6)),
        stop(),
    ]
}
