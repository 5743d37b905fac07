//! What goes wrong in direct routing without `arp_ignore`.

use super::Scenario;
use super::words::{CURL, add, alternates, same, start, stop};
use crate::play::Step;
use crate::topo::{DirectLab, DirectOptions, VipPlace};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "arp",
    summary: "direct routing without arp_ignore: what goes wrong, and `ulvs real start`, which cures it",
    intro: "With direct routing the servers have the VIP. Linux answers ARP for any address that it has, on any link. If a \
            server answers for the VIP, the router sends everything there, and the director gets nothing to balance. The \
            treacherous part: pages still come.",
    topology: || {
        let options = DirectOptions { vip: VipPlace::Subnet, vip_on_servers: false, ..DirectOptions::default() };
        Ok(Box::new(DirectLab::new(&options)?))
    },
    serving: &["server1", "server2"],
    needs: &[("ip", "iproute2")],
    steps,
};

fn steps() -> Vec<Step> {
    let get = || format!("for i in {{1..6}}; do {CURL} http://10.0.0.100/; done");
    let vip = |server: &'static str| {
        Step::new(format!("{server} gets the VIP, and nothing else"), server, "ip addr add 10.0.0.100/32 dev lo")
    };
    let real = |server: &'static str| {
        Step::new(
            format!("{server}, as it should be"),
            server,
            "ip addr del 10.0.0.100/32 dev lo; ulvs real start --vip 10.0.0.100",
        )
    };
    let connections = |said: &crate::play::Said<'_>| -> Option<u32> {
        let service = said.lines().into_iter().find(|line| line.starts_with("TCP"))?;
        service.split_whitespace().nth(2)?.parse().ok()
    };
    vec![
        vip("server1").part("The mistake"),
        vip("server2"),
        Step::new("The router asks", "edge", "ping -c 1 -W 2 10.0.0.100 >/dev/null; ip neigh show 10.0.0.100")
            .keep("stolen")
            .says("lladdr")
            .means("The director is not even running, and somebody has answered: a server."),
        start(),
        Step::new("The service", "director", "ipvsadm -A -t 10.0.0.100:80 -s rr"),
        add("10.0.0.100:80", "10.0.0.11", "-g"),
        add("10.0.0.100:80", "10.0.0.12", "-g"),
        Step::new("Requests", "client", get())
            .means("Pages come. Round robin it is not.")
            .check("always the same server", |said| same(said) && said.lines().len() == 6),
        Step::new("What passed the director", "director", "ipvsadm -Ln --stats")
            .means("Nothing. A listing that stays at 0 while clients are served is the sign of this mistake.")
            .check("no connection", move |said| connections(said) == Some(0)),
        real("server1").part("The cure").says("arp_ignore"),
        real("server2").show(0),
        Step::new("The router asks again", "edge", "ip neigh flush dev south; ping -c 1 -W 2 10.0.0.100 >/dev/null; ip neigh show 10.0.0.100")
            .means("Flushed by hand; by itself it would take a minute or so until the router asks again.")
            .check("it is another one that answers", |said| {
                let mac = |text: &str| text.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).map(str::to_owned);
                mac(said.text).is_some() && mac(said.text) != mac(said.earlier("stolen"))
            }),
        Step::new("Requests", "client", get()).check("the servers take turns", |said| alternates(said) && said.lines().len() == 6),
        Step::new("What passed the director", "director", "ipvsadm -Ln --stats")
            .check("all six connections", move |said| connections(said) == Some(6)),
        stop(),
    ]
}
