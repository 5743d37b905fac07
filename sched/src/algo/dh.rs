//! `dh`: the destination's address decides, for farms of caches that clients' packets are led through by a mark.
//!
//! The kernel deals 256 buckets to the servers in turn, newest first, so bucket b belongs to server b modulo their
//! number. Weights do not count, except that a server of weight 0 serves nobody; its destinations, and those of an
//! overloaded one, then have no server at all.

use super::hashing::{fold, multiplicative};
use super::{Algorithm, Flow, Scheduler, account_owner};
use crate::account::Account;
use crate::dest::Dest;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "dh",
    summary: "destination hashing: each destination address has its server, weights ignored",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(DestinationHashing),
};

const BUCKET_BITS: u32 = 8;

#[derive(Clone, Debug)]
struct DestinationHashing;

impl Scheduler for DestinationHashing {
    fn pick(&mut self, dests: &[Dest], flow: &Flow) -> Option<usize> {
        let bucket = multiplicative(fold(flow.vip.ip()), BUCKET_BITS) as usize;
        let owner = bucket.checked_rem(dests.len())?;
        dests[owner].eligible().then_some(owner)
    }

    fn account(&self, dests: &[Dest], flow: &Flow) -> Account {
        let account = account_owner("the destination's address", dests, self.clone().pick(dests, flow));
        let bucket = multiplicative(fold(flow.vip.ip()), BUCKET_BITS) as usize;
        match bucket.checked_rem(dests.len()) {
            Some(owner) => {
                let owner = dests[owner].live.key;
                account
                    .note(format!("{} hashes to bucket {bucket} of 256, which is {owner}'s", flow.vip.ip()))
            }
            None => account,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;

    #[test]
    fn buckets_are_dealt_newest_first_and_weights_do_not_count() {
        let picks = |weights: &[u32]| {
            let mut bench = Bench::new(&ALGORITHM, weights);
            (100..106).map(|i| bench.pick_for("10.0.0.1", &format!("10.0.0.{i}"))).collect::<String>()
        };
        // Buckets 248, 90, 187, 29, 127 and 225.
        assert_eq!(picks(&[1, 1, 1]), "ACBABC");
        assert_eq!(picks(&[1, 9, 300]), "ACBABC");
        assert_eq!(picks(&[1, 1, 1, 1]), "DBACAC");
    }

    #[test]
    fn a_destination_whose_server_is_out_has_none() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 1]);
        assert_eq!(bench.pick_for("10.0.0.1", "10.0.0.100"), 'B');
        bench.edit('B', 0);
        assert_eq!(bench.pick_for("10.0.0.1", "10.0.0.100"), '-');
        bench.edit('B', 1);
        bench.server('B').live.set_overloaded(true);
        assert_eq!(bench.pick_for("10.0.0.1", "10.0.0.100"), '-');
        bench.remove('B');
        assert_eq!(bench.pick_for("10.0.0.1", "10.0.0.100"), 'A');
        bench.remove('A');
        assert_eq!(bench.pick_for("10.0.0.1", "10.0.0.100"), '-');
    }
}
