//! The scenarios of `ulvs lab`: a topology, and what is typed in it. A new one is a file here and a line in [`ALL`].
//!
//! Everything that happens is typed into a shell of a machine, so whoever watches can do the same by hand after
//! `ulvs lab up`. Words that several scenarios need are in `words`.

mod arp;
mod container;
mod dr;
mod fullnat;
mod fwmark;
mod health;
mod l7;
mod lecture;
mod nat;
mod persistence;
mod save_restore;
mod schedulers;
mod sorry;
mod tls_offload;
mod tls_rs;
mod tun;
mod words;

use anyhow::{bail, ensure};

use crate::play::Step;
use crate::standing::{Standing, Terms, on_path};
use crate::topo::Topology;

/// A scenario.
pub(crate) struct Scenario {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it shows, in one line.
    pub(crate) summary: &'static str,
    /// What it is about, before the first step.
    pub(crate) intro: &'static str,
    /// Its network.
    pub(crate) topology: fn(&Terms) -> anyhow::Result<Box<dyn Topology>>,
    /// The machines whose web server runs from the start.
    pub(crate) serving: &'static [&'static str],
    /// Programs of the real machine that it cannot do without, and the packages that have them.
    pub(crate) needs: &'static [(&'static str, &'static str)],
    /// What is typed.
    pub(crate) steps: fn() -> Vec<Step>,
}

/// Every scenario.
pub(crate) const ALL: &[Scenario] = &[
    lecture::SCENARIO,
    nat::SCENARIO,
    fullnat::SCENARIO,
    dr::SCENARIO,
    tun::SCENARIO,
    fwmark::SCENARIO,
    persistence::SCENARIO,
    schedulers::SCENARIO,
    save_restore::SCENARIO,
    tls_rs::SCENARIO,
    tls_offload::SCENARIO,
    l7::SCENARIO,
    health::SCENARIO,
    sorry::SCENARIO,
    arp::SCENARIO,
    container::SCENARIO,
];

/// How long the streams are that scenarios fetch. The embedded server has every length, nginx needs a page for each.
pub(crate) const TRANSFERS: [u64; 2] = [nat::BYTES, tun::BYTES];

/// What every scenario types.
const ALWAYS: [(&str, &str); 2] = [("bash", "bash"), ("curl", "curl")];

impl Scenario {
    pub(crate) fn steps(&self) -> Vec<Step> {
        (self.steps)()
    }

    /// Whether this machine has the programs that are typed.
    pub(crate) fn has_what_it_needs(&self, terms: &Terms) -> anyhow::Result<()> {
        let nginx = terms.real.then_some(("nginx", "nginx"));
        let needs = ALWAYS.into_iter().chain(self.needs.iter().copied()).chain(nginx);
        let missing: Vec<_> = needs.filter(|(program, _)| !on_path(program)).collect();
        let Some((program, _)) = missing.first() else { return Ok(()) };
        let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
        bail!(
            "the scenario {} types {program}, which this machine lacks; on Debian: apt-get install {}",
            self.name,
            packages.join(" ")
        )
    }

    /// Builds its network, with machines that can be worked on.
    pub(crate) fn stand(&self, terms: &Terms) -> anyhow::Result<Standing> {
        let standing = Standing::new((self.topology)(terms)?, terms)?;
        for machine in self.serving {
            let output = standing.shell(machine, "systemctl start httpd")?.output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            ensure!(output.status.success(), "the web server of {machine} does not start: {}", said.trim());
        }
        Ok(standing)
    }
}
