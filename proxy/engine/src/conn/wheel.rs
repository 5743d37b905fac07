//! A worker's coarse timer wheel: which entries (connections, templates) to look at in which second.
//!
//! Packets only store a deadline; the wheel looks at an entry when its slot comes and arms it again if the
//! deadline has moved on. An entry is never looked at later than [`SLOTS`] seconds from now, so that what the
//! wheel holds of one that ended early goes soon. Where a deadline moves *forward in time* (ESTABLISHED to CLOSE),
//! a second entry is made; the first finds that it is not the armed one and goes.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Millis;

/// Slots of one second each.
const SLOTS: u64 = 128;
/// Entries looked at in one call: bounds the time that packets wait when very many end at once.
const BATCH: usize = 2048;

/// What a wheel can hold.
pub(crate) trait Timed {
    fn timer(&self) -> &Timer;
    /// It has ended already: the wheel lets it drop.
    fn is_gone(&self) -> bool;
}

/// When an entry ends, and when a wheel looks at it.
#[derive(Debug)]
pub(crate) struct Timer {
    /// When it is forgotten unless something happens.
    deadline: AtomicU64,
    /// The second in which a wheel looks at it next; 0 before the first time. Whoever changes it puts an entry in its
    /// wheel, so there is always one that counts, and all others are stale.
    armed: AtomicU64,
}

impl Timer {
    pub(crate) const fn new(deadline: Millis) -> Self {
        Self { deadline: AtomicU64::new(deadline), armed: AtomicU64::new(0) }
    }

    pub(crate) fn deadline(&self) -> Millis {
        self.deadline.load(Relaxed)
    }

    /// Starts again.
    pub(crate) fn set(&self, deadline: Millis) {
        self.deadline.store(deadline, Relaxed);
    }

    /// Moves the second of the wheel's next look forward to `second`, unless it is early enough already. True for the
    /// caller whose wheel now has to hold it.
    fn arm_no_later(&self, second: u64) -> bool {
        let earlier = |armed| (armed == 0 || second < armed).then_some(second);
        self.armed.fetch_update(Relaxed, Relaxed, earlier).is_ok()
    }

    /// Puts the next look off from `second` to `later`. False if another look has been arranged meanwhile.
    fn rearm(&self, second: u64, later: u64) -> bool {
        self.armed.compare_exchange(second, later, Relaxed, Relaxed).is_ok()
    }

    fn is_armed_for(&self, second: u64) -> bool {
        self.armed.load(Relaxed) == second
    }
}

#[derive(Debug)]
pub(crate) struct Wheel<T> {
    slots: Vec<Vec<(u64, Arc<T>)>>,
    /// The next second to be looked at; all before it are done.
    next: u64,
    /// Taken from a slot whose second has come, not yet looked at.
    due: Vec<(u64, Arc<T>)>,
    held: usize,
}

impl<T: Timed> Wheel<T> {
    pub(crate) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), next: 0, due: Vec::new(), held: 0 }
    }

    /// Makes sure that `entry` is looked at soon enough after its deadline.
    pub(crate) fn arm(&mut self, entry: &Arc<T>, now: Millis) {
        if self.held == 0 {
            self.next = now / 1000;
        }
        let second = self.second_for(entry.timer().deadline());
        if entry.timer().arm_no_later(second) {
            self.put(second, Arc::clone(entry));
        }
    }

    /// When to call [`Wheel::advance`] next, `None` while nothing is held.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        if self.held == 0 {
            return None;
        }
        if !self.due.is_empty() {
            return Some(0);
        }
        let second = (self.next..self.next + SLOTS).find(|s| !self.slots[slot(*s)].is_empty())?;
        Some(second * 1000)
    }

    /// Hands every entry whose deadline has passed to `expire`, which ends it or gives it another deadline, until that
    /// has had enough. Looks at a bounded number; call again while [`Wheel::next_due`] is in the past.
    pub(crate) fn advance(&mut self, now: Millis, mut expire: impl FnMut(&Arc<T>) -> ControlFlow<()>) {
        for _ in 0..BATCH {
            let Some((second, entry)) = self.due.pop() else {
                if self.next * 1000 > now || self.held == 0 {
                    break;
                }
                std::mem::swap(&mut self.due, &mut self.slots[slot(self.next)]);
                self.next += 1;
                continue;
            };
            self.held -= 1;
            if entry.is_gone() || !entry.timer().is_armed_for(second) {
                continue;
            }
            let mut enough = false;
            if entry.timer().deadline() <= now {
                enough = expire(&entry).is_break();
            }
            if !entry.is_gone() {
                let later = self.second_for(entry.timer().deadline());
                if entry.timer().rearm(second, later) {
                    self.put(later, entry);
                }
            }
            if enough {
                break;
            }
        }
    }

    /// Shows every 32nd second's entries to `visit`, beginning with that of `part`: one in 32 of all.
    pub(crate) fn sample(&self, part: usize, mut visit: impl FnMut(&Arc<T>)) {
        for (second, entry) in self.slots.iter().skip(part).step_by(32).flatten() {
            if !entry.is_gone() && entry.timer().is_armed_for(*second) {
                visit(entry);
            }
        }
    }

    /// The second whose slot shows an entry with this deadline: the first that begins after it, within reach.
    fn second_for(&self, deadline: Millis) -> u64 {
        (deadline / 1000 + 1).clamp(self.next, self.next + SLOTS - 1)
    }

    fn put(&mut self, second: u64, entry: Arc<T>) {
        self.slots[slot(second)].push((second, entry));
        self.held += 1;
    }
}

fn slot(second: u64) -> usize {
    (second % SLOTS) as usize
}

#[cfg(test)]
mod tests;
