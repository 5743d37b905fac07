//! Putting everything back, by the journal and by what tells ours from others'.

use std::fmt;
use std::path::Path;

use tracing::info;

use super::host::{Family, Host};
use super::journal::Journal;
use super::knobs::Knobs;
use super::marks::Marks;
use super::rings::Ingress;
use super::rules::{Displaced, Found};
use super::{SteerError, proxies, routes};
use crate::netlink::NetlinkSocket;

/// What was put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Policy routing rules removed.
    pub rules: usize,
    /// Rules `lookup local` put back to preference 0.
    pub restored_rules: usize,
    /// Routes removed.
    pub routes: usize,
    /// Proxy ARP entries removed.
    pub proxies: usize,
    /// Settings put back.
    pub settings: usize,
    /// The nf_tables table of family `inet` was there.
    pub nftables: bool,
    /// The one of family `netdev` was there.
    pub ingress: bool,
}

impl Report {
    /// Whether there was anything to put back.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = match (self.nftables, self.ingress) {
            (true, true) => "tables inet ulvs and netdev ulvs",
            (true, false) => "table inet ulvs",
            (false, true) => "table netdev ulvs",
            (false, false) => "no nftables table",
        };
        write!(
            f,
            "{} rules, {} routes, {} proxy entries, {table} removed; {} settings, {} rules at preference 0 put back",
            self.rules, self.routes, self.proxies, self.settings, self.restored_rules
        )
    }
}

/// Undoes what a dead process has left in the network namespace of the calling thread. Does nothing where there is
/// nothing.
///
/// # Errors
/// [`SteerError::Busy`] while the process lives; else the first failure, after all the rest was tried.
pub fn clean(state_dir: &Path) -> Result<Report, SteerError> {
    let mut netlink = NetlinkSocket::open(netlink_sys::protocols::NETLINK_ROUTE)
        .map_err(SteerError::netlink("open a netlink socket"))?;
    undo(&mut netlink, &mut Journal::open(state_dir)?, Marks::open(0).ok(), Ingress::unused().ok())
}

/// Puts back what the journal says, removes what is ours. Everything is tried; the journal stays when something
/// failed. `marks` and `ingress` are the tables' owners if they are alive: while its socket is open somewhere (in a child between fork and
/// exec too), nobody else may remove the table.
pub(super) fn undo(
    netlink: &mut NetlinkSocket,
    journal: &mut Journal,
    marks: Option<Marks>,
    ingress: Option<Ingress>,
) -> Result<Report, SteerError> {
    // First: nobody takes what it drops.
    let ingress = ingress.is_some_and(|mut ingress| ingress.remove().unwrap_or(false));
    let mut report = Report { ingress, ..Report::default() };
    let mut result = Ok(());
    let mut attempt = |step: Result<(), SteerError>| {
        result = std::mem::replace(&mut result, Ok(())).and(step);
    };
    for family in Family::available() {
        attempt(rules(netlink, journal, family, &mut report));
        attempt(routes::clear(netlink, family).map(|removed| report.routes += removed));
    }
    attempt(proxies::clear(netlink).map(|removed| report.proxies = removed));
    match Host::read(netlink, &[]) {
        Ok(host) => report.settings = Knobs::left(&journal.entries().held).release_all(&host, netlink),
        Err(e) => attempt(Err(SteerError::netlink("read the links")(e))),
    }
    // Last, because it keeps devices whose forwarding was on from forwarding. No nf_tables, no table.
    report.nftables = marks.is_some_and(|mut marks| marks.remove().unwrap_or(false));
    result.and_then(|()| journal.remove())?;
    Ok(report)
}

fn rules(
    netlink: &mut NetlinkSocket,
    journal: &Journal,
    family: Family,
    report: &mut Report,
) -> Result<(), SteerError> {
    let found = Found::read(netlink, family)?;
    let noted = journal.entries().displaced.iter().copied().find(|displaced| displaced.family == family);
    // Without a note: a host with our rules that looks up its own addresses nowhere else had it at 0.
    let lost = (found.any() && !found.has_local).then(|| Displaced::original(family));
    if let Some(rule) = noted.or(lost)
        && found.local_at_0.is_none()
    {
        rule.restore(netlink)?;
        report.restored_rules += 1;
        info!("{family:?}: moved the rule `lookup local` back to preference 0");
    }
    report.rules += found.become_(netlink, &std::collections::BTreeSet::new())?;
    Ok(())
}
