//! Direct routing: a server has the VIP, and must not tell its link so.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "server-arp",
    about: "servers that answer ARP for the VIP (arp_ignore)",
    real: false,
    needs: Needs::Arp,
    find,
};

const WHY: &str = "whoever asks for the VIP takes the first answer, and some take the server for the director: their \
                   connections all go to that one server, past the service, or change over when the answer does";

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(probes) = &facts.probes else { return Vec::new() };
    let mut found = Vec::new();
    for vip in facts.vips() {
        for mac in probes.arp.get(&vip).into_iter().flatten() {
            let Some(server) = facts.server_of(*mac) else { continue };
            let saw = format!("{server} ({mac}) answers ARP for {vip}");
            let finding = Finding::fault(format!("VIP {vip}"), saw, WHY);
            found.push(finding.cure_on(server, format!("ulvs real start --vip {vip}")));
        }
    }
    found
}
