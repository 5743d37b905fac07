//! `sed`: the server where the flow would wait least: the fewest active connections per weight, the new one included.
//! UDP flows are never active, so for them it is the heaviest server, always.

use super::{Algorithm, Flow, Scheduler, account_lightest, lightest};
use crate::account::Account;
use crate::dest::Dest;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "sed",
    summary: "shortest expected delay: the fewest active connections per weight, the new one counted in",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(ShortestExpectedDelay),
};

#[derive(Clone, Debug)]
struct ShortestExpectedDelay;

impl Scheduler for ShortestExpectedDelay {
    fn pick(&mut self, dests: &[Dest], _flow: &Flow) -> Option<usize> {
        shortest_delay(dests)
    }

    fn account(&self, dests: &[Dest], _flow: &Flow) -> Account {
        account_delay("active connections and this one, per weight: the least", dests)
    }
}

pub(super) fn account_delay(rule: &'static str, dests: &[Dest]) -> Account {
    account_lightest(rule, dests, |dest| dest.active() + 1, |dest| format!("({} active + 1)", dest.active()))
}

/// Among equals the newest.
pub(super) fn shortest_delay(dests: &[Dest]) -> Option<usize> {
    lightest(dests, |dest| dest.active() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;

    #[test]
    fn the_new_connection_counts_in() {
        let mut bench = Bench::new(&ALGORITHM, &[3, 2, 1]);
        assert_eq!(bench.pick(), 'A', "1/3 and not 1/2 or 1/1");
        bench.set_load('A', 1, 0);
        assert_eq!(bench.pick(), 'B', "1/2 before 2/3");
        bench.set_load('B', 1, 900);
        assert_eq!(bench.pick(), 'A', "2/3; what is not active is no delay");
        bench.set_load('A', 2, 0);
        assert_eq!(bench.pick(), 'C', "three equals");
        bench.server('C').live.set_overloaded(true);
        assert_eq!(bench.pick(), 'B');
        bench.edit('B', 0);
        bench.edit('A', 0);
        assert_eq!(bench.pick(), '-');
    }
}
