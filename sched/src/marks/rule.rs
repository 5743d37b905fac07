//! One rule: what it matches, and the mark that it sets.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::ports::PortMatch;
use super::prefix::{Interface, Prefix};
use crate::model::{Family, Mark};

/// A rule of the chain `PREROUTING` of the table `mangle` with the target `MARK`. What it does not mention matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MarkRule {
    /// Whose packets: iptables and ip6tables have chains of their own.
    pub family: Family,
    /// `-s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Match<Prefix>>,
    /// `-d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dest: Option<Match<Prefix>>,
    /// `-i`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Match<Interface>>,
    /// `-p`, the IP protocol number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Match<u8>>,
    /// Conditions on ports, in the order in which they were written. All have to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMatch>,
    /// `-j MARK`.
    pub set: SetMark,
}

/// A condition that may be turned round with `!`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Match<T> {
    /// What it is about.
    pub value: T,
    /// Everything but that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not: bool,
}

impl<T> Match<T> {
    /// The condition as it is.
    pub const fn is(value: T) -> Self {
        Self { value, not: false }
    }

    /// Its opposite.
    pub const fn is_not(value: T) -> Self {
        Self { value, not: true }
    }
}

/// What `-j MARK` does: the new mark is (old & !mask) ^ value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SetMark {
    /// Bits to flip after clearing.
    pub value: u32,
    /// Bits to clear.
    #[serde(default = "all_bits")]
    pub mask: u32,
}

impl SetMark {
    /// `--set-mark value`: this and nothing else.
    pub const fn to(value: u32) -> Self {
        Self { value, mask: u32::MAX }
    }

    /// The mark after it.
    pub const fn apply(self, old: u32) -> u32 {
        (old & !self.mask) ^ self.value
    }

    /// Whether some mark can become `mark` by it.
    pub const fn can_make(self, mark: Mark) -> bool {
        (mark.0.get() ^ self.value) & self.mask == 0
    }
}

const fn all_bits() -> u32 {
    u32::MAX
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct PacketFacts<'a> {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// IP protocol number, behind IPv6 extension headers.
    pub protocol: u8,
    /// Source and destination port; a fragment that is not the first has none, and matches no rule with ports.
    pub ports: Option<(u16, u16)>,
    /// Name of the device that it came in on, where that is known; else no rule with an input interface matches.
    pub input: Option<&'a str>,
    /// The mark that it comes with; 0 for none.
    pub mark: u32,
}

impl MarkRule {
    /// A rule that gives every packet of a family this mark.
    pub const fn new(family: Family, set: SetMark) -> Self {
        Self { family, source: None, dest: None, input: None, protocol: None, ports: Vec::new(), set }
    }

    /// Whether the packet is one of those.
    pub fn matches(&self, facts: &PacketFacts<'_>) -> bool {
        let holds = |m: Option<Match<bool>>| m.is_none_or(|m| m.value != m.not);
        let prefix =
            |m: &Option<Match<Prefix>>, ip| m.map(|m| Match { value: m.value.contains(ip), not: m.not });
        Family::from(facts.dst) == self.family
            && holds(prefix(&self.dest, facts.dst))
            && holds(prefix(&self.source, facts.src))
            && self.protocol.is_none_or(|m| (m.value == facts.protocol) != m.not)
            && self.ports.iter().all(|m| facts.ports.is_some_and(|ports| m.matches(ports)))
            && self
                .input
                .as_ref()
                .is_none_or(|m| facts.input.is_some_and(|name| m.value.matches(name) != m.not))
    }

    /// The only destination that it can match, or the prefix that holds all of them; `None`: any.
    pub fn only_dest(&self) -> Option<Prefix> {
        self.dest.filter(|m| !m.not && !m.value.is_everything()).map(|m| m.value)
    }

    /// What makes it no rule: `None` when it is one.
    pub(super) fn flaw(&self) -> Option<&'static str> {
        let ours = |m: &Option<Match<Prefix>>| m.is_none_or(|m| m.value.family() == self.family);
        let has_ports = self.protocol.is_some_and(|m| !m.not && PortMatch::applies_to(m.value));
        if !ours(&self.source) || !ours(&self.dest) {
            return Some("an address of the other family");
        }
        if !self.ports.is_empty() && !has_ports {
            return Some("ports without a protocol that has them");
        }
        self.ports.iter().find_map(PortMatch::flaw)
    }
}

impl fmt::Display for MarkRule {
    /// For logs: the conditions that there are, then the mark.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |not: bool| if not { "not " } else { "" };
        if let Some(m) = &self.source {
            write!(f, "{}from {} ", not(m.not), m.value)?;
        }
        if let Some(m) = &self.dest {
            write!(f, "{}to {} ", not(m.not), m.value)?;
        }
        if let Some(m) = &self.input {
            write!(f, "{}in by {} ", not(m.not), m.value)?;
        }
        if let Some(m) = &self.protocol {
            write!(f, "{}protocol {} ", not(m.not), m.value)?;
        }
        for m in &self.ports {
            write!(f, "{m} ")?;
        }
        if self.set.mask == u32::MAX {
            write!(f, "mark {}", self.set.value)
        } else {
            write!(f, "mark {:#x}/{:#x}", self.set.value, self.set.mask)
        }
    }
}
