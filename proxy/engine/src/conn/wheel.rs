//! A worker's coarse timer wheel: which entries (connections, templates) to look at in which second.
//!
//! Packets only store a deadline; the wheel looks at an entry when its slot comes and arms it again if the
//! deadline has moved on. An entry is never looked at later than [`SLOTS`] seconds from now, so that what the
//! wheel holds of one that ended early goes soon. Where a deadline moves *forward in time* (ESTABLISHED to CLOSE),
//! a second entry is made; the first finds that it is not the armed one and goes.
//!
//! What is held is a name: of a connection its place in the slab. Where another connection has the place by then, the
//! wheel looks at that one, which costs a look and changes nothing: it is armed where it says, once.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Millis, Slab, Slot};

/// Slots of one second each.
const SLOTS: u64 = 128;
/// Entries looked at in one call: bounds the time that packets wait when very many end at once. As many as a worker's turn
/// may have begun: expiry keeps up with a flood.
const BATCH: usize = 128;
/// Entries of a sample looked at in one call.
const SAMPLED: usize = 32;
/// Entries of a slot lie in parts of so many, so that none of them is ever moved.
const PART: usize = 512;

/// What a wheel can look at.
pub(crate) trait Timed {
    /// When it is forgotten unless something happens.
    fn deadline(&self, now: Millis) -> Millis;
    /// The second in which a wheel looks at it next; 0 before the first time. Whoever changes it puts an entry in its
    /// wheel, so there is always one that counts, and all others are stale.
    fn armed(&self) -> u64;
    /// Changes that second. False if it is another one meanwhile.
    fn rearm(&self, from: u64, to: u64) -> bool;
    /// It has ended already: the wheel lets it drop.
    fn is_gone(&self) -> bool;
}

/// What a wheel can hold, to be found in an `Of`.
pub(crate) trait Named<Of>: Clone {
    type Timed: Timed;
    fn find<'a>(&'a self, of: &'a Of) -> Option<&'a Self::Timed>;
}

/// A place.
impl Named<Slab> for u32 {
    type Timed = Slot;

    fn find<'a>(&'a self, slab: &'a Slab) -> Option<&'a Slot> {
        slab.slot(*self)
    }
}

impl<T: Timed> Named<()> for Arc<T> {
    type Timed = T;

    fn find<'a>(&'a self, (): &'a ()) -> Option<&'a T> {
        Some(self)
    }
}

/// When an entry ends, and when a wheel looks at it.
#[derive(Debug)]
pub(crate) struct Timer {
    deadline: AtomicU64,
    armed: AtomicU64,
}

impl Timer {
    pub(crate) const fn new(deadline: Millis) -> Self {
        Self { deadline: AtomicU64::new(deadline), armed: AtomicU64::new(0) }
    }

    pub(crate) fn copied(&self) -> Self {
        Self { deadline: self.deadline().into(), armed: self.armed().into() }
    }

    pub(crate) fn deadline(&self) -> Millis {
        self.deadline.load(Relaxed)
    }

    /// Starts again.
    pub(crate) fn set(&self, deadline: Millis) {
        self.deadline.store(deadline, Relaxed);
    }

    pub(crate) fn armed(&self) -> u64 {
        self.armed.load(Relaxed)
    }

    pub(crate) fn rearm(&self, from: u64, to: u64) -> bool {
        self.armed.compare_exchange(from, to, Relaxed, Relaxed).is_ok()
    }
}

#[derive(Debug)]
pub(crate) struct Wheel<E> {
    slots: Vec<Parts<E>>,
    /// The next second to be looked at; all before it are done.
    next: u64,
    /// Taken from the slot of the second before that, not yet looked at.
    due: Parts<E>,
    held: usize,
    sample: Option<Sample>,
}

/// Where a sample has got to.
#[derive(Clone, Copy, Debug)]
struct Sample {
    second: u64,
    /// So many of its entries have been looked at.
    at: usize,
    /// The second that it ends before.
    end: u64,
}

impl<E> Wheel<E> {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Parts::default()).collect(),
            next: 0,
            due: Parts::default(),
            held: 0,
            sample: None,
        }
    }

    /// Nothing is held.
    pub(crate) const fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Makes sure that `entry`, which is `timed`, is looked at soon enough after its deadline.
    #[inline]
    pub(crate) fn arm(&mut self, entry: &E, timed: &impl Timed, now: Millis)
    where
        E: Clone,
    {
        if self.held == 0 {
            self.next = now / 1000;
        }
        let second = self.second_for(timed.deadline(now));
        loop {
            let armed = timed.armed();
            if armed != 0 && armed <= second {
                return;
            }
            if timed.rearm(armed, second) {
                return self.put(second, entry.clone());
            }
        }
    }

    /// Whether [`Wheel::arm`] has nothing to do for an entry that is looked at soon enough if it is by this second.
    #[inline(always)]
    pub(crate) fn holds(&self, timed: &impl Timed, second: u64) -> bool {
        let armed = timed.armed();
        self.held > 0 && armed != 0 && armed <= second.min(self.next + SLOTS - 1)
    }

    /// When to call [`Wheel::advance`] next, `None` while nothing is held.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        if self.held == 0 {
            return None;
        }
        if !self.due.is_empty() || self.sample.is_some() {
            return Some(0);
        }
        let second = (self.next..self.next + SLOTS).find(|s| !self.slots[slot(*s)].is_empty())?;
        Some(second * 1000)
    }

    /// Whether [`Wheel::advance`] has more to do now.
    pub(crate) fn is_behind(&self, now: Millis) -> bool {
        self.held > 0 && (!self.due.is_empty() || self.next * 1000 <= now)
    }

    /// Hands every entry whose deadline has passed to `expire`, which ends it or gives it another deadline, until that
    /// has had enough. Looks at a bounded number; call again while [`Wheel::next_due`] is in the past.
    pub(crate) fn advance<Of>(&mut self, of: &Of, now: Millis, mut expire: impl FnMut(&E) -> ControlFlow<()>)
    where
        E: Named<Of>,
    {
        let mut looked = 0;
        while looked < BATCH {
            let Some(entry) = self.due.pop() else {
                if self.next * 1000 > now || self.held == 0 {
                    break;
                }
                std::mem::swap(&mut self.due, &mut self.slots[slot(self.next)]);
                self.next += 1;
                continue;
            };
            looked += 1;
            self.held -= 1;
            let second = self.next - 1;
            let Some(timed) = entry.find(of).filter(|timed| !timed.is_gone() && timed.armed() == second)
            else {
                continue;
            };
            let mut enough = false;
            if timed.deadline(now) <= now {
                enough = expire(&entry).is_break();
            }
            if !timed.is_gone() {
                let later = self.second_for(timed.deadline(now));
                if timed.rearm(second, later) {
                    self.put(later, entry.clone());
                }
            }
            if enough {
                break;
            }
        }
    }

    /// Begins a sample: every 32nd second's entries, beginning with that of `part`. One in 32 of all.
    pub(crate) fn begin_sample(&mut self, part: u64) {
        let second = self.next + (part + 32 - self.next % 32) % 32;
        self.sample = Some(Sample { second, at: 0, end: self.next + SLOTS });
    }

    /// Shows the next entries of the sample to `visit`, if there is one. Looks at a bounded number; call again while
    /// [`Wheel::next_due`] is in the past.
    pub(crate) fn sample<Of>(&mut self, of: &Of, mut visit: impl FnMut(&E))
    where
        E: Named<Of>,
    {
        let Some(mut sample) = self.sample.take() else { return };
        let mut looked = 0;
        while sample.second < sample.end {
            if looked == SAMPLED {
                self.sample = Some(sample);
                return;
            }
            looked += 1;
            // Seconds that have passed meanwhile have been looked at.
            let entries = (sample.second >= self.next).then(|| &self.slots[slot(sample.second)]);
            let Some(entry) = entries.and_then(|entries| entries.get(sample.at)) else {
                sample = Sample { second: sample.second + 32, at: 0, ..sample };
                continue;
            };
            sample.at += 1;
            if entry.find(of).is_some_and(|timed| !timed.is_gone() && timed.armed() == sample.second) {
                visit(entry);
            }
        }
    }

    /// The second whose slot shows an entry with this deadline: the first that begins after it, within reach.
    #[inline]
    fn second_for(&self, deadline: Millis) -> u64 {
        second_after(deadline).clamp(self.next, self.next + SLOTS - 1)
    }

    fn put(&mut self, second: u64, entry: E) {
        self.slots[slot(second)].push(entry);
        self.held += 1;
    }
}

/// The first second that begins after a deadline.
#[inline]
pub(crate) const fn second_after(deadline: Millis) -> u64 {
    deadline / 1000 + 1
}

/// A stack in parts.
#[derive(Debug)]
struct Parts<E>(Vec<Vec<E>>);

impl<E> Default for Parts<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E> Parts<E> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, entry: E) {
        match self.0.last_mut().filter(|part| part.len() < PART) {
            Some(part) => part.push(entry),
            None => {
                // The first one grows with what it gets.
                let mut part = Vec::with_capacity(if self.0.is_empty() { 4 } else { PART });
                part.push(entry);
                self.0.push(part);
            }
        }
    }

    fn pop(&mut self) -> Option<E> {
        let part = self.0.last_mut()?;
        let entry = part.pop();
        if part.is_empty() {
            self.0.pop();
        }
        entry
    }

    /// Of one that nothing is popped from.
    fn get(&self, at: usize) -> Option<&E> {
        self.0.get(at / PART)?.get(at % PART)
    }
}

fn slot(second: u64) -> usize {
    (second % SLOTS) as usize
}

#[cfg(test)]
mod tests;
