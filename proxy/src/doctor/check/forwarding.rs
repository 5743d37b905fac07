//! Settings that an engine needs and cannot make.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;
use sched::Family;

pub(super) const CHECK: Check = Check {
    name: "forwarding",
    about: "forwarding that is off where nobody can turn it on",
    real: false,
    needs: Needs::State,
    find,
};

const WHY: &str = "the kernel hands packets of services to the engine and takes them back as a router does. ulvs turns that on \
                   by itself, device by device; for IPv6 it has to write to /proc/sys, which is read-only here, so that \
                   `ulvs run` refuses services of IPv6 (in a container: --sysctl net.ipv6.conf.all.forwarding=1)";

fn find(facts: &Facts) -> Vec<Finding> {
    let ipv6 = facts.services.iter().filter(|service| service.key.family() == Family::Ipv6).count();
    let setting = "net.ipv6.conf.all.forwarding";
    if ipv6 == 0 || !facts.sysctls_fixed || facts.sysctls.get(setting) != Some(&0) || facts.engine.is_some() {
        return Vec::new();
    }
    let saw = format!("{setting} is 0 and /proc/sys is read-only; there are {ipv6} services of IPv6");
    vec![Finding::fault("this host", saw, WHY).cure(format!("sysctl -w {setting}=1"))]
}
