//! A real server that tells its link that it has the VIP.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "real-arp",
    about: "a VIP of this real server that it answers ARP for, or asks in the name of (arp_ignore, arp_announce)",
    real: true,
    needs: Needs::State,
    find,
};

const IGNORE: &str = "neighbours who ask for the VIP are answered by this server as well as by the director: those who take \
                      its answer go past the service";
const ANNOUNCE: &str = "when this server asks for a neighbour it may do so in the name of the VIP: whoever hears that believes \
                        the VIP to be here";

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(real) = &facts.real else { return Vec::new() };
    let vips: Vec<_> = real.vips.keys().filter(|vip| vip.is_ipv4()).collect();
    let mut found = Vec::new();
    if vips.is_empty() {
        return found;
    }
    let words = vips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    for (key, least, why) in [("arp_ignore", 1, IGNORE), ("arp_announce", 2, ANNOUNCE)] {
        let links = facts.host.links.iter().filter(|link| link.up && link.resolves && link.mac.is_some());
        let hidden = |name: &str| real.vips.values().any(|device| device == name);
        let low = links.filter(|link| !hidden(&link.name) && facts.conf4(&link.name, key) < least);
        let low: Vec<_> = low.map(|link| link.name.as_str()).collect();
        if low.is_empty() {
            continue;
        }
        let saw = format!("{key} is less than {least} on {}", low.join(", "));
        let method = if real.tunnelled.is_empty() { "" } else { " --method tun" };
        let finding = Finding::fault(format!("VIP {words}"), saw, why);
        found.push(finding.cure(format!("ulvs real start --vip {words}{method}")));
    }
    found
}
