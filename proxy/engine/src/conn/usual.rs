//! A connection as most packets find it: established, and forwarded, and that is all. What a packet does to it then is
//! known before: no state moves, nobody is told anything. See `worker/usual.rs`.

use sched::{Direction, Proto};
use wire::edit::{Rewrite, Side};

use super::slot::{EDITED, FTP, Fixed, UNASSURED};
use super::wheel::second_after;
use super::{ConnTable, Course, FlowKey, Known, Legs, Millis, Reader, Slot, Wheel};
use crate::state::State;

/// See the module.
pub(crate) struct Usual<'a> {
    pub(crate) legs: Legs<'a>,
    pub(crate) direction: Direction,
    course: &'a Course,
    slot: &'a Slot,
    at: u32,
}

/// Until when connections are kept that have a packet now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Until {
    deadline: Millis,
    /// When a wheel is to look at them.
    second: u64,
}

impl Until {
    /// After so long a time from now.
    pub(crate) fn after(now: Millis, lasts: Millis) -> Self {
        let deadline = Slot::after(now, lasts);
        Self { deadline, second: second_after(deadline) }
    }
}

impl ConnTable {
    /// The connection with this key, of TCP or UDP, if it is a usual one.
    #[inline(always)]
    pub(crate) fn find_usual<'a>(
        &'a self,
        reader: &mut Reader,
        known: &'a Known,
        key: &FlowKey,
        proto: Proto,
    ) -> Option<Usual<'a>> {
        let (entry, slot, course, fixed) = self.look_up(reader, known, key)?;
        let Fixed { flags, local_port, .. } = fixed;
        let established = if proto == Proto::Tcp { State::Established } else { State::Udp };
        if !course.is_usual() || flags & (EDITED | FTP | UNASSURED) != 0 || !fixed.was(established) {
            return None;
        }
        let legs = Legs::of(course, fixed.client(), local_port);
        Some(Usual { legs, direction: entry.direction, course, slot, at: entry.at })
    }
}

impl Usual<'_> {
    /// What NAT does to its packets, and what FullNAT does besides.
    #[inline(always)]
    pub(crate) fn rewrites(&self) -> (Option<&Rewrite>, Option<Rewrite>) {
        if !self.legs.method.changes_port() {
            return (None, None);
        }
        let other = self.legs.local().map(|local| match self.direction {
            Direction::In => Rewrite::new(Side::Source, self.legs.client, local),
            Direction::Out => Rewrite::new(Side::Destination, local, self.legs.client),
        });
        (Some(self.course.rewrite(self.direction)), other)
    }

    /// A packet has been seen, which of TCP says that, and has so many bytes of data.
    #[inline(always)]
    pub(crate) fn seen(
        &self,
        said: Option<(u32, u32)>,
        len: usize,
        until: &Until,
        wheel: &mut Wheel<u32>,
        now: Millis,
    ) {
        if let Some((seq, ack)) = said {
            self.slot.spoken(self.direction as usize).goes_on(seq, ack, len);
        }
        if self.direction == Direction::In {
            self.slot.count_request();
        }
        self.slot.set_deadline(until.deadline);
        if !wheel.holds(self.slot, until.second) {
            wheel.arm(&self.at, self.slot, now);
        }
    }
}
