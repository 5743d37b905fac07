//! In which order packets are taken from two rings, so that none of a flow overtakes another one.
//!
//! The kernel gives a packet the next slot of its ring, copies it, then stamps it with the time and hands it over. On several
//! processors it does so at the same time. So in one ring a packet may be there before one that is in front of it, and
//! its time be the earlier one: of as many as there are processors, as each copies one at a time. That does no harm to
//! flows, whose packets come one after the other; but it is not enough to compare the first of either ring:
//!
//! - Next is the ring with the earliest packet of all that are there, wherever in it that is. If its first is not there yet,
//!   nothing is taken before that is.
//! - What is not there when a ring is looked at may have come before what is found in the other one after that. So a packet
//!   is taken only if the other ring has been looked at after it was there.

use nix::unistd::{SysconfVar, sysconf};

use super::Ring;
use crate::packet::BATCH;
use crate::sys::ring::Slot;

/// More processors than have to do with one port's packets.
const MANY: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Short,
    Long,
}

/// That of the packets that have been looked at and not been taken.
pub(super) struct Order {
    /// A bit for each, the lowest for the next: it is a long one.
    long: u64,
    /// So many.
    packets: usize,
    /// How far behind a packet one may be that has come before it.
    reach: usize,
    seen: [Seen; 2],
}

/// What is there of a ring.
struct Seen {
    /// When the earliest came of the packets from this one on.
    earliest: Vec<u64>,
    /// So many are there one after the other, from the first.
    run: usize,
}

impl Order {
    pub(super) fn new() -> Self {
        const { assert!(BATCH <= u64::BITS as usize, "a batch has a bit for each packet") };
        let processors = sysconf(SysconfVar::_NPROCESSORS_CONF).ok().flatten();
        let reach = processors.and_then(|n| usize::try_from(n).ok()).map_or(MANY, |n| n.clamp(1, MANY));
        let seen = || Seen { earliest: Vec::with_capacity(BATCH + reach), run: 0 };
        Self { long: 0, packets: 0, reach, seen: [seen(), seen()] }
    }

    /// Where the packet is that is to be taken now; none while there is none.
    #[inline]
    pub(super) fn next(&mut self, short: &Ring, long: &Ring) -> Option<Which> {
        if self.packets == 0 {
            self.find(short, long);
        }
        self.packets = self.packets.checked_sub(1)?;
        let which = if self.long & 1 == 0 { Which::Short } else { Which::Long };
        self.long >>= 1;
        Some(which)
    }

    /// Looks at what is there.
    fn find(&mut self, short: &Ring, long: &Ring) {
        let Self { reach, seen: [shorts, longs], .. } = self;
        let run = short.ahead().take(BATCH).take_while(|slot| slot.is_ours()).count();
        longs.look(long.ahead(), *reach);
        (self.long, self.packets) = match (run, longs.earliest.is_empty()) {
            (run, true) => (0, run),
            (0, false) if !short.ahead().take(*reach).any(Slot::is_ours) => (u64::MAX, longs.run.min(BATCH)),
            (run, false) => {
                shorts.look(short.ahead(), *reach);
                shorts.run = shorts.run.min(run);
                merge(shorts, longs)
            }
        };
    }
}

impl Seen {
    /// Looks at slots as far as there may be packets, of those that a batch may have.
    fn look<'a>(&mut self, slots: impl Iterator<Item = &'a Slot>, reach: usize) {
        const NONE: u64 = u64::MAX;
        self.earliest.clear();
        self.run = 0;
        let (mut there, mut empty) = (0, 0);
        for slot in slots.take(BATCH + reach) {
            let came = slot.came();
            self.earliest.push(came.unwrap_or(NONE));
            if came.is_none() {
                empty += 1;
                if empty == reach {
                    break;
                }
                continue;
            }
            if self.run + 1 == self.earliest.len() {
                self.run += 1;
            }
            (there, empty) = (self.earliest.len(), 0);
        }
        self.earliest.truncate(there);
        let mut earliest = NONE;
        for came in self.earliest.iter_mut().rev() {
            earliest = earliest.min(*came);
            *came = earliest;
        }
    }
}

/// What was seen in its order: which are long ones, and how many there are.
fn merge(short: &Seen, long: &Seen) -> (u64, usize) {
    let (mut shorts, mut longs, mut bits) = (0, 0, 0);
    while shorts + longs < BATCH {
        let is_long = match (short.earliest.get(shorts), long.earliest.get(longs)) {
            (None, None) => break,
            (Some(short), Some(long)) => long < short,
            (_, long) => long.is_some(),
        };
        let (of, at) = if is_long { (long, &mut longs) } else { (short, &mut shorts) };
        if *at == of.run {
            break;
        }
        *at += 1;
        bits |= u64::from(is_long) << (shorts + longs - 1);
    }
    (bits, shorts + longs)
}
