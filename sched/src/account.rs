//! What a scheduler goes by, for people who ask why: the numbers it would compare for a flow, server by server.
//!
//! An account changes nothing. Who comes first in it is whom the scheduler picks (`tests/properties.rs`).

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::dest::Dest;
use crate::model::DestKey;

/// The numbers of one choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What decides, in one line.
    pub rule: String,
    /// What else counts: a slot, a turn, a memory.
    pub notes: Vec<String>,
    /// All servers, in the order of the service's list.
    pub servers: Vec<Standing>,
}

/// How one server stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Which one.
    pub server: DestKey,
    /// Its numbers in words: empty if it was not looked at.
    pub figure: String,
    /// What it is compared by; `None` for who is not among those to choose from.
    #[serde(skip)]
    pub rank: Option<Rank>,
    /// Why it cannot be chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<Out>,
}

/// A number: less is better. Compared without division, as schedulers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Numerator.
    pub over: i128,
    /// Denominator, above 0.
    pub under: u64,
}

/// Why a server cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Out {
    /// Its weight is 0.
    NoWeight,
    /// It has reached its upper threshold, and has not come down to the lower one since.
    Overloaded {
        /// Connections that it has.
        connections: u64,
        /// The upper threshold.
        upper: u32,
    },
}

impl Account {
    /// One in which a server's figure and rank are those that `figure` says; it is not asked about who is out.
    pub(crate) fn of(
        rule: &'static str,
        dests: &[Dest],
        mut figure: impl FnMut(usize, &Dest) -> (String, Option<Rank>),
    ) -> Self {
        let servers = dests.iter().enumerate().map(|(i, dest)| {
            let out = Out::of(dest);
            let (figure, rank) = if out.is_none() { figure(i, dest) } else { Default::default() };
            Standing { server: dest.live.key, figure, rank, out }
        });
        Self { rule: rule.into(), notes: Vec::new(), servers: servers.collect() }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The same with the servers in the order in which they stand.
    pub fn in_order(mut self) -> Self {
        self.servers.sort_by(|a, b| match (&a.rank, &b.rank) {
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        self
    }

    /// Who comes first: among equals the first in the list.
    pub fn first(&self) -> Option<&Standing> {
        let ranked = self.servers.iter().filter(|standing| standing.rank.is_some());
        ranked.reduce(|best, other| if other.rank.cmp(&best.rank).is_lt() { other } else { best })
    }
}

impl Out {
    fn of(dest: &Dest) -> Option<Self> {
        if dest.weight.0 == 0 {
            Some(Self::NoWeight)
        } else if dest.live.is_overloaded() {
            let connections = dest.active() + dest.inactive();
            Some(Self::Overloaded { connections, upper: dest.upper })
        } else {
            None
        }
    }
}

impl Rank {
    /// So much.
    pub(crate) fn number(over: impl Into<i128>) -> Self {
        Self { over: over.into(), under: 1 }
    }

    /// So much per weight.
    pub(crate) fn per(over: u64, under: u64) -> Self {
        Self { over: over.into(), under: under.max(1) }
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.over * i128::from(other.under)).cmp(&(other.over * i128::from(self.under)))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
