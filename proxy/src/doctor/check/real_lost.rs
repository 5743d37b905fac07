//! What `ulvs real start` has set up on a real server, and is so no longer.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "real-lost",
    about: "addresses and settings of `ulvs real start` that somebody has changed since",
    real: true,
    needs: Needs::State,
    find,
};

const WHY: &str = "this host was made a real server, and something of that was undone by hand or by another program: \
                   `ulvs real status` has it too";

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(real) = facts.real.as_ref().filter(|real| !real.lost.is_empty()) else { return Vec::new() };
    let start = |method: &str, tunnelled: bool| {
        let vips = real.vips.keys().filter(|vip| real.tunnelled.contains(*vip) == tunnelled);
        let vips: Vec<_> = vips.map(ToString::to_string).collect();
        (!vips.is_empty()).then(|| format!("ulvs real start --method {method} --vip {}", vips.join(" ")))
    };
    let finding = Finding::fault("this host", real.lost.join("; "), WHY);
    let starts = [start("dr", false), start("tun", true)].into_iter().flatten();
    vec![starts.fold(finding, Finding::cure)]
}
