//! A worker's two rings: one with many slots for short packets, and one for the others, nearly all of them super-packets, which
//! are few. In one ring for both, short packets would take as much memory as the longest.
//!
//! None of a flow overtakes another one: see [`order`].

mod order;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use wire::frame::{Frame, HEADROOM, MAX_PACKET};

use self::order::{Order, Which};
use super::BATCH;
use super::filter::{LONGEST, Scope};
use crate::sys;
use crate::sys::ring::{Described, PACKET_AT, Slot};

/// By which a short packet may grow in its slot: by a PROXY header, say.
const SPARE: usize = 512;

/// So much fewer are the slots for long packets.
const FEWER: usize = 8;

pub(super) struct Rings {
    short: Ring,
    long: Ring,
    /// In which packets are taken.
    order: Order,
}

/// One of them.
struct Ring {
    socket: OwnedFd,
    slots: Box<[Slot]>,
    /// Where the memory of each slot begins, as a number: to know it by.
    places: Box<[usize]>,
    /// The frame of its first slot; those of the others follow.
    first: usize,
    /// The slot that is looked at next.
    next: usize,
    /// So many before it are ours.
    taken: usize,
}

impl Rings {
    /// Both, and the frames in their slots.
    pub(super) fn open(slots: usize) -> io::Result<(Self, Box<[Frame]>)> {
        let (short, mut frames) = Ring::open(slots, LONGEST + SPARE, 0)?;
        let (long, others) = Ring::open(slots.div_ceil(FEWER), MAX_PACKET, frames.len())?;
        frames.extend(others);
        Ok((Self { short, long, order: Order::new() }, frames.into()))
    }

    /// Their sockets, by [`Part`](super::filter::Part).
    pub(super) fn sockets(&self) -> io::Result<[OwnedFd; 2]> {
        Ok([self.short.socket.try_clone()?, self.long.socket.try_clone()?])
    }

    pub(super) fn inlets(&self) -> [BorrowedFd<'_>; 2] {
        [self.short.socket.as_fd(), self.long.socket.as_fd()]
    }

    /// The next packet of a batch, and its frame.
    #[inline]
    pub(super) fn next(&mut self) -> Option<(usize, Described)> {
        if self.short.taken + self.long.taken == BATCH {
            return None;
        }
        let ring = match self.order.next(&self.short, &self.long)? {
            Which::Short => &mut self.short,
            Which::Long => &mut self.long,
        };
        let described = ring.slots[ring.next].look()?;
        Some((ring.take(), described))
    }

    /// How many short packets may wait.
    #[cfg(test)]
    pub(super) fn short_slots(&self) -> usize {
        self.short.slots.len()
    }

    /// See [`super::Port::waiting`].
    pub(super) fn waiting(&self) -> usize {
        self.short.waiting() + self.long.waiting()
    }

    /// Ends a batch.
    ///
    /// # Panics
    /// When a frame of a slot was put elsewhere: its memory would change under whoever has it.
    pub(super) fn give_back(&mut self, frames: &[Frame]) {
        for ring in [&mut self.short, &mut self.long] {
            let all = ring.slots.len();
            for n in (1..=ring.taken).rev() {
                let slot = (ring.next + all - n) % all;
                let frame = &frames[ring.first + slot];
                assert!(frame.is_at(ring.places[slot]), "a frame of a ring stays in its slot");
                ring.slots[slot].give_back();
            }
            ring.taken = 0;
        }
    }
}

impl Ring {
    /// One that receives nothing yet, with room for `room` bytes of packet in each slot.
    fn open(slots: usize, room: usize, first: usize) -> io::Result<(Self, Vec<Frame>)> {
        let (socket, slots) = sys::ring::open(slots, PACKET_AT - HEADROOM, room)?;
        // Before it receives anything.
        sys::ring::filter(&socket, &Scope::default().program())?;
        let places = slots.iter().map(|(_, memory)| memory.as_ptr().addr()).collect();
        let (slots, frames): (Vec<_>, Vec<_>) =
            slots.into_iter().map(|(slot, memory)| (slot, Frame::in_memory(memory))).unzip();
        Ok((Self { socket, slots: slots.into(), places, first, next: 0, taken: 0 }, frames))
    }

    /// The slots that are not taken, in the order in which the kernel fills them.
    #[inline]
    fn ahead(&self) -> impl Iterator<Item = &Slot> {
        let (before, from) = self.slots.split_at(self.next);
        from.iter().chain(before).take(self.slots.len() - self.taken)
    }

    /// Takes what comes next; says which frame it is in.
    #[inline]
    fn take(&mut self) -> usize {
        let slot = self.next;
        self.next = (slot + 1) % self.slots.len();
        self.taken += 1;
        self.first + slot
    }

    fn waiting(&self) -> usize {
        self.ahead().take_while(|slot| slot.is_ours()).count()
    }
}
