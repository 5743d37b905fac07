//! The connections that there are, and what is remembered of those that are over.

use std::net::SocketAddr;
use std::time::Duration;

use super::flow::{Context, Flow, Remnant};
use super::{Event, FlowId, Stack};

/// How long a connection is remembered that is over (RFC 9293 section 3.6.1 says four minutes, for a network in which
/// packets live two).
const REMEMBER: Duration = Duration::from_secs(10);

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

#[derive(Debug)]
pub(super) enum Known {
    Flow(FlowId),
    /// One that is over, with the number it was remembered under.
    Remnant(Remnant, u64),
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) flow: Option<Box<Flow>>,
    /// It is in the queue of those that may have something to send.
    pub(super) queued: bool,
    /// `Ready` was told and not taken.
    pub(super) announced: bool,
    /// For when it is in the heap.
    pub(super) armed: Option<Duration>,
}

impl Stack {
    pub(super) fn insert(&mut self, ends: Ends, flow: Flow) -> FlowId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.flow = Some(Box::new(flow));
        let id = FlowId { index, generation: slot.generation };
        if let Some(Known::Remnant(..)) = self.known.insert(ends, Known::Flow(id)) {
            self.counters.remnants -= 1;
        }
        self.counters.flows += 1;
        id
    }

    /// Does something with a flow, and what follows from it.
    pub(super) fn act<R>(
        &mut self,
        id: FlowId,
        act: impl FnOnce(&mut Flow, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let result = self.change(id, act)?;
        let slot = &mut self.slots[id.index as usize];
        if !std::mem::replace(&mut slot.queued, true) {
            self.queue.push_back(id);
        }
        Some(result)
    }

    /// Does something with a flow, and keeps count of its rings.
    pub(super) fn change<R>(
        &mut self,
        id: FlowId,
        act: impl FnOnce(&mut Flow, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let (slots, mut cx) = self.context();
        let slot = slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)?;
        let flow = slot.flow.as_deref_mut()?;
        let before = flow.ring_bytes() as u64;
        let result = act(flow, &mut cx);
        let after = flow.ring_bytes() as u64;
        self.counters.ring_bytes = self.counters.ring_bytes + after - before;
        self.counters.awake = self.counters.awake + u64::from(after > 0) - u64::from(before > 0);
        Some(result)
    }

    /// After a flow has sent what it had: ends it if it is over, or sets its timer.
    pub(super) fn settle(&mut self, id: FlowId) {
        let idle = self.limits.idle;
        let Some(slot) = self.slot(id) else { return };
        let Some(flow) = slot.flow.as_deref() else { return };
        if flow.is_over() {
            return self.remove(id);
        }
        if let Some(deadline) = flow.deadline(idle)
            && slot.armed.is_none_or(|armed| deadline < armed)
        {
            slot.armed = Some(deadline);
            self.timers.push(deadline, id);
        }
    }

    pub(super) fn remove(&mut self, id: FlowId) {
        let Some(slot) = self.slot(id) else { return };
        let Some(flow) = slot.flow.take() else { return };
        *slot = Slot { generation: id.generation.wrapping_add(1), ..Slot::default() };
        self.free.push(id.index);
        self.counters.flows -= 1;
        let rings = flow.ring_bytes() as u64;
        self.counters.ring_bytes -= rings;
        self.counters.awake -= u64::from(rings > 0);
        let ends = Ends { local: flow.local, remote: flow.remote };
        let Some(remnant) = flow.remnant().filter(|_| self.limits.remnants > 0) else {
            self.known.remove(&ends);
            return;
        };
        self.buried += 1;
        let number = self.buried;
        self.known.insert(ends, Known::Remnant(remnant, number));
        self.remnants.push_back((self.now + REMEMBER, number, ends));
        self.counters.remnants += 1;
        while self.remnants.len() > self.limits.remnants {
            self.forget();
        }
    }

    /// Forgets the oldest remnant, unless its place was taken.
    pub(super) fn forget(&mut self) {
        let Some((_, number, ends)) = self.remnants.pop_front() else { return };
        if matches!(self.known.get(&ends), Some(Known::Remnant(_, of)) if *of == number) {
            self.known.remove(&ends);
            self.counters.remnants -= 1;
        }
    }

    pub(super) fn announce(&mut self, id: FlowId, news: bool) {
        if news
            && let Some(slot) = self.slot(id)
            && !std::mem::replace(&mut slot.announced, true)
        {
            self.events.push_back(Event::Ready(id));
        }
    }

    pub(super) fn slot(&mut self, id: FlowId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)
    }
}
