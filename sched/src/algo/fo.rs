//! `fo`: failover: the server with the highest weight gets everything; among equals the newest one.

use super::{Algorithm, Flow, Scheduler, first_max};
use crate::account::{Account, Rank};
use crate::dest::Dest;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "fo",
    summary: "failover: all to the available server of the highest weight",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(Failover),
};

#[derive(Clone, Debug)]
struct Failover;

impl Scheduler for Failover {
    fn pick(&mut self, dests: &[Dest], _flow: &Flow) -> Option<usize> {
        first_max(dests, Dest::eligible, |dest| dest.effective)
    }

    fn account(&self, dests: &[Dest], _flow: &Flow) -> Account {
        Account::of("the highest weight", dests, |_, dest| {
            (format!("weight {}", dest.effective.0), Some(Rank::number(-i128::from(dest.effective.0))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;

    #[test]
    fn the_highest_weight_and_then_the_newest() {
        let mut bench = Bench::new(&ALGORITHM, &[2, 3, 3, 1]);
        bench.set_load('C', 1000, 1000);
        assert_eq!(bench.picks(3), "CCC");
        bench.server('C').live.set_overloaded(true);
        assert_eq!(bench.pick(), 'B');
        bench.edit('B', 0);
        assert_eq!(bench.pick(), 'A');
        bench.edit('A', 0);
        assert_eq!(bench.pick(), 'D');
        bench.edit('D', 0);
        assert_eq!(bench.pick(), '-');
    }
}
