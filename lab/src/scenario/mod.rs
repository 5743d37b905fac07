//! The scenarios of `ulvs lab run`. A new one is a file here and a line in [`ALL`].

mod container;
mod fullnat;
mod nat;

use crate::stage::Stage;

/// A scenario: builds its lab, tells what happens and checks it.
pub(crate) struct Scenario {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it shows, in one line.
    pub(crate) summary: &'static str,
    /// Plays it. An error means that it could not be played to its end.
    pub(crate) run: fn(&mut Stage) -> anyhow::Result<()>,
}

/// Every scenario.
pub(crate) const ALL: &[Scenario] = &[nat::SCENARIO, fullnat::SCENARIO, container::SCENARIO];
