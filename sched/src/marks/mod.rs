//! Firewall marks of our own: an ordered list of rules per address family, as the chain `PREROUTING` of iptables'
//! table `mangle` has them with the target `MARK`.
//!
//! A packet passes all rules of its family from the first to the last; each one that matches changes its mark
//! (iptables-extensions(8), MARK: the target does not end the way). What is not 0 in the end is the mark that a
//! [mark service](crate::ServiceKey::Mark) takes. A packet begins without a mark: one that the host's own netfilter has
//! given it does not come with it.
//!
//! The rules are part of the immutable [`ServiceTable`](crate::ServiceTable) and change with it, by
//! [`Op`](crate::Op)s; their counters are shared by all snapshots. Looking a packet up costs by the rules that name its
//! destination (and its port, where they name few), and by those that name none; not by the others.

mod index;
mod ports;
mod prefix;
mod rule;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::model::{Family, Mark};
use crate::op::OpError;
use index::Index;

pub use ports::{BadRange, PortMatch, PortRange, Side};
pub use prefix::{BadInterface, BadPrefix, Interface, Prefix};
pub use rule::{MarkRule, Match, PacketFacts, SetMark};

/// What a rule, or the end of a chain, has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MarkCounts {
    /// Packets; a super-packet counts as the segments it stands for.
    pub packets: u64,
    /// Bytes, from the IP header on.
    pub bytes: u64,
}

/// The live counters.
#[derive(Debug, Default)]
pub struct MarkLive {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl MarkLive {
    /// What has been counted.
    pub fn read(&self) -> MarkCounts {
        MarkCounts { packets: self.packets.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }

    /// Goes on counting from here.
    pub(crate) fn set(&self, counts: MarkCounts) {
        self.packets.store(counts.packets, Relaxed);
        self.bytes.store(counts.bytes, Relaxed);
    }

    fn count(&self, packets: u64, bytes: u64) {
        self.packets.fetch_add(packets, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }
}

/// A rule in its place.
#[derive(Clone, Debug)]
pub struct MarkEntry {
    /// The rule.
    pub rule: Arc<MarkRule>,
    /// Its counters.
    pub live: Arc<MarkLive>,
}

/// All rules at one moment.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    chains: [Chain; 2],
}

#[derive(Clone, Debug, Default)]
struct Chain {
    entries: Vec<MarkEntry>,
    index: Index,
    /// What has come to the end of the chain, which is everything: no rule ends the way.
    end: Arc<MarkLive>,
}

impl Marks {
    /// The rules of a family, in their order.
    pub fn entries(&self, family: Family) -> &[MarkEntry] {
        &self.chain(family).entries
    }

    /// All rules, IPv4 first.
    pub fn rules(&self) -> impl Iterator<Item = &MarkRule> {
        self.chains.iter().flat_map(|chain| &chain.entries).map(|entry| &*entry.rule)
    }

    /// What has passed the chain of a family while it had rules.
    pub fn passed(&self, family: Family) -> &Arc<MarkLive> {
        &self.chain(family).end
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.chains.iter().all(|chain| chain.entries.is_empty())
    }

    /// Whether some rule asks by which device a packet came in.
    pub fn ask_for_input(&self) -> bool {
        self.chains.iter().any(|chain| chain.index.asks_for_input())
    }

    /// The mark of a packet, once it has passed all rules.
    pub fn mark_of(&self, facts: &PacketFacts<'_>) -> Option<Mark> {
        let mut mark = facts.mark;
        self.each_match(facts, |entry| mark = entry.rule.set.apply(mark));
        std::num::NonZeroU32::new(mark).map(Mark)
    }

    /// Counts packets of `bytes` bytes together on every rule that matches them, as iptables does for each packet.
    pub fn count(&self, facts: &PacketFacts<'_>, packets: u64, bytes: u64) {
        let chain = self.chain(facts.dst.into());
        if !chain.entries.is_empty() {
            self.each_match(facts, |entry| entry.live.count(packets, bytes));
            chain.end.count(packets, bytes);
        }
    }

    /// The rules that match a packet, with the mark that it has after each.
    pub fn matching(&self, facts: &PacketFacts<'_>) -> Vec<(Arc<MarkRule>, u32)> {
        let (mut mark, mut rules) = (facts.mark, Vec::new());
        self.each_match(facts, |entry| {
            mark = entry.rule.set.apply(mark);
            rules.push((Arc::clone(&entry.rule), mark));
        });
        rules
    }

    /// The same rules, which count for nobody to see.
    pub(crate) fn copied(&self) -> Self {
        let mut copy = self.clone();
        for chain in &mut copy.chains {
            chain.entries.iter_mut().for_each(|entry| entry.live = Arc::default());
            chain.end = Arc::default();
        }
        copy
    }

    fn each_match(&self, facts: &PacketFacts<'_>, mut visit: impl FnMut(&MarkEntry)) {
        let chain = self.chain(facts.dst.into());
        for at in chain.index.candidates(facts) {
            if let Some(entry) = chain.entries.get(at).filter(|entry| entry.rule.matches(facts)) {
                visit(entry);
            }
        }
    }

    fn chain(&self, family: Family) -> &Chain {
        &self.chains[family as usize]
    }
}

/// Edits of a copy. `Marks::settle` has to follow the last one.
impl Marks {
    pub(crate) fn add(
        &mut self,
        rule: &MarkRule,
        at: Option<usize>,
        counts: MarkCounts,
    ) -> Result<(), OpError> {
        if rule.flaw().is_some() {
            return Err(OpError::InvalidMarkRule);
        }
        let entries = &mut self.chains[rule.family as usize].entries;
        let at = at.unwrap_or(entries.len());
        if at > entries.len() {
            return Err(OpError::NoSuchMarkPlace);
        }
        let live = MarkLive::default();
        live.set(counts);
        entries.insert(at, MarkEntry { rule: Arc::new(rule.clone()), live: Arc::new(live) });
        Ok(())
    }

    /// Removes the first one that is like this.
    pub(crate) fn remove(&mut self, rule: &MarkRule) -> Result<(), OpError> {
        let entries = &mut self.chains[rule.family as usize].entries;
        let at = entries.iter().position(|entry| *entry.rule == *rule).ok_or(OpError::NoSuchMarkRule)?;
        entries.remove(at);
        Ok(())
    }

    pub(crate) fn remove_at(&mut self, family: Family, at: usize) -> Result<(), OpError> {
        let entries = &mut self.chains[family as usize].entries;
        if at >= entries.len() {
            return Err(OpError::NoSuchMarkPlace);
        }
        entries.remove(at);
        Ok(())
    }

    pub(crate) fn clear(&mut self, family: Family) {
        self.chains[family as usize].entries.clear();
    }

    pub(crate) fn settle(&mut self) {
        for chain in &mut self.chains {
            chain.index = Index::of(&chain.entries);
        }
    }
}

/// Why a rule is none, in words: what [`OpError::InvalidMarkRule`] is about.
pub fn flaw(rule: &MarkRule) -> Option<&'static str> {
    rule.flaw()
}

#[cfg(test)]
mod tests;
