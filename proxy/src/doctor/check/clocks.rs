//! Clocks that differ: of servers, or this host's from everybody else's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Check, Needs, span};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "clocks",
    about: "servers of HTTP whose clock differs from this host's by minutes, or this host's from all of theirs",
    real: false,
    needs: Needs::Packets,
    find,
};

const SERVER: &str = "certificates, tickets, cookies and caches go by the time: what one server has issued another takes for \
                      expired, or for not valid yet; and logs do not fit together. Let it keep time by NTP";
const OURS: &str = "certificates count as expired here, or as not valid yet, when they are neither, and tickets of sessions \
                    live too long or not at all. Let this host keep time by NTP";

/// Seconds that may be between two clocks.
const APART: i64 = 300;

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(probes) = &facts.probes else { return Vec::new() };
    let ahead: BTreeMap<IpAddr, i64> = probes.ahead.iter().map(|(at, ahead)| (at.ip(), *ahead)).collect();
    let (least, most) = (ahead.values().min().copied(), ahead.values().max().copied());
    if let (Some(least), Some(most)) = (least, most)
        && ahead.len() > 1
        && ahead.values().all(|ahead| ahead.abs() > APART)
        && most - least <= APART
    {
        // What they all say is right.
        let saw = format!("it is {} that of all {} servers that were asked", distance(-least), ahead.len());
        let finding = Finding::fault("the clock of this host", saw, OURS);
        return vec![finding.cure("timedatectl set-ntp true")];
    }
    let wrong = ahead.iter().filter(|(_, ahead)| ahead.abs() > APART);
    let finding = |(ip, ahead): (&IpAddr, &i64)| {
        let saw = format!("its clock is {} this host's, by the Date of its HTTP", distance(*ahead));
        let finding = Finding::warning(format!("server {ip}"), saw, SERVER);
        finding.cure_on(*ip, "timedatectl set-ntp true")
    };
    wrong.map(finding).collect()
}

/// How far ahead that is, in words.
fn distance(ahead: i64) -> String {
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    format!("{} {side}", span(ahead.abs()))
}
