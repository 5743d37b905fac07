//! `lc`: the server with the least load gets the flow; among equals the newest one.

use super::{Algorithm, Flow, Scheduler, lightest_by, load_in_words};
use crate::account::{Account, Rank};
use crate::dest::Dest;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "lc",
    summary: "least connection: the server with the fewest connections",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(LeastConnection),
};

#[derive(Clone, Debug)]
struct LeastConnection;

impl Scheduler for LeastConnection {
    fn pick(&mut self, dests: &[Dest], _flow: &Flow) -> Option<usize> {
        // Equals keep their order: the newest comes first. A server in its slow start has to have less than others.
        lightest_by(dests, |a, b| a.load() * u64::from(b.tenths()) < b.load() * u64::from(a.tenths()))
    }

    fn account(&self, dests: &[Dest], _flow: &Flow) -> Account {
        Account::of("connections, an active one counts 257 times: the fewest", dests, |_, dest| {
            let begins = if dest.tenths() < 10 {
                format!(", x 10/{} in its slow start", dest.tenths())
            } else {
                String::new()
            };
            let figure = format!("{} = {}{begins}", load_in_words(dest), dest.load());
            (figure, Some(Rank::per(dest.load(), dest.tenths().into())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;

    #[test]
    fn the_least_load_and_then_the_newest() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 1, 1]);
        assert_eq!(bench.pick(), 'C');
        bench.set_load('C', 0, 1);
        assert_eq!(bench.pick(), 'B');
        bench.set_load('B', 1, 0);
        bench.set_load('A', 0, 256);
        bench.set_load('C', 0, 257);
        assert_eq!(bench.pick(), 'A');
        bench.set_load('A', 0, 257);
        assert_eq!(
            bench.pick(),
            'C',
            "an active connection weighs 257 others, and C is the newest of three equals"
        );
        bench.server('C').live.set_overloaded(true);
        assert_eq!(bench.pick(), 'B');
    }

    #[test]
    fn weights_count_only_when_0() {
        let mut bench = Bench::new(&ALGORITHM, &[9, 1, 0]);
        assert_eq!(bench.pick(), 'B');
        bench.edit('B', 0);
        bench.set_load('A', 1000, 0);
        assert_eq!(bench.pick(), 'A');
        bench.edit('A', 0);
        assert_eq!(bench.pick(), '-');
    }
}
