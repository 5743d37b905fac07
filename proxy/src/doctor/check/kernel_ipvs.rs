//! The kernel's own IPVS, with services of the same addresses.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;
use sched::ServiceKey;

pub(super) const CHECK: Check = Check {
    name: "kernel-ipvs",
    about: "services of the kernel's IPVS at the same address",
    real: false,
    needs: Needs::State,
    find,
};

const WHY: &str = "both want the same packets: those for an address of this host, and marked ones, may be taken by the kernel, \
                   which has servers and connections of its own. The kernel's ipvsadm removes it";

fn find(facts: &Facts) -> Vec<Finding> {
    let both = facts.services.iter().filter(|service| {
        let listed = match service.key {
            ServiceKey::Mark { mark, .. } => format!("FWM {}", mark.0),
            ServiceKey::Addr { .. } => service.key.to_string(),
        };
        facts.ipvs.contains(&listed)
    });
    both.map(|service| {
        let saw = format!("the kernel's IPVS has {} as well", service.key);
        let option = control::save::service(&service.key);
        Finding::fault(format!("service {}", service.key.word()), saw, WHY)
            .cure(format!("/sbin/ipvsadm -D {option}"))
    })
    .collect()
}
