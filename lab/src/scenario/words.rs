//! Words that several scenarios need: steps that they share, and what answers are asked for.

use crate::play::{Said, Step};
use crate::topo::{NatLab, NatOptions, Topology};

/// `curl`, `for` loops and more are typed with these options.
pub(super) const CURL: &str = "curl -s --max-time 10";

/// Clients, a director, so many servers, wired for NAT.
pub(super) fn nat_lab(servers: usize) -> anyhow::Result<Box<dyn Topology>> {
    Ok(Box::new(NatLab::new(&NatOptions { servers, ..NatOptions::default() })?))
}

/// Starts the engine on the director.
pub(super) fn start() -> Step {
    Step::new("Start ulvs", "director", "ulvs run --detach").means(
        "IPVS is part of the kernel and always there; ulvs is a program. It takes packets for virtual addresses out of \
         the kernel and puts them back rewritten.",
    )
}

/// Ends it; the director has to be as it was.
pub(super) fn stop() -> Step {
    Step::new("Put everything back", "director", "ulvs stop")
        .means("Routes, rules and settings that ulvs has changed are what they were before it started.")
        .restores()
}

/// Every line is the same.
pub(super) fn same(said: &Said<'_>) -> bool {
    let lines = said.lines();
    lines.len() > 1 && lines.windows(2).all(|pair| pair[0] == pair[1])
}

/// No line is the same as the one before.
pub(super) fn alternates(said: &Said<'_>) -> bool {
    let lines = said.lines();
    lines.len() > 1 && lines.windows(2).all(|pair| pair[0] != pair[1])
}

/// How many lines are this one.
pub(super) fn count(said: &Said<'_>, line: &str) -> usize {
    said.lines().iter().filter(|said| **said == line).count()
}
