//! What a worker remembers of the kernel's answers: a table of two-entry sets that grows with use up to a bound, then
//! forgets. An entry of another generation than the one asked for is as good as none.
//!
//! Senders choose their addresses, so the hash has a random key: nobody can aim at one set.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use super::hops::Hop;

/// Entries at first, and at most: 64 bytes each.
const LEAST: usize = 256;
const MOST: usize = 1 << 16;

/// What is asked for. Addresses as IPv6 has them (RFC 4291 section 2.5.5.2); all zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) from: u128,
    pub(super) to: u128,
    /// The device, where it is known already.
    pub(super) device: u32,
}

/// An address in a key.
pub(super) const fn word(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => word4(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// An IPv4 address in a key.
pub(super) const fn word4(bits: u32) -> u128 {
    0xffff_0000_0000 | bits as u128
}

/// An answer. The parts of its key stand by themselves, for the sake of its size.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) from: u128,
    pub(super) to: u128,
    pub(super) known: u32,
    pub(super) generation: u32,
    pub(super) device: u32,
    pub(super) mtu: u32,
    pub(super) next: Next,
}

impl Entry {
    /// An answer that goes nowhere yet.
    pub(super) fn new(key: Key, generation: u32) -> Self {
        Self { from: key.from, to: key.to, known: key.device, generation, ..Self::default() }
    }

    fn key(&self) -> Key {
        Key { from: self.from, to: self.to, device: self.known }
    }
}

/// Where it goes next.
#[derive(Clone, Debug, Default)]
pub(super) enum Next {
    /// Not anywhere by link.
    #[default]
    Nowhere,
    /// That depends on the source.
    BySource,
    /// A link without headers.
    Bare,
    /// From an address of ours to a neighbour.
    Ethernet([u8; 6], Arc<Hop>),
}

/// The table.
#[derive(Debug)]
pub(super) struct Cache {
    entries: Vec<Entry>,
    seed: (u64, u64),
    /// Entries that had to make room, and their generation.
    crowded: usize,
    crowded_in: u32,
}

impl Cache {
    pub(super) fn new() -> Self {
        let random = || RandomState::new().hash_one(0_u8);
        Self { entries: vec![Entry::default(); LEAST], seed: (random(), random()), crowded: 0, crowded_in: 0 }
    }

    /// The first entry of the key's set.
    #[inline]
    fn set(&self, key: &Key) -> usize {
        let halves = |word: u128| ((word >> 64) as u64, word as u64);
        let ((a, b), (c, d)) = (halves(key.to), halves(key.from));
        let fold = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            product as u64 ^ (product >> 64) as u64
        };
        let to = fold(a ^ self.seed.0, b ^ self.seed.1);
        let hash = fold(to ^ c ^ u64::from(key.device), d ^ self.seed.0);
        hash as usize & (self.entries.len() - 2)
    }

    /// What is known.
    #[inline]
    pub(super) fn find(&self, key: &Key, generation: u32) -> Option<&Entry> {
        let set = self.set(key);
        let [one, other] = self.entries.get(set..)?.first_chunk()?;
        let is_it = |entry: &Entry| {
            // Not one branch for each part.
            let differs = (entry.to ^ key.to) | (entry.from ^ key.from);
            let differs = differs | u128::from((entry.known ^ key.device) | (entry.generation ^ generation));
            differs == 0
        };
        if is_it(one) {
            return Some(one);
        }
        is_it(other).then_some(other)
    }

    /// Remembers an answer.
    pub(super) fn put(&mut self, entry: Entry) {
        let generation = entry.generation;
        let place = |cache: &Self| {
            let set = cache.set(&entry.key());
            let is_free = |at: &usize| {
                let old = &cache.entries[*at];
                old.generation != generation || old.key() == entry.key()
            };
            [set, set + 1].into_iter().find(is_free).ok_or(set)
        };
        let mut at = place(self);
        if at.is_err() {
            self.crowded = if self.crowded_in == generation { self.crowded + 1 } else { 1 };
            self.crowded_in = generation;
            if self.crowded > self.entries.len() / 8 && self.entries.len() < MOST {
                self.grow(generation);
                at = place(self);
            }
        }
        match at {
            Ok(free) => self.entries[free] = entry,
            // The older one of the two goes.
            Err(set) => {
                self.entries.swap(set, set + 1);
                self.entries[set] = entry;
            }
        }
    }

    fn grow(&mut self, generation: u32) {
        let size = 4 * self.entries.len();
        let old = std::mem::replace(&mut self.entries, vec![Entry::default(); size]);
        self.crowded = 0;
        for entry in old.into_iter().filter(|entry| entry.generation == generation) {
            self.put(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u32, generation: u32) -> Entry {
        let key = Key { to: word(IpAddr::from(n.to_be_bytes())), ..Key::default() };
        Entry { device: n, ..Entry::new(key, generation) }
    }

    fn count(cache: &Cache, n: u32, generation: u32) -> usize {
        (0..n)
            .filter(|n| {
                let found = cache.find(&entry(*n, 0).key(), generation);
                found.is_some_and(|found| found.device == *n)
            })
            .count()
    }

    #[test]
    fn an_entry_is_one_line_of_a_processor_cache() {
        assert_eq!(size_of::<Entry>(), 64);
    }

    #[test]
    fn it_grows_with_what_is_in_use_and_then_forgets() {
        let mut cache = Cache::new();
        // What had to make room before there was more is asked for again.
        for _ in 0..2 {
            (0..10_000).for_each(|n| cache.put(entry(n, 1)));
        }
        let known = count(&cache, 10_000, 1);
        assert!(known > 8500, "{known} of 10000 in {}", cache.entries.len());
        for n in 0..300_000 {
            cache.put(entry(n, 1));
        }
        assert_eq!(cache.entries.len(), MOST);
        let known = count(&cache, 300_000, 1);
        assert!((MOST / 2..=MOST).contains(&known), "{known}");
        assert!(cache.find(&entry(299_999, 1).key(), 1).is_some(), "the latest is there");
    }

    #[test]
    fn another_generation_knows_nothing_and_needs_no_more_room() {
        let mut cache = Cache::new();
        for generation in 1..200 {
            assert_eq!(count(&cache, 100, generation), 0);
            for n in 0..100 {
                cache.put(entry(n, generation));
            }
            let known = count(&cache, 100, generation);
            assert!(known > 60, "{known}");
        }
        assert_eq!(cache.entries.len(), LEAST);
    }

    #[test]
    fn every_part_of_a_key_counts() {
        let mut cache = Cache::new();
        let key = entry(7, 1).key();
        let keys = [key, Key { from: 1, ..key }, Key { device: 1, ..key }, Key { to: key.to >> 64, ..key }];
        for (n, key) in keys.into_iter().enumerate() {
            cache.put(Entry { device: n as u32, ..Entry::new(key, 1) });
        }
        for (n, key) in keys.into_iter().enumerate() {
            assert_eq!(cache.find(&key, 1).map(|entry| entry.device), Some(n as u32));
        }
        assert!(cache.find(&Key { device: 2, ..key }, 1).is_none());
    }
}
