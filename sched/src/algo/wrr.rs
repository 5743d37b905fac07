//! `wrr`: weighted round robin, interleaved by a falling bar.
//!
//! The walk goes round the list and takes every server whose weight reaches the bar. Each time it comes to the end of
//! the list the bar falls by the gcd of the weights, and from the bottom it goes back to the top, so a server of
//! weight w is taken w / gcd times in a cycle. Any change of the list sends the walk back to the head and moves the
//! bar as little as the new weights allow: a service that was built server by server starts with the bar at 1, and
//! its first round takes everybody once.

use super::{Algorithm, Change, Flow, Scheduler, gcd};
use crate::account::{Account, Rank};
use crate::dest::Dest;
use crate::model::DestKey;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "wrr",
    summary: "weighted round robin: in turn, in proportion to the weights",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(WeightedRoundRobin { last: None, bar: 0, top: 0, step: 1 }),
};

/// `top` and `bar` are 0 while no server has a weight; else both are 1 plus a multiple of `step`, and `bar <= top`.
#[derive(Clone, Debug)]
struct WeightedRoundRobin {
    /// The last pick, `None` for the head of the list.
    last: Option<DestKey>,
    /// The weight that is enough in this round.
    bar: u32,
    /// Where the bar starts again.
    top: u32,
    /// How far the bar falls.
    step: u32,
}

impl Scheduler for WeightedRoundRobin {
    fn pick(&mut self, dests: &[Dest], _flow: &Flow) -> Option<usize> {
        if self.top == 0 {
            return None;
        }
        let Some(highest) = dests.iter().filter(|d| d.eligible()).map(|d| d.effective.0).max() else {
            self.give_up();
            return None;
        };
        let rest = super::after(dests, self.last)..dests.len();
        let found = match self.first(dests, rest) {
            Some(found) => found,
            None => {
                self.lower(highest);
                self.first(dests, 0..dests.len())?
            }
        };
        self.last = Some(dests[found].live.key);
        Some(found)
    }

    fn account(&self, dests: &[Dest], flow: &Flow) -> Account {
        let mut copy = self.clone();
        let turn = copy.pick(dests, flow);
        let account = Account::of("the next in the list whose weight reaches the bar", dests, |i, dest| {
            let rank = (turn == Some(i)).then(|| Rank::number(0));
            (format!("weight {}", dest.effective.0), rank)
        });
        let last = self.last.map_or_else(|| "nobody in this round".into(), |last| last.to_string());
        account.note(format!(
            "the bar is at {} of {}, falling by {}; last was {last}",
            copy.bar, self.top, self.step
        ))
    }

    fn dests_changed(&mut self, dests: &[Dest], changes: &[Change]) {
        let weights = || dests.iter().map(|d| d.effective.0);
        self.last = None;
        self.step = weights().fold(0, gcd).max(1);
        self.top = (weights().max().unwrap_or(0) + 1).saturating_sub(self.step);
        if matches!(changes, [Change::Bound]) || self.bar == 0 || self.bar > self.top {
            self.bar = self.top;
        } else {
            self.bar = self.bar / self.step * self.step + u32::from(self.step > 1);
        }
    }
}

impl WeightedRoundRobin {
    fn first(&self, dests: &[Dest], mut range: std::ops::Range<usize>) -> Option<usize> {
        range.find(|&i| dests[i].eligible() && dests[i].effective.0 >= self.bar)
    }

    /// The next bar that somebody reaches. The rounds in between would find nobody, so they are skipped in one go:
    /// with weights up to 2^31 - 1 there can be very many.
    fn lower(&mut self, highest: u32) {
        self.bar = match self.bar.checked_sub(self.step) {
            Some(bar) if bar > 0 => bar,
            _ => self.top,
        };
        let rounds = self.bar.saturating_sub(highest).div_ceil(self.step);
        self.bar -= rounds * self.step;
    }

    /// Everybody is overloaded: where the kernel's walk comes to rest.
    fn give_up(&mut self) {
        if self.last.is_none() || self.bar > self.step {
            self.last = None;
            self.bar = self.top;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::algo::testing::Bench;
    use crate::model::Weight;

    #[test]
    fn the_first_round_takes_everybody_once_and_the_cycle_follows() {
        let picks = |weights: &[u32], count| Bench::new(&ALGORITHM, weights).picks(count);
        assert_eq!(picks(&[4, 3, 2], 18), "CBAABACBACBAABACBA");
        assert_eq!(picks(&[3, 1], 10), "BAAABAAABA");
        assert_eq!(picks(&[5, 1, 1], 18), "CBAAAAACBAAAAACBAA");
        assert_eq!(picks(&[10, 20, 30], 18), "CBACCBCBACCBCBACCB");
        assert_eq!(picks(&[1, 1, 1], 6), "CBACBA");
        assert_eq!(picks(&[7, 0, 3], 18), "CAAAAACACACAAAAACA");
        assert_eq!(picks(&[0, 0], 2), "--");
        assert_eq!(picks(&[], 1), "-");
    }

    #[test]
    fn bound_to_a_list_it_begins_at_the_top() {
        let mut bench = Bench::new(&ALGORITHM, &[3, 2, 1]);
        bench.rebind(&ALGORITHM);
        assert_eq!(bench.picks(12), "ABACBAABACBA");
    }

    #[test]
    fn rounds_that_nobody_reaches_cost_nothing() {
        let mut bench = Bench::new(&ALGORITHM, &[Weight::MAX.0, 2, 1]);
        bench.server('A').live.set_overloaded(true);
        assert_eq!(bench.picks(9), "CBBCBBCBB");
    }

    #[test]
    fn with_everybody_overloaded_the_walk_rests_where_the_kernel_lets_it() {
        let mut bench = Bench::new(&ALGORITHM, &[2, 2, 1]);
        let overload = |bench: &Bench, yes| bench.dests.iter().for_each(|d| d.live.set_overloaded(yes));
        assert_eq!(bench.picks(4), "CBAB");
        overload(&bench, true);
        assert_eq!(bench.pick(), '-');
        overload(&bench, false);
        assert_eq!(bench.picks(4), "BACB", "from above the last round: back to the top");
        overload(&bench, true);
        assert_eq!(bench.pick(), '-');
        overload(&bench, false);
        assert_eq!(bench.picks(3), "ABA", "in the last round: where it was");
    }

    proptest! {
        /// Against the same walk with every round walked.
        #[test]
        fn skipping_rounds_changes_no_pick(
            weights in vec(0..40u32, 1..6),
            overloads in vec((0..6usize, any::<bool>(), 1..9usize), 1..12),
        ) {
            let mut bench = Bench::new(&ALGORITHM, &weights);
            let mut slow = Slow { next: 0, bar: 1 };
            for (i, yes, count) in overloads {
                bench.dests[i % weights.len()].live.set_overloaded(yes);
                if !bench.dests.iter().any(Dest::eligible) {
                    break;
                }
                for _ in 0..count {
                    let expected = slow.pick(&bench.dests);
                    prop_assert_eq!(bench.pick_index(), Some(expected));
                }
            }
        }
    }

    struct Slow {
        next: usize,
        bar: u32,
    }

    impl Slow {
        fn pick(&mut self, dests: &[Dest]) -> usize {
            let weights = || dests.iter().map(|d| d.effective.0);
            let step = weights().fold(0, gcd);
            loop {
                while self.next < dests.len() {
                    let i = self.next;
                    self.next += 1;
                    if dests[i].eligible() && dests[i].effective.0 >= self.bar {
                        return i;
                    }
                }
                self.next = 0;
                self.bar =
                    if self.bar > step { self.bar - step } else { weights().max().unwrap() + 1 - step };
            }
        }
    }
}
