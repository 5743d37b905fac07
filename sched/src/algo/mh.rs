//! `mh`: Maglev hashing, the client's address decides and a change of the servers moves few clients.
//!
//! 4093 slots (Eisenbud and others, "Maglev", NSDI 2016, section 3.4): every server has an order of its own in which it
//! would like them, and in turn, newest first, each takes the next one that is free, several at a time if it has the
//! weight. What counts is the latest weight above 0, so a drained server keeps its slots, and its clients come back
//! to it. Meanwhile they are not served, unless `mh-fallback` is set: then their number is hashed again with an offset
//! that grows, until a slot of a server that is in comes up. With `mh-port` the client's port counts too.

use std::net::SocketAddr;

use super::hashing::{Slots, fold, sip13};
use super::{Algorithm, Change, Flow, Scheduler, account_owner, gcd};
use crate::account::Account;
use crate::dest::Dest;
use crate::model::SchedFlags;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "mh",
    summary: "Maglev hashing: as sh, and changes of the servers move few clients",
    flags: &[("mh-fallback", FALLBACK), ("mh-port", PORT)],
    max_dests: SLOTS as usize,
    new: |flags| Box::new(MaglevHashing { flags, slots: Slots::default() }),
};

const FALLBACK: SchedFlags = SchedFlags::ONE;
const PORT: SchedFlags = SchedFlags::TWO;

/// A prime. Also the most servers that can have a slot.
const SLOTS: u32 = 4093;

/// The most slots that a server takes in one turn, as a number of bits: heavier weights lose their low ones.
const TURN_BITS: u32 = 6;

const FIRST_KEY: u64 = 2_654_435_761;
const SECOND_KEY: u64 = 2_654_446_892;

#[derive(Clone, Debug)]
struct MaglevHashing {
    flags: SchedFlags,
    slots: Slots,
}

impl Scheduler for MaglevHashing {
    fn pick(&mut self, dests: &[Dest], flow: &Flow) -> Option<usize> {
        let client = self.client(flow);
        let slot = |offset| hash(client, FIRST_KEY, offset) % SLOTS;
        let eligible = |slot: u32| self.slots.eligible(slot as usize, dests);
        let first = slot(0);
        let own = eligible(first);
        if own.is_some() || !self.flags.has(FALLBACK) || !dests.iter().any(Dest::eligible) {
            return own;
        }
        (0..SLOTS).find_map(|offset| eligible(slot((first + offset) % SLOTS)))
    }

    fn account(&self, dests: &[Dest], flow: &Flow) -> Account {
        let account =
            account_owner("the client's address, by Maglev's table", dests, self.clone().pick(dests, flow));
        let client = self.client(flow);
        let slot = hash(client, FIRST_KEY, 0) % SLOTS;
        match self.slots.owner(slot as usize) {
            Some(owner) => {
                let who = if self.flags.has(PORT) { client.to_string() } else { client.ip().to_string() };
                account.note(format!("{who} hashes to slot {slot} of {SLOTS}, which is {owner}'s"))
            }
            None => account,
        }
    }

    fn dests_changed(&mut self, dests: &[Dest], _changes: &[Change]) {
        // With more servers than slots the kernel, too, leaves everything as it is.
        if dests.len() <= SLOTS as usize {
            self.slots = Slots::new(dests, populate(dests));
        }
    }
}

impl MaglevHashing {
    /// What counts of a client.
    fn client(&self, flow: &Flow) -> SocketAddr {
        let mut client = flow.client;
        if !self.flags.has(PORT) {
            client.set_port(0);
        }
        client
    }
}

/// `addr` with its port, as a number.
fn hash(addr: SocketAddr, key: u64, offset: u32) -> u32 {
    let number = offset.wrapping_add(u32::from(addr.port())).wrapping_add(fold(addr.ip()));
    sip13(key, number)
}

/// One server's order of preference.
struct Preference {
    next: u32,
    skip: u32,
    /// How many slots it takes in one turn.
    turn: u32,
}

/// Whose slot is whose; empty if nobody has ever had a weight.
fn populate(dests: &[Dest]) -> Vec<u16> {
    const FREE: u16 = u16::MAX;
    let mut preferences = preferences(dests);
    if preferences.iter().all(|p| p.turn == 0) {
        return Vec::new();
    }
    let mut owners = vec![FREE; SLOTS as usize];
    let mut left = SLOTS;
    loop {
        for (owner, preference) in (0..).zip(&mut preferences) {
            for _ in 0..preference.turn.min(left) {
                while owners[preference.next as usize] != FREE {
                    preference.next = (preference.next + preference.skip) % SLOTS;
                }
                owners[preference.next as usize] = owner;
                left -= 1;
            }
        }
        if left == 0 {
            return owners;
        }
    }
}

fn preferences(dests: &[Dest]) -> Vec<Preference> {
    let weights = || dests.iter().map(|d| d.last_weight.0);
    let step = weights().fold(0, gcd).max(1);
    let heaviest = weights().max().unwrap_or(0) / step;
    let shift = (u32::BITS - heaviest.leading_zeros()).saturating_sub(TURN_BITS);
    let preference = |dest: &Dest| {
        let weight = dest.last_weight.0;
        Preference {
            next: hash(dest.live.key, FIRST_KEY, 0) % SLOTS,
            skip: hash(dest.live.key, SECOND_KEY, 0) % (SLOTS - 1) + 1,
            turn: ((weight / step) >> shift).max(weight.min(1)),
        }
    };
    dests.iter().map(preference).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::algo::testing::Bench;

    fn addr(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 0)
    }

    #[test]
    fn addresses_are_hashed_as_the_kernel_hashes_them() {
        let server = |n| SocketAddr::new(Ipv4Addr::new(192, 168, 1, n).into(), 80);
        let order =
            |n| (hash(server(n), FIRST_KEY, 0) % SLOTS, hash(server(n), SECOND_KEY, 0) % (SLOTS - 1) + 1);
        assert_eq!([1, 2, 3].map(order), [(2684, 2584), (183, 1302), (1446, 594)]);
        assert_eq!(hash(addr("10.0.0.1"), FIRST_KEY, 0), 0x0308_0ce4);
        assert_eq!(hash(addr("203.0.113.7"), FIRST_KEY, 0), 0xa86e_2c15);
        assert_eq!(hash(addr("10.0.0.1"), FIRST_KEY, 0x00ff_ffff), hash(addr("11.0.0.0"), FIRST_KEY, 0));
    }

    #[test]
    fn slots_are_shared_by_latest_weight() {
        let mut bench = Bench::new(&ALGORITHM, &[300, 100, 200]);
        let owned = |bench: &Bench| {
            let owners = populate(&bench.dests);
            [0, 1, 2].map(|i| owners.iter().filter(|&&o| o == i).count())
        };
        assert_eq!(owned(&bench), [1365, 682, 2046]);
        bench.edit('A', 0);
        assert_eq!(owned(&bench), [1365, 682, 2046]);
        assert_eq!(owned(&Bench::new(&ALGORITHM, &[0, 1, 1])), [2047, 2046, 0]);
        assert!(populate(&Bench::new(&ALGORITHM, &[0, 0]).dests).is_empty());
        assert!(populate(&[]).is_empty());
    }

    #[test]
    fn a_turn_has_at_most_63_slots() {
        let turns = |weights: &[u32]| {
            let turns = preferences(&Bench::new(&ALGORITHM, weights).dests);
            turns.iter().rev().map(|p| p.turn).collect::<Vec<_>>()
        };
        assert_eq!(turns(&[63, 1]), [63, 1]);
        assert_eq!(turns(&[64, 1, 0]), [32, 1, 0]);
        assert_eq!(turns(&[1000, 170, 10]), [50, 8, 1], "a gcd of 10, and a shift of 1");
        assert_eq!(turns(&[i32::MAX as u32, 1]), [63, 1]);
    }

    #[test]
    fn a_drained_server_keeps_its_clients() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 1, 1]);
        let picks = |bench: &mut Bench| {
            (0..20).map(|i| bench.pick_for(&format!("10.0.0.{i}"), "10.77.9.9")).collect::<String>()
        };
        let before = picks(&mut bench);
        bench.edit('B', 0);
        assert_eq!(picks(&mut bench), before.replace('B', "-"));
        bench.edit('B', 1);
        bench.server('B').live.set_overloaded(true);
        assert_eq!(picks(&mut bench), before.replace('B', "-"));
    }

    #[test]
    fn more_servers_than_slots_change_nothing() {
        let mut bench = Bench::new(&ALGORITHM, &[1]);
        let mut scheduler = (ALGORITHM.new)(SchedFlags::default());
        let flow = Flow::new(addr("10.0.0.1"), addr("10.77.9.9"));
        let mut many = vec![bench.dests.remove(0); SLOTS as usize + 1];
        scheduler.dests_changed(&many, &[Change::Bound]);
        assert_eq!(scheduler.pick(&many, &flow), None);
        many.pop();
        scheduler.dests_changed(&many, &[Change::Bound]);
        assert!(scheduler.pick(&many, &flow).is_some());
    }
}
