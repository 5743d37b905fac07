//! Services that have nobody to give a connection to.

use super::Check;
use crate::doctor::facts::{Facts, option};
use crate::doctor::finding::Finding;
use sched::Weight;

pub(super) const CHECK: Check =
    Check { name: "weights", about: "services without servers, or with all weights 0", real: false, find };

const NONE: &str = "clients are refused: there is nobody to serve them";
const ZERO: &str = "a server of weight 0 gets no new connections: those that it has go on, new clients are refused";

fn find(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for service in &facts.services {
        let (about, option) = (format!("service {}", service.key.word()), option(&service.key));
        if service.dests.is_empty() {
            let finding = Finding::fault(about, "it has no server", NONE);
            found.push(finding.cure(format!("ulvs ipvsadm -a {option} -r SERVER -m")));
            continue;
        }
        if service.dests.iter().all(|dest| dest.weight == Weight(0)) {
            let saw = format!("the weights of all {} servers are 0", service.dests.len());
            let finding = Finding::fault(about, saw, ZERO);
            found.push(service.dests.iter().fold(finding, |finding, dest| {
                finding.cure(format!("ulvs ipvsadm -e {option} -r {} {} -w 1", dest.addr, dest.method.flag()))
            }));
        }
    }
    found
}
