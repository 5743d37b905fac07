//! `ovf`: overflow: the server with the highest weight, until it has more active connections than its weight says;
//! then the next. A weight is a number of connections here, and a server takes one more than that.
//!
//! UDP flows are never active, so they never overflow.

use super::{Algorithm, Flow, Scheduler, first_max};
use crate::account::{Account, Rank};
use crate::dest::Dest;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "ovf",
    summary: "overflow: all to the highest weight, as long as it has no more active connections than that",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(Overflow),
};

#[derive(Clone, Debug)]
struct Overflow;

impl Scheduler for Overflow {
    fn pick(&mut self, dests: &[Dest], _flow: &Flow) -> Option<usize> {
        let has_room = |dest: &Dest| dest.eligible() && dest.active() <= dest.capacity();
        first_max(dests, has_room, |dest| dest.effective)
    }

    fn account(&self, dests: &[Dest], _flow: &Flow) -> Account {
        Account::of("the highest weight with no more active connections than that", dests, |_, dest| {
            let (active, capacity) = (dest.active(), dest.capacity());
            let room = active <= capacity;
            let figure = format!(
                "weight {}, {active} active: {}",
                dest.effective.0,
                if room { "room" } else { "full" }
            );
            (figure, room.then(|| Rank::number(-i128::from(dest.effective.0))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;

    #[test]
    fn the_highest_weight_until_it_has_more() {
        let mut bench = Bench::new(&ALGORITHM, &[2, 3, 3, 0]);
        assert_eq!(bench.pick(), 'C');
        bench.set_load('C', 3, 900);
        assert_eq!(bench.pick(), 'C', "as many as its weight is not more");
        bench.set_load('C', 4, 0);
        assert_eq!(bench.pick(), 'B');
        bench.server('B').live.set_overloaded(true);
        assert_eq!(bench.pick(), 'A');
        bench.set_load('A', 3, 0);
        assert_eq!(bench.pick(), '-', "all full, and weight 0 is nobody");
        bench.edit('A', 3);
        assert_eq!(bench.pick(), 'A');
    }
}
