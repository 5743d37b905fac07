//! Counters of one worker: written by it alone, summed up by whoever reads.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::verdict::{DropReason, Verdict};

/// Number of drop reasons.
const REASONS: usize = DropReason::ALL.len();

/// One for each drop reason, in the order of [`DropReason::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByReason<T>([T; REASONS]);

impl<T: Default> Default for ByReason<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| T::default()))
    }
}

impl<T> Deref for ByReason<T> {
    type Target = [T; REASONS];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for ByReason<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// A sum over all workers. `received` is always `transmitted + replied + diverted + passed + waiting` and all drops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that came in.
    pub received: u64,
    /// Super-packets among them.
    pub super_packets: u64,
    /// Frames forwarded.
    pub transmitted: u64,
    /// Frames answered by us.
    pub replied: u64,
    /// Frames handed to fronts in user space.
    pub diverted: u64,
    /// Frames given back to the host.
    pub passed: u64,
    /// Frames that wait to be decided about. Goes down again: then they are counted as what they have become.
    pub waiting: u64,
    /// Frames dropped, by reason.
    pub dropped: ByReason<u64>,
    /// Connections and persistence templates made.
    pub created: u64,
    /// Connections and persistence templates that have ended.
    pub expired: u64,
    /// Frames of our own that no frame has asked for: resets at the end of connections.
    pub resets: u64,
    /// Headers of the PROXY protocol sent to servers, again or for the first time.
    pub greetings: u64,
}

impl Counters {
    /// Frames dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }
}

/// The live counters of one worker, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerCounters {
    received: AtomicU64,
    super_packets: AtomicU64,
    transmitted: AtomicU64,
    replied: AtomicU64,
    diverted: AtomicU64,
    passed: AtomicU64,
    /// Frames that had to wait.
    waited: AtomicU64,
    /// Frames that had waited, here or elsewhere, and have been decided about.
    settled: AtomicU64,
    dropped: ByReason<AtomicU64>,
    created: AtomicU64,
    expired: AtomicU64,
    resets: AtomicU64,
    greetings: AtomicU64,
}

impl WorkerCounters {
    pub(crate) fn count(&self, super_packet: bool, verdict: Verdict) {
        bump(&self.received);
        if super_packet {
            bump(&self.super_packets);
        }
        self.verdict(verdict);
    }

    /// One that is transmitted.
    #[inline(always)]
    pub(crate) fn transmitted(&self, super_packet: bool) {
        bump(&self.received);
        if super_packet {
            bump(&self.super_packets);
        }
        bump(&self.transmitted);
    }

    /// A frame that has waited has its verdict.
    pub(crate) fn settled(&self, verdict: Verdict) {
        bump(&self.settled);
        self.verdict(verdict);
    }

    fn verdict(&self, verdict: Verdict) {
        bump(match verdict {
            Verdict::Transmit(_) => &self.transmitted,
            Verdict::Reply => &self.replied,
            Verdict::Divert(_) => &self.diverted,
            Verdict::Pass => &self.passed,
            Verdict::Wait => &self.waited,
            Verdict::Drop(reason) => &self.dropped[reason as usize],
        });
    }

    pub(crate) fn created(&self) {
        bump(&self.created);
    }

    pub(crate) fn expired(&self) {
        bump(&self.expired);
    }

    pub(crate) fn reset(&self) {
        bump(&self.resets);
    }

    pub(crate) fn greeted(&self) {
        bump(&self.greetings);
    }

    pub(crate) fn add_to(&self, sum: &mut Counters) {
        sum.received += self.received.load(Relaxed);
        sum.super_packets += self.super_packets.load(Relaxed);
        sum.transmitted += self.transmitted.load(Relaxed);
        sum.replied += self.replied.load(Relaxed);
        sum.diverted += self.diverted.load(Relaxed);
        sum.passed += self.passed.load(Relaxed);
        // What one has made wait another may have settled.
        let waiting = self.waited.load(Relaxed).wrapping_sub(self.settled.load(Relaxed));
        sum.waiting = sum.waiting.wrapping_add(waiting);
        sum.created += self.created.load(Relaxed);
        sum.expired += self.expired.load(Relaxed);
        sum.resets += self.resets.load(Relaxed);
        sum.greetings += self.greetings.load(Relaxed);
        for (sum, one) in sum.dropped.iter_mut().zip(self.dropped.iter()) {
            *sum += one.load(Relaxed);
        }
    }
}

/// One writer only, so a plain load and store does what a locked add would.
#[inline(always)]
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}
