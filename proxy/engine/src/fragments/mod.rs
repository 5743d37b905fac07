//! Datagrams that come in fragments. The first one has the ports, so it decides; the others follow it. Those that come
//! before it wait, for a short time and with bounds. Nothing is put together.
//!
//! Invariants: what is kept is bounded in datagrams, in fragments of each and in bytes that wait. The oldest datagram
//! gives way to a new one, so that a flood of first or lost fragments does not end the service for others. A datagram
//! is forgotten when all of it has come, or after [`LIFE_MS`].
//!
//! Of a datagram with fragments that overlap nothing more is forwarded (RFC 5722, RFC 8200 section 4.5: for IPv6; as
//! Linux does for IPv4 too). A fragment that comes twice is dropped by itself.

mod course;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use wire::packet::piece::Piece;
use wire::packet::{Family, Packet};

pub(crate) use course::{Course, Way};

use crate::conn::Millis;
use crate::counters::WorkerCounters;
use crate::verdict::{DropReason, Verdict};

/// How long fragments wait for the first one. Networks reorder by milliseconds.
const WAIT_MS: Millis = 2000;
/// How long the others are expected: as long as Linux keeps what has come (`ipfrag_time`).
const LIFE_MS: Millis = 30_000;
/// Datagrams that are known at a time.
const MOST_DATAGRAMS: usize = 8192;
/// Datagrams whose order is known, most of them complete.
const MOST_ORDER: usize = 8 * MOST_DATAGRAMS;
/// Fragments of one: 65,535 bytes in the pieces that a link of 576 bytes carries, and some.
const MOST_PIECES: usize = 256;
/// Bytes that wait, of all datagrams: as Linux allows for all that it puts together (`ipfrag_high_thresh`).
const MOST_BYTES: usize = 4 << 20;

/// What fragments of one datagram have in common (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// 0 for IPv6, where it is no part of it.
    protocol: u8,
}

impl Key {
    pub(crate) fn new(packet: &Packet, id: u32) -> Self {
        let protocol = if packet.family == Family::V4 { packet.protocol } else { 0 };
        Self { src: packet.src, dst: packet.dst, id, protocol }
    }
}

/// What is to be done with a fragment that is not the first.
#[derive(Debug)]
pub(crate) enum Told {
    /// As with the first one.
    Follow(Course),
    /// Nothing: a copy waits for the first one.
    Waits,
    Drop(DropReason),
}

/// What is known of one.
#[derive(Debug)]
struct Datagram {
    /// To tell it from one before it with the same key.
    serial: u64,
    /// Beginnings and ends of what has come.
    pieces: Vec<(u32, u32)>,
    end: Option<u32>,
    /// Of the first one, once it has come.
    course: Option<Course>,
    waiting: Vec<Box<[u8]>>,
}

impl Datagram {
    const fn new(serial: u64) -> Self {
        Self { serial, pieces: Vec::new(), end: None, course: None, waiting: Vec::new() }
    }

    /// Takes a piece, if it can be one of this datagram.
    fn take(&mut self, piece: &Piece) -> Result<(), Misfit> {
        if self.pieces.contains(&(piece.start, piece.end)) {
            return Err(Misfit::Twice);
        }
        let overlaps = self.pieces.iter().any(|&(start, end)| piece.start < end && start < piece.end);
        let beyond = match (self.end, piece.last) {
            (Some(end), true) => piece.end != end,
            (Some(end), false) => piece.end > end,
            (None, true) => self.pieces.iter().any(|&(_, end)| end > piece.end),
            (None, false) => false,
        };
        if overlaps || beyond {
            return Err(Misfit::Overlaps);
        }
        if self.pieces.len() == MOST_PIECES {
            return Err(Misfit::TooMany);
        }
        self.pieces.push((piece.start, piece.end));
        if piece.last {
            self.end = Some(piece.end);
        }
        Ok(())
    }

    /// What has waited waits no more. `bytes` are those of all that do.
    fn give_out(&mut self, bytes: &mut usize) -> Vec<Box<[u8]>> {
        let waiting = std::mem::take(&mut self.waiting);
        *bytes -= waiting.iter().map(|bytes| bytes.len()).sum::<usize>();
        waiting
    }

    /// Nothing is missing any more.
    fn is_complete(&self) -> bool {
        let come: u32 = self.pieces.iter().map(|(start, end)| end - start).sum();
        self.course.is_some() && self.end == Some(come)
    }
}

/// Why a piece is none of its datagram.
enum Misfit {
    Twice,
    Overlaps,
    TooMany,
}

/// What is known of datagrams. Shared by all workers: fragments of one may come to several. The lock is held for one
/// fragment at a time, and no other packet ever takes it.
#[derive(Debug)]
pub(crate) struct Fragments {
    all: Mutex<All>,
    /// When [`Fragments::expire`] has something to do; never, while nothing waits.
    due: AtomicU64,
}

#[derive(Debug)]
struct All {
    datagrams: HashMap<Key, Datagram, SeedableRandomState>,
    /// In the order in which they have begun, with the time until which fragments wait. Some are gone.
    order: VecDeque<(Millis, Key, u64)>,
    /// Before this place in `order` nothing waits any more.
    waits_from: usize,
    /// Bytes that wait.
    bytes: usize,
    serial: u64,
}

impl Fragments {
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        let all = All {
            datagrams: HashMap::with_hasher(hasher),
            order: VecDeque::new(),
            waits_from: 0,
            bytes: 0,
            serial: 0,
        };
        Self { all: Mutex::new(all), due: AtomicU64::new(u64::MAX) }
    }

    /// Takes in all of `real`; that goes where `way` says which has this key, and nobody will ask about the others.
    pub(crate) fn adopt(&self, real: &Self, wanted: &Key, way: impl FnOnce(&Way) -> Option<Way>) {
        let (mut all, course) = {
            let real = real.all.lock().unwrap_or_else(PoisonError::into_inner);
            (real.copied(), real.datagrams.get(wanted).and_then(|datagram| datagram.course.clone()))
        };
        if let (Some(course), Some(datagram)) = (course, all.datagrams.get_mut(wanted)) {
            let way = way(&course.way).unwrap_or(NOWHERE);
            datagram.course = Some(Course { way, id: course.id });
        }
        *self.all.lock().unwrap_or_else(PoisonError::into_inner) = all;
        self.due.store(real.due.load(Relaxed), Relaxed);
    }

    /// A first fragment has come: whether it may decide.
    pub(crate) fn first(
        &self,
        key: Key,
        piece: &Piece,
        now: Millis,
        counters: &WorkerCounters,
    ) -> Result<(), DropReason> {
        self.with(now, counters, |all| all.take(key, piece, now, counters))
    }

    /// Another fragment has come.
    pub(crate) fn other(
        &self,
        key: Key,
        piece: &Piece,
        bytes: &[u8],
        now: Millis,
        counters: &WorkerCounters,
    ) -> Told {
        self.with(now, counters, |all| match all.take(key, piece, now, counters) {
            Ok(()) => all.follow(key, bytes),
            Err(reason) => Told::Drop(reason),
        })
    }

    /// The first fragment of a datagram has decided. Gives out those that have waited for it.
    pub(crate) fn settle(
        &self,
        key: Key,
        course: Course,
        now: Millis,
        counters: &WorkerCounters,
    ) -> Vec<Box<[u8]>> {
        self.with(now, counters, |all| all.settle(key, course))
    }

    /// When to call [`Fragments::expire`]; `None` while nothing waits.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        Some(self.due.load(Relaxed)).filter(|due| *due != u64::MAX)
    }

    /// Lets go what has waited in vain.
    pub(crate) fn expire(&self, now: Millis, counters: &WorkerCounters) {
        if self.due.load(Relaxed) <= now {
            self.with(now, counters, |_| ());
        }
    }

    fn with<T>(&self, now: Millis, counters: &WorkerCounters, work: impl FnOnce(&mut All) -> T) -> T {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.expire(now, counters);
        let result = work(&mut all);
        let due = all.order.get(all.waits_from).filter(|_| all.bytes > 0);
        self.due.store(due.map_or(u64::MAX, |(due, ..)| *due), Relaxed);
        result
    }
}

/// Of a copy that nobody asks about.
const NOWHERE: Way = Way::Drop(DropReason::FragmentUnclaimed);

impl All {
    /// The same datagrams, but they go nowhere.
    fn copied(&self) -> Self {
        let mut datagrams = HashMap::with_hasher(self.datagrams.hasher().clone());
        datagrams.extend(self.datagrams.iter().map(|(key, datagram)| {
            let Datagram { serial, ref pieces, end, ref course, ref waiting } = *datagram;
            let course = course.as_ref().map(|course| Course { way: NOWHERE, id: course.id });
            (*key, Datagram { serial, pieces: pieces.clone(), end, course, waiting: waiting.clone() })
        }));
        let Self { ref order, waits_from, bytes, serial, .. } = *self;
        Self { datagrams, order: order.clone(), waits_from, bytes, serial }
    }

    /// Enters a piece of a datagram, which may be its first to come.
    fn take(
        &mut self,
        key: Key,
        piece: &Piece,
        now: Millis,
        counters: &WorkerCounters,
    ) -> Result<(), DropReason> {
        if !self.datagrams.contains_key(&key) {
            self.begin(key, now, counters);
        }
        let Some(datagram) = self.datagrams.get_mut(&key) else { return Err(DropReason::FragmentLimit) };
        let reason = match datagram.take(piece) {
            Ok(()) => return Ok(()),
            Err(Misfit::Twice) => return Err(DropReason::FragmentOverlap),
            Err(Misfit::Overlaps) => DropReason::FragmentOverlap,
            Err(Misfit::TooMany) => DropReason::FragmentLimit,
        };
        // Of this one nothing goes on any more.
        datagram.course = Some(reason.into());
        let waiting = datagram.give_out(&mut self.bytes);
        waiting.iter().for_each(|_| counters.settled(Verdict::Drop(reason)));
        Err(reason)
    }

    fn begin(&mut self, key: Key, now: Millis, counters: &WorkerCounters) {
        while self.datagrams.len() >= MOST_DATAGRAMS || self.order.len() >= MOST_ORDER {
            self.forget_oldest(DropReason::FragmentLimit, counters);
        }
        self.serial += 1;
        self.order.push_back((now + WAIT_MS, key, self.serial));
        self.datagrams.insert(key, Datagram::new(self.serial));
    }

    fn follow(&mut self, key: Key, bytes: &[u8]) -> Told {
        let Some(datagram) = self.datagrams.get_mut(&key) else {
            return Told::Drop(DropReason::FragmentLimit);
        };
        if let Some(course) = datagram.course.clone() {
            if datagram.is_complete() {
                self.datagrams.remove(&key);
            }
            return Told::Follow(course);
        }
        if self.bytes + bytes.len() > MOST_BYTES {
            return Told::Drop(DropReason::FragmentLimit);
        }
        self.bytes += bytes.len();
        datagram.waiting.push(bytes.into());
        Told::Waits
    }

    fn settle(&mut self, key: Key, course: Course) -> Vec<Box<[u8]>> {
        let Some(datagram) = self.datagrams.get_mut(&key) else { return Vec::new() };
        // It may have turned out meanwhile that its pieces overlap.
        datagram.course.get_or_insert(course);
        let waiting = datagram.give_out(&mut self.bytes);
        if datagram.is_complete() {
            self.datagrams.remove(&key);
        }
        waiting
    }

    fn expire(&mut self, now: Millis, counters: &WorkerCounters) {
        while let Some((_, key, serial)) = self.order.get(self.waits_from).filter(|(due, ..)| *due <= now) {
            let waits = |datagram: &Datagram| datagram.serial == *serial && datagram.course.is_none();
            if self.datagrams.get(key).is_some_and(waits)
                && let Some(mut datagram) = self.datagrams.remove(key)
            {
                let waiting = datagram.give_out(&mut self.bytes);
                let lost = Verdict::Drop(DropReason::FragmentUnclaimed);
                waiting.iter().for_each(|_| counters.settled(lost));
            }
            self.waits_from += 1;
        }
        while self.order.front().is_some_and(|(due, ..)| due + (LIFE_MS - WAIT_MS) <= now) {
            self.forget_oldest(DropReason::FragmentUnclaimed, counters);
        }
    }

    fn forget_oldest(&mut self, reason: DropReason, counters: &WorkerCounters) {
        let Some((_, key, serial)) = self.order.pop_front() else { return };
        self.waits_from = self.waits_from.saturating_sub(1);
        if self.datagrams.get(&key).is_some_and(|datagram| datagram.serial == serial)
            && let Some(mut datagram) = self.datagrams.remove(&key)
        {
            let waiting = datagram.give_out(&mut self.bytes);
            waiting.iter().for_each(|_| counters.settled(Verdict::Drop(reason)));
        }
    }
}

#[cfg(test)]
mod tests;
