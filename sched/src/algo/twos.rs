//! `twos`: two servers are drawn at random, in proportion to the weights; the one with less load per weight gets the
//! flow.
//!
//! The kernel's draw is a number from 0 to the sum of the weights, both included. Who is first in the list, the newest
//! server, wins with 0 as well: one number more than its weight.

use super::{Algorithm, Flow, Scheduler, load_in_words, product};
use crate::account::{Account, Rank};
use crate::dest::Dest;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "twos",
    summary: "power of two choices: the less loaded of two drawn by weight",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(TwoChoices),
};

#[derive(Clone, Debug)]
struct TwoChoices;

impl Scheduler for TwoChoices {
    fn pick(&mut self, dests: &[Dest], flow: &Flow) -> Option<usize> {
        let numbers = total(dests)? + 1;
        let [first, second] = halves(flow.random).map(|bits| at(dests, below(bits, numbers)));
        let (first, second) = (first?, second?);
        let (a, b) = (&dests[first], &dests[second]);
        Some(if product(b.load(), a) < product(a.load(), b) { second } else { first })
    }

    fn account(&self, dests: &[Dest], flow: &Flow) -> Account {
        let drawn =
            total(dests).map(|total| halves(flow.random).map(|bits| at(dests, below(bits, total + 1))));
        let found = self.clone().pick(dests, flow);
        account_drawn(
            "of two drawn by weight, the one with less load per weight",
            dests,
            drawn,
            found,
            |dest| format!("{} / weight {}", load_in_words(dest), dest.effective.0),
        )
    }
}

/// The account of a choice between two.
pub(super) fn account_drawn(
    rule: &'static str,
    dests: &[Dest],
    drawn: Option<[Option<usize>; 2]>,
    found: Option<usize>,
    words: impl Fn(&Dest) -> String,
) -> Account {
    let is_drawn = |i| drawn.is_some_and(|drawn| drawn.contains(&Some(i)));
    let account = Account::of(rule, dests, |i, dest| {
        let figure = if is_drawn(i) { words(dest) } else { "not drawn".into() };
        (figure, is_drawn(i).then(|| Rank::number(i128::from(found != Some(i)))))
    });
    account.note("each flow draws anew")
}

/// The sum of the weights of those who can be chosen; `None` when there is nobody.
pub(super) fn total(dests: &[Dest]) -> Option<u64> {
    let sum = dests.iter().filter(|d| d.eligible()).map(|d| u64::from(d.effective.0)).sum();
    (sum > 0).then_some(sum)
}

/// Two independent numbers out of one.
pub(super) fn halves(random: u64) -> [u32; 2] {
    [(random >> 32) as u32, random as u32]
}

/// A number below `end`.
pub(super) fn below(bits: u32, end: u64) -> u64 {
    ((u128::from(bits) * u128::from(end)) >> 32) as u64
}

/// Whose turn it is when the weights, one after the other, are taken off `number` until nothing is left of it.
pub(super) fn at(dests: &[Dest], mut number: u64) -> Option<usize> {
    dests.iter().position(|dest| {
        let weight = if dest.eligible() { u64::from(dest.effective.0) } else { 0 };
        let reached = weight > 0 && number <= weight;
        number = number.saturating_sub(weight);
        reached
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;

    /// Bits that make the draws `first` and `second` out of `numbers` numbers.
    fn bits(first: u64, second: u64, numbers: u64) -> u64 {
        let one = |n: u64| ((n << 32) / numbers + 1).min(u64::from(u32::MAX));
        one(first) << 32 | one(second)
    }

    #[test]
    fn a_draw_counts_from_0_to_the_sum_of_the_weights_both_included() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 2, 3]);
        let mut same = |number| bench.pick_with(bits(number, number, 7));
        assert_eq!((0..7).map(&mut same).collect::<String>(), "CCCCBBA");
        bench.edit('B', 0);
        let mut same = |number| bench.pick_with(bits(number, number, 5));
        assert_eq!((0..5).map(&mut same).collect::<String>(), "CCCCA");
        bench.server('C').live.set_overloaded(true);
        assert_eq!([bench.pick_with(0), bench.pick_with(u64::MAX)], ['A', 'A']);
        bench.edit('A', 0);
        assert_eq!(bench.pick_with(0), '-');
    }

    #[test]
    fn the_second_wins_only_with_less_load_per_weight() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 2, 3]);
        let (a, c) = (6, 0);
        assert_eq!([bench.pick_with(bits(a, c, 7)), bench.pick_with(bits(c, a, 7))], ['A', 'C'], "equals");
        bench.set_load('A', 1, 0);
        bench.set_load('C', 3, 0);
        assert_eq!([bench.pick_with(bits(a, c, 7)), bench.pick_with(bits(c, a, 7))], ['A', 'C'], "equals");
        bench.set_load('C', 2, 256);
        assert_eq!([bench.pick_with(bits(a, c, 7)), bench.pick_with(bits(c, a, 7))], ['C', 'C']);
        bench.set_load('C', 3, 1);
        assert_eq!([bench.pick_with(bits(a, c, 7)), bench.pick_with(bits(c, a, 7))], ['A', 'A']);
    }

    #[test]
    fn the_largest_weights_do_not_overflow() {
        let max = crate::model::Weight::MAX.0;
        let mut bench = Bench::new(&ALGORITHM, &[max, max, max]);
        assert_eq!([bench.pick_with(0), bench.pick_with(u64::MAX)], ['C', 'A']);
    }
}
