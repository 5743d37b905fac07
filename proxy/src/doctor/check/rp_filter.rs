//! The reverse path filter of the kernel, which drops what comes by another way than its answer would leave.

use sched::counted;

use super::{Check, Needs};
use crate::doctor::facts::{Engine, Facts};
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "rp-filter",
    about: "packets of clients or servers that the kernel's reverse path filter drops",
    real: false,
    needs: Needs::Time,
    find,
};

const STRICT: i64 = 1;
const WHY: &str = "a strict filter drops packets that come by another device than the one by which this host would answer, \
                   before anybody else sees them: where clients come by one way and are answered by another, none is \
                   served. 2 (loose) still drops what nobody can have sent";

fn find(facts: &Facts) -> Vec<Finding> {
    let (all, lately) = facts.counter("TcpExt.IPReversePathFilter");
    // Rings take packets before the filter sees them.
    if all == 0 || facts.engine.as_ref().is_some_and(Engine::is_packet) {
        return Vec::new();
    }
    let strict = facts.host.links.iter().filter(|link| link.up && link.resolves);
    let strict: Vec<_> = strict.filter(|link| facts.conf4(&link.name, "rp_filter") == STRICT).collect();
    if strict.is_empty() {
        return Vec::new();
    }
    let names = strict.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
    let growing = if lately > 0 { format!(", {lately} of them just now") } else { String::new() };
    let saw = format!(
        "it has dropped {} since this host began{growing}; strict on {names}",
        counted(all, "packet")
    );
    let finding =
        if lately > 0 { Finding::fault(names, saw, WHY) } else { Finding::warning(names, saw, WHY) };
    let cured = strict.iter().fold(finding, |finding, link| {
        finding.cure(format!("sysctl -w net.ipv4.conf.{}.rp_filter=2", link.name.replace('.', "/")))
    });
    vec![cured]
}
