//! A connection as most packets find it: established, and forwarded, and that is all. What a packet does to it then is
//! known before: no state moves, nobody is told anything. See `worker/usual.rs`.

use sched::Direction;
use wire::edit::{Rewrite, Side};
use wire::packet::head::Head;

use super::key::End;
use super::slot::{EDITED, FTP, Fixed, PARKED, UNASSURED};
use super::wheel::second_after;
use super::{Between, ConnTable, Course, FlowKey, Hint, Kind, Known, Legs, Millis, Reader, Slot, Wheel};
use crate::state::State;

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct Usual<'a, const V6: bool> {
    pub(crate) kind: Kind,
    pub(crate) direction: Direction,
    course: &'a Course,
    slot: &'a Slot,
    at: u32,
    generation: u32,
    client: End,
    local_port: u16,
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
    /// The connection of a packet with this head, if it is a usual one. `hint` is what looking ahead has found: where the
    /// connection is may have changed since.
    #[inline(always)]
    pub(crate) fn find_usual<'a, const V6: bool>(
        &'a self,
        reader: &mut Reader,
        known: &'a Known,
        head: &Head<V6>,
        hint: Option<&Hint>,
    ) -> Option<Usual<'a, V6>> {
        let key = FlowKey::of_head(head);
        let (hash, first) = match hint {
            None => (self.hash(&key), None),
            Some(hint) => (hint.hash, hint.entry),
        };
        let (entry, slot, course, fixed) = self.look_up(reader, known, &key, hash, first)?;
        let Fixed { flags, client, local_port, .. } = fixed;
        let kind = course.kind();
        if kind == Kind::Other
            || flags & (EDITED | FTP | UNASSURED | PARKED) != 0
            || !fixed.was(established(head))
        {
            return None;
        }
        let (direction, at, generation) = (entry.direction, entry.at, fixed.generation);
        Some(Usual { kind, direction, course, slot, at, generation, client, local_port })
    }
}

impl<'a, const V6: bool> Usual<'a, V6> {
    /// Which connection of its table it is.
    #[cfg(test)]
    pub(super) fn place(self) -> (u32, u32) {
        (self.at, self.generation)
    }

    /// What all its packets have in common.
    #[inline(always)]
    pub(crate) fn between(self) -> &'a Between {
        self.course
    }

    #[inline(always)]
    pub(crate) fn legs(self) -> Legs<'a> {
        Legs::of(self.course, self.client.addr(V6), self.local_port)
    }

    /// What NAT does to its packets.
    #[inline(always)]
    pub(crate) fn rewrite(self) -> &'a Rewrite {
        self.course.rewrite(self.direction)
    }

    /// And what FullNAT does besides.
    #[inline(always)]
    pub(crate) fn rewrite_besides(self) -> Option<Rewrite> {
        if self.kind != Kind::FullNat {
            return None;
        }
        let local = self.course.local(self.local_port)?.addr(V6);
        let client = self.client.addr(V6);
        Some(match self.direction {
            Direction::In => Rewrite::new(Side::Source, client, local),
            Direction::Out => Rewrite::new(Side::Destination, local, client),
        })
    }

    /// A packet has been seen. Another worker, which sees the other direction, may have moved the state meanwhile: then the
    /// connection lasts as long as that says.
    #[inline(always)]
    pub(crate) fn seen(self, head: &Head<V6>, until: &Until, wheel: &mut Wheel<u32>, now: Millis) {
        let Some(state) = self.slot.state_of(self.generation) else { return };
        if head.is_tcp {
            let [seq, ack] = head.words;
            self.slot.spoken(self.direction as usize).goes_on(seq, ack, head.lengths.payload());
        }
        if self.direction == Direction::In {
            self.slot.count_request();
        }
        if state != established(head) {
            return;
        }
        self.slot.set_deadline(until.deadline);
        if !wheel.holds(self.slot, until.second) {
            let at = self.at;
            wheel.arm(&at, self.slot, now);
        }
    }
}

/// The state of a connection with such packets that is a usual one.
#[inline(always)]
fn established<const V6: bool>(head: &Head<V6>) -> State {
    if head.is_tcp { State::Established } else { State::Udp }
}
