//! Conditions on ports, as iptables writes them: `-m tcp --dport 80`, `-m multiport --dports 80,443,8000:8100`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::rule::Match;

/// From one port to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

impl PortRange {
    /// One port.
    pub const fn one(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// Whether it is among them.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// How many there are.
    pub const fn count(self) -> usize {
        self.last as usize - self.first as usize + 1
    }

    /// Whether it is only one.
    pub const fn is_one(self) -> bool {
        self.first == self.last
    }
}

/// A range that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a port or a range of ports: 80, 8000:8100")]
pub struct BadRange;

impl FromStr for PortRange {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        let number = |s: &str| s.parse::<u16>().map_err(|_| BadRange);
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        let range = Self { first: number(first)?, last: number(last)? };
        if range.first <= range.last { Ok(range) } else { Err(BadRange) }
    }
}

impl TryFrom<String> for PortRange {
    type Error = BadRange;

    fn try_from(text: String) -> Result<Self, BadRange> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_one() { self.first.fmt(f) } else { write!(f, "{}:{}", self.first, self.last) }
    }
}

/// Which of a packet's two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// `--sports`.
    Source,
    /// `--dports`.
    Dest,
    /// `--ports`: any of the two.
    Either,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortMatch {
    /// `-m tcp`, `-m udp`, `-m sctp`: one range of each side. With neither it says that there is a transport header.
    Plain {
        /// `--sport`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Match<PortRange>>,
        /// `--dport`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dest: Option<Match<PortRange>>,
    },
    /// `-m multiport`: any of a list.
    Multi {
        /// Which port.
        side: Side,
        /// The list. A range takes two of its [`Self::MOST`] places.
        ranges: Vec<PortRange>,
        /// None of the list.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        not: bool,
    },
}

impl PortMatch {
    /// Places in the list of `-m multiport`.
    pub const MOST: usize = 15;

    /// `--dport`.
    pub const fn dport(range: PortRange) -> Self {
        Self::Plain { source: None, dest: Some(Match::is(range)) }
    }

    /// `--dports`.
    pub const fn dports(ranges: Vec<PortRange>) -> Self {
        Self::Multi { side: Side::Dest, ranges, not: false }
    }

    /// Conditions for any number of destination ports, each for a rule of its own.
    pub fn dports_of(ranges: &[PortRange]) -> Vec<Self> {
        let mut lists: Vec<Vec<PortRange>> = Vec::new();
        let mut left = 0;
        for range in ranges {
            let places = Self::places(*range);
            match lists.last_mut().filter(|_| left >= places) {
                Some(list) => list.push(*range),
                None => {
                    lists.push(vec![*range]);
                    left = Self::MOST;
                }
            }
            left -= places;
        }
        lists.into_iter().map(Self::dports).collect()
    }

    /// Whether these ports, source and destination, fulfil it.
    pub fn matches(&self, (from, to): (u16, u16)) -> bool {
        match self {
            Self::Plain { source, dest } => {
                let holds =
                    |m: &Option<Match<PortRange>>, port| m.is_none_or(|m| m.value.contains(port) != m.not);
                holds(source, from) && holds(dest, to)
            }
            Self::Multi { side, ranges, not } => {
                let among = |port| ranges.iter().any(|range| range.contains(port));
                let found = match side {
                    Side::Source => among(from),
                    Side::Dest => among(to),
                    Side::Either => among(from) || among(to),
                };
                found != *not
            }
        }
    }

    /// The destination ports that alone can fulfil it, when it says so.
    pub fn only_dports(&self) -> Option<&[PortRange]> {
        match self {
            Self::Plain { dest: Some(Match { value, not: false }), .. } => Some(std::slice::from_ref(value)),
            Self::Multi { side: Side::Dest, ranges, not: false } => Some(ranges),
            _ => None,
        }
    }

    /// Places of a list that a range takes.
    pub const fn places(range: PortRange) -> usize {
        if range.is_one() { 1 } else { 2 }
    }

    /// TCP, UDP, UDP-Lite, SCTP and DCCP have ports.
    pub const fn applies_to(protocol: u8) -> bool {
        matches!(protocol, 6 | 17 | 33 | 132 | 136)
    }

    pub(super) fn flaw(&self) -> Option<&'static str> {
        let Self::Multi { ranges, .. } = self else { return None };
        match ranges.iter().map(|range| Self::places(*range)).sum::<usize>() {
            0 => Some("an empty list of ports"),
            1..=Self::MOST => None,
            _ => Some("more than 15 ports in a list (a range counts as two): write two rules"),
        }
    }
}

impl fmt::Display for PortMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |not: bool| if not { "not " } else { "" };
        match self {
            Self::Plain { source: None, dest: None } => f.write_str("any port"),
            Self::Plain { source, dest } => {
                if let Some(m) = source {
                    write!(f, "{}source port {}", not(m.not), m.value)?;
                }
                if let Some(m) = dest {
                    let gap = if source.is_some() { " " } else { "" };
                    write!(f, "{gap}{}port {}", not(m.not), m.value)?;
                }
                Ok(())
            }
            Self::Multi { side, ranges, not: inverse } => {
                let name = match side {
                    Side::Source => "source ports",
                    Side::Dest => "ports",
                    Side::Either => "any port of",
                };
                let list: Vec<_> = ranges.iter().map(ToString::to_string).collect();
                write!(f, "{}{name} {}", not(*inverse), list.join(","))
            }
        }
    }
}
