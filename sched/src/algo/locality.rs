//! What lblc and lblcr remember of destinations, and how they forget: the kernel's timer, run late.
//!
//! Once a minute, counted from the first flow on, and every 30th time thoroughly: everything that has not been used for
//! the time that is configured goes. The other times only while there are too many, and only what has not been used
//! for six minutes. The kernel has no limit beyond that; here an insertion into a full memory pushes something out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::hashing::{fold, multiplicative};
use super::load_in_words;
use crate::account::{Account, Rank};
use crate::dest::Dest;

/// More than these are too many.
const MANY: usize = 16 * BUCKETS as usize;
/// More than these are not kept, whatever happens.
const FULL: usize = 4 * MANY;

const BUCKET_BITS: u32 = 10;
const BUCKETS: u16 = 1 << BUCKET_BITS;

const MINUTE: Duration = Duration::from_secs(60);
const UNUSED: Duration = Duration::from_secs(6 * 60);
const THOROUGH: u8 = 30;

/// Something for each destination address. A tree in the order of the kernel's buckets, which is the order of
/// forgetting; unlike buckets it stays quick when somebody chooses the addresses so that they collide.
#[derive(Clone, Debug)]
pub(super) struct Memory<T> {
    entries: BTreeMap<Place, Entry<T>>,
    /// When the next minute is over.
    due: Option<Duration>,
    /// Minutes since the last thorough look, and this one.
    minute: u8,
    /// The bucket that was looked at last.
    rover: u16,
}

type Place = (u16, IpAddr);

#[derive(Clone, Debug)]
struct Entry<T> {
    value: T,
    used: Duration,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), due: None, minute: 1, rover: 0 }
    }
}

impl<T> Memory<T> {
    /// What is known of a destination, which is being used now.
    pub(super) fn recall(&mut self, addr: IpAddr, now: Duration) -> Option<&mut T> {
        let entry = self.entries.get_mut(&place(addr))?;
        entry.used = now;
        Some(&mut entry.value)
    }

    /// `random` decides what goes if there is no room.
    pub(super) fn learn(&mut self, addr: IpAddr, value: T, now: Duration, random: u64) {
        let place = place(addr);
        if self.entries.len() >= FULL && !self.entries.contains_key(&place) {
            self.push_out(random);
        }
        self.entries.insert(place, Entry { value, used: now });
    }

    /// Everything that is remembered.
    pub(super) fn values(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.values_mut().map(|entry| &mut entry.value)
    }

    /// Catches up with the timer.
    pub(super) fn pass(&mut self, now: Duration, expiration: Duration) {
        let due = *self.due.get_or_insert(now + MINUTE);
        if now < due {
            return;
        }
        let cycle = MINUTE * u32::from(THOROUGH);
        // Of a long absence the last two cycles are enough: what earlier ones drop, these drop too.
        let skipped = ((now - due).as_nanos() / cycle.as_nanos()).saturating_sub(1);
        let mut due = due + cycle * u32::try_from(skipped).unwrap_or(u32::MAX);
        while due <= now {
            self.tick(due, expiration);
            due += MINUTE;
        }
        self.due = Some(due);
    }

    fn tick(&mut self, now: Duration, expiration: Duration) {
        if self.minute == THOROUGH {
            self.sweep(now, expiration, usize::MAX);
            self.minute = 1;
        } else if self.entries.len() <= MANY {
            self.minute += 1;
        } else {
            let goal = ((self.entries.len() - MANY) * 4 / 3).min(MANY / 2);
            self.sweep(now, UNUSED, goal);
        }
    }

    /// Goes round the buckets and drops what has been unused for so long, until `goal` is reached.
    fn sweep(&mut self, now: Duration, unused: Duration, goal: usize) {
        let before = self.entries.len();
        for _ in 0..BUCKETS {
            self.rover = (self.rover + 1) % BUCKETS;
            let first = (self.rover, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let bucket = self.entries.range(first..).take_while(|(place, _)| place.0 == self.rover);
            let stale = bucket.filter(|(_, entry)| now.saturating_sub(entry.used) >= unused);
            let stale: Vec<Place> = stale.map(|(place, _)| *place).collect();
            for place in stale {
                self.entries.remove(&place);
            }
            if before - self.entries.len() >= goal {
                break;
            }
        }
    }

    /// Drops one that chance picks, so that nobody can choose whose it is.
    fn push_out(&mut self, random: u64) {
        let bucket = (random as u16 % BUCKETS, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let steps = (random >> 32) as usize % (FULL / BUCKETS as usize);
        let victim = self.entries.range(bucket..).chain(&self.entries).nth(steps).map(|(place, _)| *place);
        if let Some(place) = victim {
            self.entries.remove(&place);
        }
    }
}

/// Whether a server has more than enough connections while another has less than half of that.
pub(super) fn is_overloaded(dest: &Dest, dests: &[Dest]) -> bool {
    dest.active() > dest.capacity() && dests.iter().any(|d| d.active() * 2 < d.capacity())
}

/// The account of a choice by what is remembered, or by load. Who is remembered may be over its threshold.
pub(super) fn account_local(dests: &[Dest], found: Option<usize>) -> Account {
    let rule = "who has the destination already, unless overloaded while another is half idle; else the least per weight";
    let mut account = Account::of(rule, dests, |_, dest| {
        (format!("{} / weight {}", load_in_words(dest), dest.effective.0), None)
    });
    if let Some(first) = found.and_then(|found| account.servers.get_mut(found)) {
        first.rank = Some(Rank::number(0));
    }
    account
}

fn place(addr: IpAddr) -> Place {
    (multiplicative(fold(addr), BUCKET_BITS) as u16, addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn addr(i: usize) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + i as u32).into())
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn filled(count: usize) -> Memory<usize> {
        let mut memory = Memory::default();
        memory.pass(Duration::ZERO, DAY);
        (0..count).for_each(|i| memory.learn(addr(i), i, Duration::ZERO, i as u64));
        memory
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes_at_the_next_thorough_look() {
        let mut memory = filled(3);
        for hour in 0..20 {
            assert_eq!(memory.recall(addr(1), minutes(60 * hour)), Some(&mut 1));
            memory.pass(minutes(60 * hour), DAY);
        }
        memory.pass(minutes(24 * 60 - 1), DAY);
        assert_eq!(memory.entries.len(), 3);
        memory.pass(minutes(24 * 60), DAY);
        assert_eq!(memory.values().collect::<Vec<_>>(), [&1]);
        memory.pass(minutes(24 * 60 * 365), DAY);
        assert_eq!(memory.entries.len(), 0);
        assert_eq!(memory.due, Some(minutes(24 * 60 * 365 + 1)));
    }

    #[test]
    fn too_many_shrink_to_what_is_allowed_once_unused_for_six_minutes() {
        let mut memory = filled(MANY + 3000);
        memory.pass(minutes(5), DAY);
        assert_eq!(memory.entries.len(), MANY + 3000);
        memory.pass(minutes(6), DAY);
        let left = memory.entries.len();
        assert!(
            (MANY - 1020..=MANY - 1000).contains(&left),
            "four thirds of the excess, whole buckets: {left}"
        );
        let spared = memory.entries.keys().filter(|place| (1..=memory.rover).contains(&place.0)).count();
        assert_eq!(spared, 0, "from the first bucket on");
        memory.pass(minutes(29), DAY);
        assert_eq!(memory.entries.len(), left, "not too many any more");
        let mut memory = filled(FULL);
        memory.pass(minutes(6), DAY);
        assert!(memory.entries.len() > FULL - MANY / 2 - 100, "half of what is allowed at most");
    }

    #[test]
    fn a_full_memory_loses_one_for_each_that_comes() {
        let mut memory = filled(FULL);
        for i in 0..1000 {
            memory.learn(addr(FULL + i), 0, Duration::ZERO, (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            memory.learn(addr(FULL + i), 0, Duration::ZERO, 0);
        }
        assert_eq!(memory.entries.len(), FULL);
        let first = (0..1000).filter(|&i| memory.recall(addr(i), Duration::ZERO).is_some()).count();
        assert!((950..1000).contains(&first), "spread over all: {first}");
    }
}
