//! `wlc`: the server with the least load per weight gets the flow; among equals the newest one.

use super::{Algorithm, Flow, Scheduler, account_lightest, lightest, load_in_words};
use crate::account::Account;
use crate::dest::Dest;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "wlc",
    summary: "weighted least connection: the fewest connections per weight",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(WeightedLeastConnection),
};

#[derive(Clone, Debug)]
struct WeightedLeastConnection;

impl Scheduler for WeightedLeastConnection {
    fn pick(&mut self, dests: &[Dest], _flow: &Flow) -> Option<usize> {
        lightest(dests, Dest::load)
    }

    fn account(&self, dests: &[Dest], _flow: &Flow) -> Account {
        account_lightest(
            "connections per weight, an active one counts 257 times: the least",
            dests,
            Dest::load,
            load_in_words,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;
    use crate::model::Weight;

    #[test]
    fn the_least_load_per_weight_and_then_the_newest() {
        let mut bench = Bench::new(&ALGORITHM, &[3, 2, 1]);
        assert_eq!(bench.pick(), 'C');
        bench.set_load('C', 1, 0);
        assert_eq!(bench.pick(), 'B');
        bench.set_load('B', 2, 0);
        bench.set_load('A', 2, 255);
        assert_eq!(bench.pick(), 'A');
        bench.set_load('A', 3, 0);
        assert_eq!(bench.pick(), 'C', "three equals");
        bench.server('C').live.set_overloaded(true);
        assert_eq!(bench.pick(), 'B');
        bench.edit('B', 0);
        bench.edit('A', 0);
        assert_eq!(bench.pick(), '-');
    }

    #[test]
    fn the_largest_loads_and_weights_do_not_overflow() {
        let mut bench = Bench::new(&ALGORITHM, &[Weight::MAX.0, Weight::MAX.0 - 1]);
        bench.set_load('A', u32::MAX, u32::MAX);
        bench.set_load('B', u32::MAX, u32::MAX);
        assert_eq!(bench.pick(), 'A');
        bench.set_load('B', u32::MAX - 3, 0);
        assert_eq!(bench.pick(), 'B');
    }
}
