//! A real server whom packets come to in tunnels.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "real-tunnels",
    about: "tunnels that nobody takes packets out of on this real server, or two do",
    real: true,
    needs: Needs::State,
    find,
};

const NOBODY: &str = "packets from the director arrive in tunnels and stay in them: clients get no answer";
const TWICE: &str = "the kernel takes packets out of tunnels as well: the server gets them twice";

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(real) = facts.real.as_ref().filter(|real| !real.tunnelled.is_empty()) else { return Vec::new() };
    let mut found = Vec::new();
    if !real.decapsulates {
        let vips = real.tunnelled.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let saw = "the process that takes packets out of tunnels is gone, or its device is down";
        let finding = Finding::fault(format!("VIP {vips}"), saw, NOBODY);
        found.push(finding.cure(format!("ulvs real start --method tun --vip {vips}")));
    }
    for device in &real.rivals {
        let saw = format!("{device}, a device of the kernel's, is up");
        let finding = Finding::warning(format!("device {device}"), saw, TWICE);
        found.push(finding.cure(format!("ip link set {device} down")));
    }
    found
}
