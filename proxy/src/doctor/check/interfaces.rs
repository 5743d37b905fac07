//! Devices that the packet port was told to use.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "interfaces",
    about: "devices of the packet port that are missing or down",
    real: false,
    needs: Needs::State,
    find,
};

const MISSING: &str =
    "the packet port takes packets from these devices alone: by one that does not exist none come";
const DOWN: &str = "no packet comes by a device that is down";

fn find(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in &facts.interfaces {
        let about = format!("device {name}");
        match facts.host.named(name) {
            None => {
                let there =
                    facts.host.links.iter().filter(|link| link.resolves).map(|link| link.name.as_str());
                let saw =
                    format!("there is no such device; there are {}", there.collect::<Vec<_>>().join(", "));
                found.push(Finding::fault(about, saw, MISSING));
            }
            Some(link) if !link.up => {
                let finding = Finding::fault(about, "it is down", DOWN);
                found.push(finding.cure(format!("ip link set {name} up")));
            }
            Some(_) => {}
        }
    }
    found
}
