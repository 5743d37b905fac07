//! `rr`: round robin in list order, weights ignored except that 0 means "not me".

use super::{Algorithm, Change, Flow, Scheduler};
use crate::account::{Account, Rank};
use crate::dest::Dest;
use crate::model::DestKey;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "rr",
    summary: "round robin: every server in turn",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(RoundRobin::default()),
};

/// Remembers the last pick; `None` stands for the head of the list, before its first server.
#[derive(Clone, Debug, Default)]
struct RoundRobin {
    last: Option<DestKey>,
}

impl Scheduler for RoundRobin {
    fn pick(&mut self, dests: &[Dest], flow: &Flow) -> Option<usize> {
        let start = super::after(dests, self.last);
        let mut round = (start..dests.len()).chain(0..start).filter(|&i| dests[i].eligible());
        let first = round.clone().next()?;
        let found = round.find(|&i| takes_turn(&dests[i], flow)).unwrap_or(first);
        self.last = Some(dests[found].live.key);
        Some(found)
    }

    fn account(&self, dests: &[Dest], flow: &Flow) -> Account {
        let start = super::after(dests, self.last);
        let account = Account::of("whose turn it is", dests, |i, dest| {
            let turn = (i + dests.len() - start) % dests.len();
            let waits = if takes_turn(dest, flow) { 0 } else { dests.len() };
            let begins = if waits > 0 { ", left to others in its slow start" } else { "" };
            (format!("turn {}{begins}", turn + 1), Some(Rank::number((turn + waits) as i128)))
        });
        match self.last {
            Some(last) => account.note(format!("{last} had the last turn")),
            None => account.note("the turns begin at the head of the list"),
        }
    }

    /// Only the removal of the server pointed at matters: the turn then continues behind its predecessor.
    fn dests_changed(&mut self, _dests: &[Dest], changes: &[Change]) {
        let left = changes.iter().find_map(|change| match *change {
            Change::Removed { gone, previous } if self.last == Some(gone) => Some(previous),
            _ => None,
        });
        self.last = left.unwrap_or(self.last);
    }
}

/// There is no weight here to begin small with: a server in its slow start leaves some of its turns to the next.
fn takes_turn(dest: &Dest, flow: &Flow) -> bool {
    dest.tenths() > (flow.random % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;

    #[test]
    fn newest_first_and_weight_0_is_skipped() {
        assert_eq!(Bench::new(&ALGORITHM, &[1, 9, 1]).picks(7), "CBACBAC");
        assert_eq!(Bench::new(&ALGORITHM, &[1, 0, 1]).picks(5), "CACAC");
        assert_eq!(Bench::new(&ALGORITHM, &[0, 0]).picks(2), "--");
        assert_eq!(Bench::new(&ALGORITHM, &[]).pick(), '-');
    }

    #[test]
    fn removal_of_the_server_pointed_at_goes_on_behind_its_predecessor() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 1, 1, 1]);
        assert_eq!(bench.picks(2), "DC");
        bench.remove('C');
        assert_eq!(bench.picks(3), "BAD");
        bench.remove('D');
        assert_eq!(bench.picks(2), "BA");
    }

    #[test]
    fn an_overloaded_server_is_skipped_and_comes_back_in_its_place() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 1, 1]);
        bench.server('B').live.set_overloaded(true);
        assert_eq!(bench.picks(3), "CAC");
        bench.server('B').live.set_overloaded(false);
        assert_eq!(bench.picks(3), "BAC");
    }
}
