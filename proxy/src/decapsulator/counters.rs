//! What a decapsulator has done so far. Each packet that came is in one of the kinds, and was merged, handed over by
//! itself, or dropped for one reason; the exception is [`Counters::lost`], which never came this far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use wire::decap::{Carrier, Refusal};

/// Written by one thread, read by others.
#[derive(Debug, Default)]
pub(super) struct Counters {
    ipip: AtomicU64,
    gre: AtomicU64,
    gue: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    /// For no address that is served.
    pub(super) not_served: AtomicU64,
    /// The kernel would not have them.
    pub(super) not_taken: AtomicU64,
    /// They found the sockets full.
    pub(super) lost: AtomicU64,
    packets: AtomicU64,
    super_packets: AtomicU64,
    merged: AtomicU64,
}

impl Counters {
    pub(super) fn came(&self, carrier: Carrier) {
        let counter = match carrier {
            Carrier::Ipip(_) => &self.ipip,
            Carrier::Gre => &self.gre,
            Carrier::Gue => &self.gue,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Relaxed);
    }

    /// One frame of so many segments.
    pub(super) fn handed_over(&self, segments: u64) {
        if segments == 1 {
            self.packets.fetch_add(1, Relaxed);
        } else {
            self.super_packets.fetch_add(1, Relaxed);
            self.merged.fetch_add(segments, Relaxed);
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        table([
            ("ipip", &self.ipip),
            ("gre", &self.gre),
            ("gue", &self.gue),
            ("packets", &self.packets),
            ("super-packets", &self.super_packets),
            ("merged", &self.merged),
        ])
    }

    pub(super) fn drops(&self) -> BTreeMap<String, u64> {
        let refused = Refusal::ALL.iter().map(|refusal| refusal.name()).zip(&self.refused);
        table(refused.chain([
            ("not-served", &self.not_served),
            ("not-taken", &self.not_taken),
            ("no-room", &self.lost),
        ]))
    }
}

fn table<'a>(rows: impl IntoIterator<Item = (&'a str, &'a AtomicU64)>) -> BTreeMap<String, u64> {
    rows.into_iter().map(|(name, counter)| (name.to_owned(), counter.load(Relaxed))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter() {
        let counters = Counters::default();
        for (times, refusal) in Refusal::ALL.iter().enumerate() {
            (0..=times).for_each(|_| counters.refused(*refusal));
        }
        for (times, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(counters.drops()[refusal.name()], times as u64 + 1);
        }
        assert_eq!(counters.drops().len(), Refusal::ALL.len() + 3);
    }
}
