//! Policy routing: packets for VIPs come to the engine by rules of ours, which have to be there and come first.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;
use netio::survey::Rule;

pub(super) const CHECK: Check = Check {
    name: "rules",
    about: "routing rules of ours that are missing, or come after others",
    real: false,
    needs: Needs::State,
    find,
};

const OVERTAKEN: &str = "the first rule that finds a route has the packet: what this one finds a way for never comes to the \
                         engine. Behind ours it does what it did for everything else";
const MISSING: &str = "without its rules no packet comes to the engine. It puts them back within seconds: if they stay away, \
                       its log says what is in the way";

/// The last preference of ours that packets for VIPs are caught by.
const LAST: u32 = 9;
/// Behind all of ours.
const BEHIND: u32 = 100;

fn find(facts: &Facts) -> Vec<Finding> {
    // Rings take packets before they are routed.
    let Some(engine) = facts.engine.as_ref().filter(|engine| !engine.is_packet()) else { return Vec::new() };
    if facts.services.is_empty() || facts.host.rules.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for ipv6 in [false, true] {
        let vips: Vec<_> = facts.vips().into_iter().filter(|vip| vip.is_ipv6() == ipv6).collect();
        let rules = || facts.host.rules.iter().filter(move |rule| rule.ipv6 == ipv6);
        if vips.is_empty() {
            continue;
        }
        let ip = if ipv6 { "ip -6" } else { "ip" };
        if !rules().any(|rule| rule.ours) {
            let saw = format!("there is no rule of ours in `{ip} rule`");
            let finding = Finding::fault(format!("device {}", engine.status.device), saw, MISSING);
            found.push(finding.cure("ulvs reload"));
            continue;
        }
        let concerns = |rule: &&Rule| {
            rule.to.is_none_or(|(net, bits)| {
                vips.iter()
                    .any(|vip| sched::marks::Prefix::new(net, bits).is_some_and(|it| it.contains(*vip)))
            })
        };
        // Ours are in the way of those that come later, and the kernel's own is moved by us.
        let first = rules().filter(|rule| rule.ours).map(|rule| rule.preference).min().unwrap_or(0);
        for rule in rules().filter(|r| !r.ours && !r.local && r.preference <= LAST).filter(concerns) {
            let saw = format!("`{rule}` comes among ours, which begin at {first} and end at {LAST}");
            let finding = Finding::fault(format!("rule {}", rule.preference), saw, OVERTAKEN);
            let (add, del) = (rule.at(BEHIND + rule.preference), rule);
            found.push(finding.cure(format!("{ip} rule add {add}; {ip} rule del {del}")));
        }
    }
    found
}
