//! What somebody has told the neighbour table once and for all, and is no longer so; and hosts that answer for others.

use super::{Check, Needs};
use crate::doctor::facts::{Facts, words};
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "neighbours",
    about: "permanent neighbour entries that are wrong, proxy_arp on links with VIPs",
    real: false,
    needs: Needs::Arp,
    find,
};

const PERMANENT: &str = "packets to the server go to a link address that it does not have (any more): a permanent entry is \
                         never asked again";
const PROXY: &str = "this host answers ARP for every address that it has a route to by another link: neighbours send it \
                     packets that are for others, the servers among them";

fn find(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let mut told = std::collections::BTreeSet::new();
    for (service, dest) in facts.pairs() {
        let ip = dest.addr.ip();
        let Some(answers) = facts.probes.as_ref().and_then(|probes| probes.arp.get(&ip)) else { continue };
        let entry = facts.host.neighbours.iter().find(|n| n.ip == dest.addr.ip() && n.permanent);
        let Some((entry, mac)) = entry.and_then(|entry| Some((entry, entry.mac?))) else { continue };
        if answers.is_empty() || answers.contains(&mac) || !told.insert(ip) {
            continue;
        }
        let answers = answers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let name = facts.host.link(entry.device).map_or("its link", |link| &link.name);
        let saw = format!("{ip} is permanently at {mac} on {name}, but {answers} answers for it");
        let finding = Finding::fault(words(service, dest), saw, PERMANENT);
        found.push(finding.cure(format!("ip neigh del {ip} dev {name}")));
    }
    let of_vips =
        facts.vips().into_iter().filter_map(|vip| facts.host.on_link(vip)).map(|(link, _)| &link.name);
    let names: std::collections::BTreeSet<_> = of_vips.collect();
    for name in names.into_iter().filter(|name| facts.conf4(name, "proxy_arp") == 1) {
        let setting = format!("net.ipv4.conf.{}.proxy_arp", name.replace('.', "/"));
        let of_all = facts.sysctl("net.ipv4.conf.all.proxy_arp") == 1;
        let setting = if of_all { "net.ipv4.conf.all.proxy_arp".to_owned() } else { setting };
        let finding = Finding::warning(format!("device {name}"), format!("{setting} is 1"), PROXY);
        found.push(finding.cure(format!("sysctl -w {setting}=0")));
    }
    found
}
