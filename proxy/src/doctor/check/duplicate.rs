//! Somebody else has the VIP.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "duplicate-vip",
    about: "others on the link that have the VIP as well",
    real: false,
    needs: Needs::Arp,
    find,
};

const WHY: &str = "two hosts with one address: each neighbour finds the one that answers it first. A second director that was \
                   not stopped, or an address that was given away twice";

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(probes) = &facts.probes else { return Vec::new() };
    let mut found = Vec::new();
    for vip in facts.vips() {
        // Before there is an engine the address may still be where it was: it is taken all the same.
        for mac in probes.arp.get(&vip).into_iter().flatten() {
            if facts.server_of(*mac).is_some() || facts.host.links.iter().any(|link| link.mac == Some(*mac)) {
                continue;
            }
            let known =
                facts.host.neighbours.iter().find(|n| n.mac == Some(*mac) && n.ip.is_ipv4() && n.ip != vip);
            let who = known.map_or_else(|| mac.to_string(), |neighbour| format!("{} ({mac})", neighbour.ip));
            let on = facts.host.on_link(vip).map_or("its link", |(link, _)| &link.name);
            let finding =
                Finding::fault(format!("VIP {vip}"), format!("{who} on {on} answers ARP for it"), WHY);
            found.push(match known {
                Some(neighbour) => finding.cure_on(
                    neighbour.ip,
                    format!("ip -o address show to {vip} | while read -r _ dev _ at _; do ip address del \"$at\" dev \"$dev\"; done"),
                ),
                None => finding,
            });
        }
    }
    found
}
