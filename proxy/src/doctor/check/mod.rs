//! The checks: each looks for one kind of mistake. A new one is a file and a line in [`ALL`], and a laboratory that makes
//! the mistake.

mod arp;
mod certificates;
mod clocks;
mod drops;
mod duplicate;
mod filter;
mod forwarding;
mod interfaces;
mod kernel_ipvs;
mod left_behind;
mod limits;
mod marks;
mod mtu;
mod neighbours;
mod notices;
mod persistence;
mod port_taken;
mod real_arp;
mod real_filter;
mod real_listener;
mod real_lost;
mod real_tunnels;
mod rp_filter;
mod rules;
mod same_link;
mod server_tls;
mod servers;
mod vip;
mod way_back;
mod weights;

use super::facts::Facts;
use super::finding::Finding;

/// A kind of mistake.
#[derive(Debug)]
pub(crate) struct Check {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What it looks for.
    pub(crate) about: &'static str,
    /// On a real server; else on a director.
    pub(crate) real: bool,
    pub(crate) needs: Needs,
    pub(crate) find: fn(&Facts) -> Vec<Finding>,
}

/// What facts a check goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// How things are.
    State,
    /// And who answers ARP.
    Arp,
    /// And which pings come back.
    Pings,
    /// And what comes of packets of all kinds.
    Packets,
    /// And what changes while one looks.
    Time,
}

/// All of them.
pub(crate) const ALL: &[Check] = &[
    servers::CHECK,
    way_back::CHECK,
    same_link::CHECK,
    vip::CHECK,
    arp::CHECK,
    duplicate::CHECK,
    neighbours::CHECK,
    rp_filter::CHECK,
    forwarding::CHECK,
    rules::CHECK,
    filter::CHECK,
    mtu::CHECK,
    port_taken::CHECK,
    weights::CHECK,
    persistence::CHECK,
    marks::CHECK,
    certificates::CHECK,
    server_tls::CHECK,
    clocks::CHECK,
    limits::CHECK,
    drops::CHECK,
    kernel_ipvs::CHECK,
    left_behind::CHECK,
    interfaces::CHECK,
    notices::CHECK,
    real_arp::CHECK,
    real_filter::CHECK,
    real_lost::CHECK,
    real_tunnels::CHECK,
    real_listener::CHECK,
];

/// Seconds, as people count them.
fn span(seconds: i64) -> String {
    let (unit, name) = match seconds {
        ..120 => (1, "s"),
        120..7_200 => (60, "minutes"),
        7_200..172_800 => (3_600, "hours"),
        _ => (86_400, "days"),
    };
    format!("{} {name}", seconds / unit)
}

/// Whether a name of a certificate covers another one: a first label `*` stands for any.
fn is_for(name: &str, wanted: &str) -> bool {
    let below = |parent| wanted.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent));
    name.eq_ignore_ascii_case(wanted) || name.strip_prefix("*.").is_some_and(below)
}

#[cfg(test)]
mod tests;
