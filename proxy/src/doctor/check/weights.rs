//! Services that have nobody to give a connection to.

use control::save;

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;
use sched::{DestSpec, Weight};

pub(super) const CHECK: Check = Check {
    name: "weights",
    about: "services without servers, or with all weights 0",
    real: false,
    needs: Needs::State,
    find,
};

const NONE: &str = "clients are refused: there is nobody to serve them";
const ZERO: &str =
    "a server of weight 0 gets no new connections: those that it has go on, new clients are refused";

fn find(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for service in &facts.services {
        let about = format!("service {}", service.key.word());
        if service.dests.is_empty() {
            let finding = Finding::fault(about, "it has no server", NONE);
            found.push(finding.cure(format!("ulvs ipvsadm -a {} -r SERVER -m", save::service(&service.key))));
            continue;
        }
        if service.dests.iter().all(|dest| dest.weight == Weight(0)) {
            let saw = match service.dests.len() {
                1 => "the weight of its only server is 0".to_owned(),
                n => format!("the weights of all {n} servers are 0"),
            };
            let finding = Finding::fault(about, saw, ZERO);
            found.push(service.dests.iter().fold(finding, |finding, dest| {
                let dest = DestSpec { weight: Weight(1), ..dest.clone() };
                finding.cure(format!("ulvs ipvsadm {}", save::edit_server(&service.key, &dest)))
            }));
        }
    }
    found
}
