//! The doctor: looks at this host and its services for the classical mistakes of LVS, says what it saw, why that matters
//! and the command that mends it.
//!
//! Three steps. [`gather`] collects facts: it reads the host, asks the engine, and sends a few packets unless told not to.
//! The [`check`]s find mistakes in the facts: pure functions, one file each. Whoever called shows the [`Finding`]s.
//! Nothing is ever changed.

mod check;
mod facts;
mod finding;
mod gather;

use control::source::Source;

use check::Needs;
pub(crate) use check::{ALL, Check};
pub(crate) use finding::{Cure, Finding, Severity};

/// What to look at.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// The services of the engine of this network namespace.
    Running,
    /// Those of a configuration file, before an engine has it.
    Config(Source),
    /// This host as a real server.
    Real,
}

/// What was found, and what was looked at for it.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The worst first.
    pub(crate) findings: Vec<Finding>,
    /// What the doctor has looked at, in words.
    pub(crate) subject: String,
    /// What it has sent, in words.
    pub(crate) asked: Vec<String>,
    /// What it could not see, and why.
    pub(crate) unseen: Vec<String>,
    /// Names of the checks that were made.
    pub(crate) checks: Vec<&'static str>,
}

const NO_VIP: &str = "this host has no VIP of a real server: give it one with `ulvs real start --vip VIP`, or look at a \
                      director with `ulvs doctor`";

/// Looks, and makes the checks of these names, or all. `passive`: no packet is sent.
///
/// # Errors
/// There is nothing to look at: no engine, no VIP, or a file that cannot be read.
pub(crate) fn examine(
    subject: &Subject,
    only: &[String],
    state_dir: &std::path::Path,
    passive: bool,
) -> Result<Report, String> {
    let real = matches!(subject, Subject::Real);
    let wanted = |check: &&Check| {
        check.real == real && (only.is_empty() || only.iter().any(|name| name == check.name))
    };
    let made: Vec<_> = ALL.iter().filter(wanted).collect();
    let need = |needs| made.iter().any(|check: &&Check| check.needs == needs);
    let all = need(Needs::Packets);
    let packets = gather::Packets { arp: all || need(Needs::Arp), pings: all || need(Needs::Pings), all };
    let effort = gather::Effort { packets, passive, time: need(Needs::Time) };
    let mut facts = gather::gather(subject, state_dir, effort)?;
    let mut findings: Vec<Finding> = Vec::new();
    for check in &made {
        findings.extend((check.find)(&facts).into_iter().map(|found| found.by(check.name)));
    }
    if findings.is_empty() && facts.real.as_ref().is_some_and(|real| real.vips.is_empty()) {
        return Err(NO_VIP.to_owned());
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(Report {
        findings,
        subject: facts.subject(),
        asked: std::mem::take(&mut facts.asked),
        unseen: std::mem::take(&mut facts.unseen),
        checks: made.iter().map(|check| check.name).collect(),
    })
}
