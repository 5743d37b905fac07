//! `rr`: round robin in list order, weights ignored except that 0 means "not me".

use super::{Algorithm, Change, Flow, Scheduler};
use crate::dest::Dest;
use crate::model::DestKey;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "rr",
    summary: "round robin: every server in turn",
    new: || Box::new(RoundRobin::default()),
};

/// Remembers the last pick; `None` stands for the head of the list, before its first server.
#[derive(Debug, Default)]
struct RoundRobin {
    last: Option<DestKey>,
}

impl Scheduler for RoundRobin {
    fn pick(&mut self, dests: &[Dest], _flow: &Flow) -> Option<usize> {
        let start = super::after(dests, self.last);
        let found = (start..dests.len()).chain(0..start).find(|&i| dests[i].eligible())?;
        self.last = Some(dests[found].live.key);
        Some(found)
    }

    /// Only the removal of the server pointed at matters: the turn then continues behind its predecessor.
    fn dests_changed(&mut self, _dests: &[Dest], change: Change) {
        if let Change::Removed { gone, previous } = change
            && self.last == Some(gone)
        {
            self.last = previous;
        }
    }
}
