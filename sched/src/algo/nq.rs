//! `nq`: never queue: the newest server that has nothing to do, whatever its weight; when all are busy, as `sed`.

use super::sed::{account_delay, shortest_delay};
use super::{Algorithm, Flow, Scheduler};
use crate::account::{Account, Rank};
use crate::dest::Dest;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "nq",
    summary: "never queue: an idle server if there is one, else as sed",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(NeverQueue),
};

#[derive(Clone, Debug)]
struct NeverQueue;

impl Scheduler for NeverQueue {
    fn pick(&mut self, dests: &[Dest], _flow: &Flow) -> Option<usize> {
        let idle = dests.iter().position(|dest| dest.eligible() && dest.active() == 0);
        idle.or_else(|| shortest_delay(dests))
    }

    fn account(&self, dests: &[Dest], _flow: &Flow) -> Account {
        let is_idle = |dest: &Dest| dest.eligible() && dest.active() == 0;
        if !dests.iter().any(is_idle) {
            return account_delay("nobody is idle: as sed, (active + 1) per weight, the least", dests);
        }
        Account::of("the first of the list without active connections", dests, |_, dest| {
            (format!("{} active", dest.active()), is_idle(dest).then(|| Rank::number(0)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;

    #[test]
    fn the_idle_come_first() {
        let mut bench = Bench::new(&ALGORITHM, &[9, 2, 1]);
        assert_eq!(bench.pick(), 'C', "the newest of the idle, and not the heaviest");
        bench.set_load('C', 1, 0);
        bench.set_load('B', 0, 900);
        assert_eq!(bench.pick(), 'B', "idle is who has no active connection");
        bench.server('B').live.set_overloaded(true);
        assert_eq!(bench.pick(), 'A');
        bench.edit('A', 0);
        assert_eq!(bench.pick(), 'C', "the only one left, busy or not");
    }

    #[test]
    fn among_the_busy_the_shortest_delay() {
        let mut bench = Bench::new(&ALGORITHM, &[3, 2, 1]);
        for name in ['A', 'B', 'C'] {
            bench.set_load(name, 2, 0);
        }
        assert_eq!(bench.pick(), 'A', "3/3 before 3/2 and 3/1");
        bench.set_load('A', 5, 0);
        assert_eq!(bench.pick(), 'B', "3/2 before 6/3");
    }
}
