//! `lblc`: locality-based least connection. Whoever asks for a destination gets the server that served it last, whose
//! cache has it; a destination that is new, or whose server has too much to do, gets the choice of wlc. For farms of
//! caches that clients' packets are led through by a mark.
//!
//! Too much is more active connections than its weight while another server has fewer than half of its own. A cached
//! server that is over its upper threshold goes on serving what it has.

use super::locality::{Memory, account_local, is_overloaded};
use super::{Algorithm, Flow, Scheduler, lightest, position};
use crate::account::Account;
use crate::dest::Dest;
use crate::model::DestKey;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "lblc",
    summary: "locality-based least connection: a destination stays with its server, wlc for the others",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(LocalityBased { servers: Memory::default() }),
};

#[derive(Clone, Debug)]
struct LocalityBased {
    /// Where each destination's server is, or was when it was last asked for.
    servers: Memory<(DestKey, usize)>,
}

impl Scheduler for LocalityBased {
    fn pick(&mut self, dests: &[Dest], flow: &Flow) -> Option<usize> {
        let addr = flow.vip.ip();
        self.servers.pass(flow.now, flow.knobs.lblc_expiration);
        if let Some((key, at)) = self.servers.recall(addr, flow.now)
            && let Some(found) = position(dests, *key, *at)
        {
            *at = found;
            let dest = &dests[found];
            if dest.weight.0 > 0 && !is_overloaded(dest, dests) {
                return Some(found);
            }
        }
        let found = lightest(dests, Dest::load)?;
        self.servers.learn(addr, (dests[found].live.key, found), flow.now, flow.random);
        Some(found)
    }

    fn account(&self, dests: &[Dest], flow: &Flow) -> Account {
        let mut copy = self.clone();
        copy.servers.pass(flow.now, flow.knobs.lblc_expiration);
        let addr = flow.vip.ip();
        let known = copy.servers.recall(addr, flow.now).map(|(key, _)| *key);
        let account = account_local(dests, copy.pick(dests, flow));
        match known {
            Some(known) => account.note(format!("{addr} was {known}'s")),
            None => account.note(format!("nobody has {addr} yet")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::algo::testing::Bench;

    fn pick(bench: &mut Bench, last_octet: u8) -> char {
        bench.pick_for("10.0.0.1", &format!("10.0.1.{last_octet}"))
    }

    #[test]
    fn a_destination_stays_where_it_was_and_new_ones_go_to_the_least_loaded() {
        let mut bench = Bench::new(&ALGORITHM, &[3, 3]);
        assert_eq!(pick(&mut bench, 1), 'B');
        bench.set_load('B', 2, 100);
        assert_eq!(pick(&mut bench, 1), 'B');
        assert_eq!(pick(&mut bench, 2), 'A');
        bench.edit('A', 0);
        assert_eq!(pick(&mut bench, 2), 'B');
        bench.edit('A', 3);
        assert_eq!(pick(&mut bench, 2), 'B', "it has moved for good");
        bench.remove('B');
        assert_eq!(pick(&mut bench, 1), 'A');
        bench.remove('A');
        assert_eq!(pick(&mut bench, 1), '-');
    }

    #[test]
    fn more_connections_than_weight_move_a_destination_if_somebody_has_few() {
        let mut bench = Bench::new(&ALGORITHM, &[4, 3]);
        bench.set_load('A', 2, 0);
        assert_eq!(pick(&mut bench, 1), 'B');
        bench.set_load('B', 4, 0);
        assert_eq!(pick(&mut bench, 1), 'B', "half is not few");
        bench.set_load('A', 1, 0);
        bench.set_load('B', 3, 0);
        assert_eq!(pick(&mut bench, 1), 'B', "as many as the weight are not too many");
        bench.set_load('B', 4, 0);
        assert_eq!(pick(&mut bench, 1), 'A');
    }

    #[test]
    fn a_server_over_its_threshold_goes_on_with_what_it_has() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 1]);
        assert_eq!(pick(&mut bench, 1), 'B');
        bench.server('B').live.set_overloaded(true);
        assert_eq!(pick(&mut bench, 1), 'B');
        assert_eq!(pick(&mut bench, 2), 'A');
    }

    #[test]
    fn an_unused_destination_is_forgotten_after_the_time_that_is_set() {
        let mut bench = Bench::new(&ALGORITHM, &[9, 9]);
        let at = |minutes: u64| {
            let mut flow = Flow::new("10.0.0.1:1".parse().unwrap(), "10.0.1.1:80".parse().unwrap());
            flow.now = Duration::from_secs(60 * minutes);
            flow.knobs.lblc_expiration = Duration::from_secs(60 * 20);
            flow
        };
        assert_eq!(bench.pick_flow(&at(0)), 'B');
        bench.set_load('B', 1, 0);
        assert_eq!(bench.pick_flow(&at(29)), 'B', "nobody has looked yet");
        assert_eq!(bench.pick_flow(&at(48)), 'B', "used 19 minutes ago");
        assert_eq!(bench.pick_flow(&at(91)), 'A', "unused for 42 minutes when somebody looked");
    }
}
