//! Packets that are being dropped now.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;
use engine::DropReason;

pub(super) const CHECK: Check = Check {
    name: "drops",
    about: "reasons for which packets are dropped while the doctor looks",
    real: false,
    needs: Needs::Time,
    find,
};

const WHY: &str = "somebody sends these packets now, and nobody gets them. Some are what the internet sends by itself; many \
                   of one kind are a client or a network that something is wrong with";

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(engine) = &facts.engine else { return Vec::new() };
    let before = |name: &str| engine.status.drops.get(name).copied().unwrap_or_default();
    let grown = engine.later.drops.iter().map(|(name, now)| (name, now.saturating_sub(before(name)), *now));
    grown
        .filter(|(_, more, _)| *more > 0)
        .map(|(name, more, now)| {
            let meaning = DropReason::ALL.iter().find(|reason| reason.name() == name).map(|r| r.meaning());
            let saw = format!("{more} in a second, {now} in all: {}", meaning.unwrap_or("unknown."));
            Finding::note(format!("drop reason {name}"), saw, WHY)
        })
        .collect()
}
