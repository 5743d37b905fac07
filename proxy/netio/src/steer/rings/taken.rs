//! What rings take, as a value that workers ask.
//!
//! nf_tables drops the kernel's copy of a packet for exactly the same reasons ([`super::chains`]), but not at the same
//! instant. So the value is published with less in it before nf_tables is told, and with more in it after that: in
//! between a packet may be lost, and nobody ever gets it twice. A packet that had come before something was added, and
//! is only looked at later, was still the kernel's: [`Taker`] knows which those are.

use std::collections::HashMap;
use std::collections::hash_map::Entry::Vacant;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use foldhash::fast::FixedState;
use wire::packet::head::{AnyHead, Head};

use super::entry::{Counts, Entry, Kind};

/// There are 2^PARTS parts. An edit copies the list of parts and those that it touches, so that it costs hardly more with
/// ten thousand services than with ten.
const PARTS: u32 = 8;

/// Entries, each with the generation that brought it. They come from the operator and not from the network, so the hash
/// needs no secret seed.
type Part = HashMap<Entry, u64, FixedState>;

/// Where workers find what is taken at the moment.
pub type Published = Arc<ArcSwap<Taken>>;

/// What rings take, at one moment.
#[derive(Clone, Debug)]
pub struct Taken {
    parts: Vec<Arc<Part>>,
    generation: u64,
    /// What came before this generation is the kernel's.
    floor: u64,
    counts: Counts,
}

impl Default for Taken {
    /// Nothing.
    fn default() -> Self {
        let empty = Arc::new(Part::default());
        let parts = (0..1 << PARTS).map(|_| Arc::clone(&empty)).collect();
        Self { parts, generation: 0, floor: 0, counts: Counts::default() }
    }
}

impl Taken {
    /// Whether the packet with this head is the ring's; else it is the kernel's, which has a copy. So are packets that have no such
    /// head. Of frames that were sent to this host's link address only (PACKET_HOST): all others are the kernel's.
    ///
    /// Taken are whole packets of TCP and UDP, with hops left, without IPv4 options or IPv6 extension headers, to a service, or from a
    /// server to anybody but this host. To a front nothing is taken.
    #[inline]
    pub fn takes(&self, head: &AnyHead) -> bool {
        self.took(head, u64::MAX)
    }

    /// The same of a packet that came when this was the generation.
    #[inline]
    fn took(&self, head: &AnyHead, generation: u64) -> bool {
        match head {
            AnyHead::V4(head) => self.took_of(head, generation),
            AnyHead::V6(head) => self.took_of(head, generation),
        }
    }

    #[inline]
    fn took_of<const V6: bool>(&self, head: &Head<V6>, generation: u64) -> bool {
        if head.ttl <= 1 || generation < self.floor {
            return false;
        }
        let find = |kind, protocol, ip, port| self.since(Entry::of::<V6>(kind, protocol, ip, port));
        let known = |since: Option<u64>| since.is_some_and(|since| since <= generation);
        let (protocol, src, dst) = (head.protocol(), head.src, head.dst);
        let (from, to) = ((head.ports >> 16) as u16, head.ports as u16);
        if self.counts.fronts > 0 && find(Kind::Front, protocol, dst, to).is_some() {
            return false;
        }
        known(find(Kind::Service, protocol, dst, to))
            || self.counts.whole_services > 0 && known(find(Kind::Service, protocol, dst, 0))
            || (known(find(Kind::Server, protocol, src, from))
                || self.counts.whole_servers > 0 && known(find(Kind::Server, protocol, src, 0)))
                && find(Kind::Own, 0, dst, 0).is_none()
    }

    #[inline]
    fn since(&self, entry: Entry) -> Option<u64> {
        self.parts[entry.spread(PARTS)].get(&entry).copied()
    }

    /// The next one, with other entries.
    pub(super) fn with(
        &self,
        gone: impl IntoIterator<Item = Entry>,
        come: impl IntoIterator<Item = Entry>,
    ) -> Self {
        let mut next = Self { generation: self.generation + 1, ..self.clone() };
        for entry in gone {
            if next.part(entry).remove(&entry).is_some() {
                next.counts.take(entry);
                if !entry.takes() {
                    // Whatever it held back from us the kernel had.
                    next.floor = next.generation;
                }
            }
        }
        for entry in come {
            let generation = next.generation;
            if let Vacant(place) = next.part(entry).entry(entry) {
                place.insert(generation);
                next.counts.add(entry);
            }
        }
        next
    }

    /// The next one, with nothing in it.
    pub(super) fn emptied(&self) -> Self {
        Self { generation: self.generation + 1, floor: self.floor, ..Self::default() }
    }

    fn part(&mut self, entry: Entry) -> &mut Part {
        Arc::make_mut(&mut self.parts[entry.spread(PARTS)])
    }
}

/// The decision of one ring about its frames, each by what held when it came.
#[derive(Debug)]
pub struct Taker {
    latest: Cache<Published, Arc<Taken>>,
    /// The generation that was last looked at,
    generation: u64,
    /// the one before it,
    before: u64,
    /// and how many of the frames to come were there before it.
    waiting: usize,
}

impl Taker {
    /// For a ring that was opened when this was published, or later.
    pub fn new(published: Published) -> Self {
        let mut latest = Cache::new(published);
        let generation = latest.load().generation;
        Self { latest, generation, before: generation, waiting: 0 }
    }

    /// Looks whether something else is published now. `waiting` is asked then, for the number of frames in the ring that
    /// were not looked at yet: those came before. To be called whenever the worker wakes, else the first frame after a
    /// change passes for an older one.
    #[inline]
    pub fn catch_up(&mut self, waiting: impl FnOnce() -> usize) {
        let generation = self.latest.load().generation;
        if generation != self.generation {
            if self.waiting == 0 {
                self.before = self.generation;
            }
            self.generation = generation;
            self.waiting = waiting();
        }
    }

    /// Whether the next frame of the ring is its own, see [`Taken::takes`]. To be asked of each frame, in their order,
    /// once it is known to be there; None is one without a head, which is the kernel's anyway. `waiting` as in
    /// [`Self::catch_up`], this frame included.
    #[inline]
    pub fn takes(&mut self, head: Option<&AnyHead>, waiting: impl FnOnce() -> usize) -> bool {
        self.catch_up(waiting);
        let came = if self.waiting > 0 { self.before } else { u64::MAX };
        self.waiting = self.waiting.saturating_sub(1);
        head.is_some_and(|head| self.latest.load().took(head, came))
    }
}

#[cfg(test)]
mod tests;
