//! Packets that are being dropped now, by the engine or on their way to it and from it.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;
use engine::DropReason;

pub(super) const CHECK: Check = Check {
    name: "drops",
    about: "packets that are dropped while the doctor looks, by which reason, or that could not be sent or taken",
    real: false,
    needs: Needs::Time,
    find,
};

const WHY: &str = "somebody sends these packets now, and nobody gets them. Some are what the internet sends by itself; many \
                   of one kind are a client or a network that something is wrong with";

/// Counters of the port, each with what it counts and what is behind it.
const PORT: [(&str, &str, &str); 4] = [
    (
        "unsent",
        "the kernel would not send them",
        "a device is down or its queue is full, or a packet is longer than its way allows (`ulvs help tun`)",
    ),
    (
        "unresolved",
        "their next hop did not answer ARP or neighbour discovery",
        "a server or router that the packets are to go by is down, or is not on this link (`ulvs help arp`)",
    ),
    (
        "lost",
        "a ring was full",
        "packets come faster than the workers take them: more of them (`workers` in [engine] of the configuration) if \
         processors are idle",
    ),
    (
        "unreadable",
        "the kernel handed them over in a form that cannot be read",
        "a device or a guest sends super-packets of a kind that the engine does not know; it is best told not to: ethtool -K",
    ),
];

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(engine) = &facts.engine else { return Vec::new() };
    let grown = |before: Option<&u64>, now: u64| {
        let more = now.saturating_sub(before.copied().unwrap_or_default());
        (more > 0).then(|| format!("{more} in a second, {now} in all: "))
    };
    let dropped = engine.later.drops.iter().filter_map(|(name, now)| {
        let grown = grown(engine.status.drops.get(name), *now)?;
        let meaning = DropReason::ALL.iter().find(|reason| reason.name() == name).map(|r| r.meaning());
        Some(Finding::note(format!("drop reason {name}"), grown + meaning.unwrap_or("unknown."), WHY))
    });
    let port = PORT.iter().filter_map(|(name, meaning, why)| {
        let grown = grown(engine.status.counters.get(*name), *engine.later.counters.get(*name)?)?;
        Some(Finding::note(format!("packets counted as {name}"), grown + meaning, why))
    });
    dropped.chain(port).collect()
}
