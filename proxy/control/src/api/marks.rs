//! Mark rules, as they travel over the control socket.

use sched::marks::MarkCounts;
use sched::{Family, MarkRule, Marks};
use serde::{Deserialize, Serialize};

/// All mark rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkList {
    /// Generation of the table of services that they are part of.
    pub generation: u64,
    /// The rules of IPv4, in their order.
    pub ipv4: MarkChain,
    /// The rules of IPv6, in their order.
    pub ipv6: MarkChain,
}

/// The rules of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkChain {
    /// What has passed the rules while there were any.
    pub passed: MarkCounts,
    /// The rules.
    pub rules: Vec<MarkView>,
}

/// A rule with its counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkView {
    /// The rule.
    #[serde(flatten)]
    pub rule: MarkRule,
    /// Packets and bytes that matched it.
    #[serde(flatten)]
    pub counts: MarkCounts,
}

impl MarkList {
    /// What `marks` says now.
    pub fn of(generation: u64, marks: &Marks) -> Self {
        let chain = |family| MarkChain {
            passed: marks.passed(family).read(),
            rules: marks
                .entries(family)
                .iter()
                .map(|entry| MarkView { rule: MarkRule::clone(&entry.rule), counts: entry.live.read() })
                .collect(),
        };
        Self { generation, ipv4: chain(Family::Ipv4), ipv6: chain(Family::Ipv6) }
    }

    /// The rules of a family.
    pub const fn chain(&self, family: Family) -> &MarkChain {
        match family {
            Family::Ipv4 => &self.ipv4,
            Family::Ipv6 => &self.ipv6,
        }
    }
}
