//! Looking ahead: what the packets of a batch will ask for is fetched from memory for all of them at the same time, so that
//! they do not wait for it one after the other. Of a large table almost nothing is in a cache. What was found out on the
//! way is kept for the packets themselves.
//!
//! It decides nothing and changes nothing: without it all is the same, only later.

use std::time::Instant;

use wire::frame::Frame;
use wire::packet::head::AnyHead;

use super::Worker;
use crate::conn::{AHEAD, Hint};
use crate::verdict::Verdict;

/// With fewer connections than these, and fewer ways from a VIP to a server, everything is near.
const FEW: usize = 8192;
const FEW_COURSES: usize = 128;

/// A packet that comes: its head, and what was found by looking ahead.
#[derive(Clone, Copy, Debug)]
pub struct Coming {
    head: AnyHead,
    hint: Option<Hint>,
}

impl Coming {
    /// One with this head.
    #[inline]
    pub const fn new(head: AnyHead) -> Self {
        Self { head, hint: None }
    }

    /// Its head.
    #[inline]
    pub const fn head(&self) -> &AnyHead {
        &self.head
    }
}

impl Worker {
    /// To be told which packets come next, before the first of them is processed: up to 64 are looked at.
    pub fn look_ahead<'c>(&mut self, coming: impl IntoIterator<Item = &'c mut Coming>) {
        if self.room.held() < FEW && self.known.held() < FEW_COURSES {
            return;
        }
        let mut hints = [Hint::default(); AHEAD];
        let mut all = [const { None }; AHEAD];
        let mut n = 0;
        for coming in coming.into_iter().take(AHEAD) {
            hints[n] = self.conns.hint(&coming.head);
            all[n] = Some(coming);
            n += 1;
        }
        self.conns.fetch(&mut self.reader, &self.known, self.writer, &mut hints[..n]);
        for (coming, hint) in all.into_iter().flatten().zip(hints) {
            coming.hint = Some(hint);
        }
    }

    /// [`Worker::process`] of a frame whose packet's head is known.
    pub fn process_coming(&mut self, frame: &mut Frame, coming: &Coming, now: Instant) -> Verdict {
        match self.usual_coming(frame, coming, now) {
            Some(verdict) => verdict,
            None => self.unusual(frame, now),
        }
    }

    #[inline(always)]
    fn usual_coming(&mut self, frame: &mut Frame, coming: &Coming, now: Instant) -> Option<Verdict> {
        match &coming.head {
            AnyHead::V4(head) => self.usual_of(frame, head, coming.hint.as_ref(), now),
            AnyHead::V6(head) => self.usual_of(frame, head, coming.hint.as_ref(), now),
        }
    }
}
