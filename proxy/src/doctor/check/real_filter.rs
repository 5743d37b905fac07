//! A real server whose reverse path filter drops what the director sends.

use sched::counted;

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "real-filter",
    about: "packets that this real server's reverse path filter drops",
    real: true,
    needs: Needs::State,
    find,
};

const STRICT: i64 = 1;
const WHY: &str = "the director sends clients' packets by its own link, and answers leave by the way to the clients: where that \
                   is another device a strict filter drops them all";

fn find(facts: &Facts) -> Vec<Finding> {
    let vips = facts.real.as_ref().map_or(0, |real| real.vips.len());
    let (dropped, _) = facts.counter("TcpExt.IPReversePathFilter");
    let strict = facts.host.links.iter().filter(|link| link.up && link.mac.is_some());
    let strict: Vec<_> = strict.filter(|link| facts.conf4(&link.name, "rp_filter") == STRICT).collect();
    if vips == 0 || dropped == 0 || strict.is_empty() {
        return Vec::new();
    }
    let names = strict.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
    let saw =
        format!("it has dropped {} since this host began; strict on {names}", counted(dropped, "packet"));
    let finding = Finding::fault(names, saw, WHY);
    vec![strict.iter().fold(finding, |finding, link| {
        finding.cure(format!("sysctl -w net.ipv4.conf.{}.rp_filter=2", link.name.replace('.', "/")))
    })]
}
