//! What the engine itself says works less well here than it could.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "notices",
    about: "what the engine says works less well on this host than it could, offload among it",
    real: false,
    needs: Needs::State,
    find,
};

const NOTICE: &str =
    "the engine found this when it looked at the host, and looks again by itself: `ulvs status` has it too";
const OFFLOAD: &str = "without it every segment crosses the device by itself, with its checksum: bulk transfers take ten times \
                       the time of a processor";

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(engine) = &facts.engine else { return Vec::new() };
    let notice = |text: &String| Finding::note("the engine", text.clone(), NOTICE);
    let mut found: Vec<_> = engine.status.notices.iter().map(notice).collect();
    if engine.status.offload == "off" {
        found.push(Finding::note(format!("device {}", engine.status.device), "offload is off", OFFLOAD));
    }
    found
}
