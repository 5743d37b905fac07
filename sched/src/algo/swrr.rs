//! `swrr`: smooth weighted round robin: the shares of `wrr`, but a heavy server's turns lie between those of the
//! others instead of in a row.
//!
//! Everybody has a credit. A flow gives each server its weight as credit, goes to the richest, the newest among
//! equals, and takes the sum of the weights from it. So the credits add up to 0 (until servers come and go), nobody
//! gets further from its share than one turn, and whenever all credits are 0 again a cycle is complete.

use std::collections::HashMap;

use super::{Algorithm, Change, Flow, Scheduler};
use crate::account::{Account, Rank};
use crate::dest::Dest;
use crate::model::DestKey;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "swrr",
    summary: "smooth weighted round robin: as wrr, but without bursts (not the kernel's)",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(SmoothRoundRobin::default()),
};

#[derive(Clone, Debug, Default)]
struct SmoothRoundRobin {
    /// In the order of the last list that was told of.
    credits: Vec<(DestKey, i64)>,
    /// The sum of that list's weights.
    sum: i64,
}

impl Scheduler for SmoothRoundRobin {
    fn pick(&mut self, dests: &[Dest], _flow: &Flow) -> Option<usize> {
        let mut sum = 0;
        let mut richest = None;
        for (i, dest) in dests.iter().enumerate().filter(|(_, d)| d.eligible()) {
            let weight = i64::from(dest.effective.0);
            sum += weight;
            // A worker with an old list may ask for somebody who is gone: that one has nothing to its credit.
            let credit = match self.credit(i, dest.live.key) {
                Some(credit) => {
                    *credit += weight;
                    *credit
                }
                None => weight,
            };
            if richest.is_none_or(|(_, most)| credit > most) {
                richest = Some((i, credit));
            }
        }
        let (i, _) = richest?;
        if let Some(credit) = self.credit(i, dests[i].live.key) {
            *credit -= sum;
        }
        Some(i)
    }

    fn account(&self, dests: &[Dest], _flow: &Flow) -> Account {
        Account::of("credit and weight: the most", dests, |_, dest| {
            let key = dest.live.key;
            let credit =
                self.credits.iter().find(|(other, _)| *other == key).map_or(0, |(_, credit)| *credit);
            let weight = i64::from(dest.effective.0);
            let figure = format!("credit {credit} + weight {weight} = {}", credit + weight);
            (figure, Some(Rank::number(-i128::from(credit + weight))))
        })
    }

    /// Who stays keeps its credit, in proportion to what there is to give now: what was saved up under larger weights
    /// would be many turns in a row.
    fn dests_changed(&mut self, dests: &[Dest], _changes: &[Change]) {
        let sum = dests.iter().map(|d| i64::from(d.effective.0)).sum();
        let before = i128::from(self.sum.max(1));
        let credits: HashMap<_, _> = self.credits.drain(..).collect();
        let kept = |d: &Dest| {
            let credit = credits.get(&d.live.key).copied().unwrap_or(0);
            (i128::from(credit) * i128::from(sum) / before) as i64
        };
        self.credits = dests.iter().map(|d| (d.live.key, kept(d))).collect();
        self.sum = sum;
    }
}

impl SmoothRoundRobin {
    fn credit(&mut self, i: usize, key: DestKey) -> Option<&mut i64> {
        let found = match self.credits.get(i) {
            Some((here, _)) if *here == key => i,
            _ => self.credits.iter().position(|(other, _)| *other == key)?,
        };
        Some(&mut self.credits[found].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;
    use crate::model::Weight;

    #[test]
    fn turns_lie_apart() {
        assert_eq!(Bench::new(&ALGORITHM, &[5, 1, 1]).picks(14), "AACABAAAACABAA");
        assert_eq!(Bench::new(&ALGORITHM, &[4, 3, 2]).picks(9), "ABCABACBA");
        assert_eq!(Bench::new(&ALGORITHM, &[1, 1, 1]).picks(7), "CBACBAC");
        assert_eq!(Bench::new(&ALGORITHM, &[2, 0, 1]).picks(6), "ACAACA");
        assert_eq!(Bench::new(&ALGORITHM, &[0, 0]).picks(2), "--");
        assert_eq!(Bench::new(&ALGORITHM, &[]).pick(), '-');
    }

    #[test]
    fn who_stays_keeps_its_place_when_others_come_and_go() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 1, 1, 1]);
        assert_eq!(bench.picks(2), "DC");
        bench.remove('C');
        assert_eq!(bench.picks(6), "BADBAD");
        bench.server('A').live.set_overloaded(true);
        assert_eq!(bench.picks(4), "BDBD");
    }

    #[test]
    fn an_edit_to_small_weights_leaves_no_debts_of_large_ones() {
        let mut bench = Bench::new(&ALGORITHM, &[Weight::MAX.0, Weight::MAX.0]);
        assert_eq!(bench.pick(), 'B');
        bench.edit('A', 1);
        bench.edit('B', 1);
        assert_eq!(bench.picks(6), "ABABAB");
        bench.edit('B', Weight::MAX.0);
        assert_eq!(bench.picks(6), "ABBBBB", "half of a cycle was still due");
        bench.edit('B', 2);
        assert_eq!(bench.picks(6), "BBABBA");
    }
}
