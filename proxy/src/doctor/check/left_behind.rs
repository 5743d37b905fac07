//! What an engine that was killed has left.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "left-behind",
    about: "rules and settings that a killed engine has left",
    real: false,
    needs: Needs::State,
    find,
};

const WHY: &str = "routing rules and settings of an engine that is no more are still in force: packets to its VIPs go \
                   nowhere. The next `ulvs run` puts everything back too";

fn find(facts: &Facts) -> Vec<Finding> {
    let note = facts.left_behind.iter();
    let told =
        note.map(|note| format!("no engine is running, and its note {} is still there", note.display()));
    told.map(|saw| Finding::fault("this host", saw, WHY).cure("ulvs clean")).collect()
}
