//! `sh`: the client's address decides, so a client comes back to its server for as long as the servers stay the same.
//!
//! 256 slots are dealt to the servers, newest first, to each as many in a row as its weight says (even weight 0 takes
//! one), round and round until all are dealt. A client whose server has weight 0 or is overloaded is not served,
//! unless `sh-fallback` is set: then the slots are walked, from twice the client's own number on, to the first server
//! that is in. With `sh-port` the client's port counts too, and so its connections spread.

use super::hashing::{Slots, fold, multiplicative};
use super::{Algorithm, Change, Flow, Scheduler, account_owner};
use crate::account::Account;
use crate::dest::Dest;
use crate::model::SchedFlags;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "sh",
    summary: "source hashing: each client address has its server, in proportion to the weights",
    flags: &[("sh-fallback", FALLBACK), ("sh-port", PORT)],
    max_dests: usize::MAX,
    new: |flags| Box::new(SourceHashing { flags, slots: Slots::default() }),
};

const FALLBACK: SchedFlags = SchedFlags::ONE;
const PORT: SchedFlags = SchedFlags::TWO;

const SLOT_BITS: u32 = 8;
const SLOTS: usize = 1 << SLOT_BITS;

#[derive(Clone, Debug)]
struct SourceHashing {
    flags: SchedFlags,
    slots: Slots,
}

impl Scheduler for SourceHashing {
    fn pick(&mut self, dests: &[Dest], flow: &Flow) -> Option<usize> {
        let first = self.slot(flow);
        let own = self.slots.eligible(first, dests);
        if own.is_some() || !self.flags.has(FALLBACK) || !dests.iter().any(Dest::eligible) {
            return own;
        }
        (0..SLOTS).find_map(|offset| self.slots.eligible((2 * first + offset) % SLOTS, dests))
    }

    fn account(&self, dests: &[Dest], flow: &Flow) -> Account {
        let account = account_owner("the client's address", dests, self.clone().pick(dests, flow));
        let slot = self.slot(flow);
        match self.slots.owner(slot) {
            Some(owner) => {
                let who =
                    if self.flags.has(PORT) { flow.client.to_string() } else { flow.client.ip().to_string() };
                account.note(format!("{who} hashes to slot {slot} of {SLOTS}, which is {owner}'s"))
            }
            None => account,
        }
    }

    fn dests_changed(&mut self, dests: &[Dest], _changes: &[Change]) {
        self.slots = Slots::new(dests, deal(dests));
    }
}

impl SourceHashing {
    fn slot(&self, flow: &Flow) -> usize {
        let port = if self.flags.has(PORT) { flow.client.port() } else { 0 };
        let number = fold(flow.client.ip()).wrapping_add(u32::from(port));
        multiplicative(number, SLOT_BITS) as usize
    }
}

/// Whose slot is whose.
fn deal(dests: &[Dest]) -> Vec<u16> {
    // Everybody takes a slot at least, so positions of those that get one fit.
    let runs = (0..).zip(dests).flat_map(|(i, dest)| std::iter::repeat_n(i, dest.weight.0.max(1) as usize));
    runs.cycle().take(SLOTS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;

    const CLIENTS: [&str; 5] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "192.168.1.100", "203.0.113.7"];

    fn picks(bench: &mut Bench) -> String {
        CLIENTS.map(|client| bench.pick_for(&format!("{client}:40000"), "10.77.9.9")).iter().collect()
    }

    #[test]
    fn a_client_has_its_server() {
        // Slots 39, 137, 235, 89 and 124, of servers C, B, A, C, B, A …
        assert_eq!(picks(&mut Bench::new(&ALGORITHM, &[1, 1, 1])), "CABAB");
        // C, B, B, A, A, A, C, B, B, A, A, A …
        assert_eq!(picks(&mut Bench::new(&ALGORITHM, &[3, 2, 1])), "AABAA");
        assert_eq!(picks(&mut Bench::new(&ALGORITHM, &[])), "-----");
    }

    #[test]
    fn with_sh_port_a_connection_has_its_server() {
        // Slots 203, 45, 143, 253 and 32.
        assert_eq!(picks(&mut Bench::with_flags(&ALGORITHM, PORT, &[1, 1, 1])), "ACABA");
    }

    #[test]
    fn whoever_is_out_keeps_its_slots() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 1, 1]);
        bench.server('C').live.set_overloaded(true);
        assert_eq!(picks(&mut bench), "-ABAB");
        bench.edit('A', 0);
        assert_eq!(picks(&mut bench), "--B-B");
        bench.server('C').live.set_overloaded(false);
        bench.remove('A');
        assert_eq!(picks(&mut bench), "BBBBC", "dealt anew, to the others");
    }

    #[test]
    fn sh_fallback_walks_from_twice_the_slot_to_one_that_is_in() {
        let mut bench = Bench::with_flags(&ALGORITHM, FALLBACK, &[1, 1, 1]);
        bench.edit('C', 0);
        // 10.0.0.1: slot 39 is C's, 78 too, 79 is B's.
        assert_eq!(picks(&mut bench), "BABAB");
        bench.edit('A', 0);
        bench.edit('B', 0);
        assert_eq!(picks(&mut bench), "-----");
    }

    #[test]
    fn more_servers_or_weight_than_slots_leave_the_oldest_without() {
        let owners = |weights: &[u32]| deal(&Bench::new(&ALGORITHM, weights).dests);
        let many = vec![Bench::new(&ALGORITHM, &[1]).dests[0].clone(); 70_000];
        assert_eq!(deal(&many), (0..256).collect::<Vec<u16>>());
        assert_eq!(owners(&[1, 1, u32::MAX]), [0; SLOTS]);
        assert_eq!(owners(&[1, 255])[254..], [0, 1]);
    }
}
