//! A worker's coarse timer wheel: which connections to look at in which second.
//!
//! Packets only store a deadline; the wheel looks at a connection when its slot comes and arms it again if the
//! deadline has moved on. A connection is never looked at later than [`SLOTS`] seconds from now, so that what the
//! wheel holds of one that ended early goes soon. Where a deadline moves *forward in time* (ESTABLISHED to CLOSE),
//! a second entry is made; the first finds that it is not the armed one and goes.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Conn, Millis};

/// Slots of one second each.
const SLOTS: u64 = 128;
/// Connections looked at in one call: bounds the time that packets wait when very many end at once.
const BATCH: usize = 2048;

#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<Vec<(u64, Arc<Conn>)>>,
    /// The next second to be looked at; all before it are done.
    next: u64,
    /// Taken from a slot whose second has come, not yet looked at.
    due: Vec<(u64, Arc<Conn>)>,
    held: usize,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), next: 0, due: Vec::new(), held: 0 }
    }

    /// Makes sure that `conn` is looked at soon enough after its deadline.
    pub(crate) fn arm(&mut self, conn: &Arc<Conn>, now: Millis) {
        if self.held == 0 {
            self.next = now / 1000;
        }
        let second = self.second_for(conn.deadline());
        if conn.arm_no_later(second) {
            self.put(second, Arc::clone(conn));
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

    /// Hands every connection whose deadline has passed to `expire`, until that has had enough. Looks at a bounded
    /// number; call again while [`Wheel::next_due`] is in the past.
    pub(crate) fn advance(&mut self, now: Millis, mut expire: impl FnMut(&Arc<Conn>) -> ControlFlow<()>) {
        for _ in 0..BATCH {
            let Some((second, conn)) = self.due.pop() else {
                if self.next * 1000 > now || self.held == 0 {
                    break;
                }
                std::mem::swap(&mut self.due, &mut self.slots[slot(self.next)]);
                self.next += 1;
                continue;
            };
            self.held -= 1;
            if conn.is_gone() || !conn.is_armed_for(second) {
                continue;
            }
            if conn.deadline() <= now {
                if expire(&conn).is_break() {
                    break;
                }
                continue;
            }
            let later = self.second_for(conn.deadline());
            if conn.rearm(second, later) {
                self.put(later, conn);
            }
        }
    }

    /// The second whose slot shows a connection with this deadline: the first that begins after it, within reach.
    fn second_for(&self, deadline: Millis) -> u64 {
        (deadline / 1000 + 1).clamp(self.next, self.next + SLOTS - 1)
    }

    fn put(&mut self, second: u64, conn: Arc<Conn>) {
        self.slots[slot(second)].push((second, conn));
        self.held += 1;
    }
}

fn slot(second: u64) -> usize {
    (second % SLOTS) as usize
}

#[cfg(test)]
mod tests;
