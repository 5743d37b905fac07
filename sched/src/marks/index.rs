//! Which rules may match a packet, without asking all of them.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::rule::{MarkRule, PacketFacts};
use super::{MarkEntry, PortMatch, PortRange};

/// A rule that names more destination ports than this is found by its destination alone.
const PORTS: usize = 64;

/// Positions of rules, each list ascending. A rule is in one kind of list only.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    by_port: HashMap<(IpAddr, u8, u16), Vec<usize>, FixedState>,
    by_dest: HashMap<IpAddr, Vec<usize>, FixedState>,
    rest: Vec<usize>,
    input: bool,
}

impl Index {
    pub(super) fn of(entries: &[MarkEntry]) -> Self {
        let mut index = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            let rule = &*entry.rule;
            index.input |= rule.input.is_some();
            let Some(dest) = rule.only_dest().and_then(super::Prefix::single) else {
                index.rest.push(at);
                continue;
            };
            match few_ports(rule) {
                Some((protocol, ports)) => {
                    for port in ports {
                        index.by_port.entry((dest, protocol, port)).or_default().push(at);
                    }
                }
                None => index.by_dest.entry(dest).or_default().push(at),
            }
        }
        index
    }

    pub(super) const fn asks_for_input(&self) -> bool {
        self.input
    }

    /// The positions of all rules that can match, in order.
    pub(super) fn candidates(&self, facts: &PacketFacts<'_>) -> impl Iterator<Item = usize> {
        let by_port = match facts.ports {
            Some((_, port)) if !self.by_port.is_empty() => {
                self.by_port.get(&(facts.dst, facts.protocol, port))
            }
            _ => None,
        };
        let by_dest = if self.by_dest.is_empty() { None } else { self.by_dest.get(&facts.dst) };
        let mut lists = [by_port, by_dest, Some(&self.rest)].map(|list| list.map_or(&[][..], Vec::as_slice));
        std::iter::from_fn(move || {
            let first = lists.iter_mut().filter(|list| !list.is_empty()).min_by_key(|list| list[0])?;
            let (at, rest) = first.split_first()?;
            *first = rest;
            Some(*at)
        })
    }
}

/// Protocol and destination ports of a rule that names few: each port once.
fn few_ports(rule: &MarkRule) -> Option<(u8, Vec<u16>)> {
    let protocol = rule.protocol.filter(|m| !m.not)?.value;
    let ranges = rule.ports.iter().find_map(PortMatch::only_dports)?;
    let count: usize = ranges.iter().map(|range: &PortRange| range.count()).sum();
    if count > PORTS {
        return None;
    }
    let mut ports: Vec<u16> = ranges.iter().flat_map(|range| range.first..=range.last).collect();
    ports.sort_unstable();
    ports.dedup();
    Some((protocol, ports))
}
