//! A rule as `-S` and iptables-save write it.

use std::fmt::Write;

use sched::marks::{MarkCounts, Match, PortMatch, PortRange, Prefix, Side};
use sched::{Family, MarkRule};

use super::names;

/// `-A PREROUTING …`, with counters where they are asked for.
pub(super) fn line(rule: &MarkRule, counts: Option<MarkCounts>) -> String {
    let mut text = "-A PREROUTING".to_owned();
    let not = |not: bool| if not { " !" } else { "" };
    let mut add = |inverse: bool, option: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = write!(text, "{} {option} {value}", not(inverse));
    };
    let bits = |prefix: Prefix| format!("{}/{}", prefix.addr(), prefix.len());
    if let Some(m) = &rule.source {
        add(m.not, "-s", &bits(m.value));
    }
    if let Some(m) = &rule.dest {
        add(m.not, "-d", &bits(m.value));
    }
    if let Some(m) = &rule.input {
        add(m.not, "-i", m.value.as_str());
    }
    if let Some(m) = &rule.protocol {
        add(m.not, "-p", &names::protocol(m.value));
    }
    for m in &rule.ports {
        ports(m, rule, &mut text);
    }
    if let Some(MarkCounts { packets, bytes }) = counts {
        let _ = write!(text, " -c {packets} {bytes}");
    }
    let _ = write!(text, " -j MARK --set-xmark {:#x}/{:#x}", rule.set.value, rule.set.mask);
    text
}

/// The prefix that means everything.
pub(super) const fn everything(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "0.0.0.0/0",
        Family::Ipv6 => "::/0",
    }
}

/// Of `-m multiport`, as a word.
pub(super) const fn side(side: Side) -> &'static str {
    match side {
        Side::Source => "sports",
        Side::Dest => "dports",
        Side::Either => "ports",
    }
}

fn ports(m: &PortMatch, rule: &MarkRule, text: &mut String) {
    let not = |not: bool| if not { " !" } else { "" };
    match m {
        PortMatch::Plain { source, dest } => {
            let _ = write!(text, " -m {}", names::protocol(rule.protocol.map_or(0, |m| m.value)));
            let mut one = |option: &str, m: &Option<Match<PortRange>>| {
                if let Some(m) = m {
                    let _ = write!(text, "{} {option} {}", not(m.not), m.value);
                }
            };
            one("--sport", source);
            one("--dport", dest);
        }
        PortMatch::Multi { side: which, ranges, not: inverse } => {
            let list: Vec<_> = ranges.iter().map(ToString::to_string).collect();
            let _ = write!(text, " -m multiport{} --{} {}", not(*inverse), side(*which), list.join(","));
        }
    }
}
