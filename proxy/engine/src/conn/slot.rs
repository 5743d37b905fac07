//! What is kept of a connection, in one cache line, and the slab of them.
//!
//! A slot is used again. Its generation tells one connection from the next; it shares a word with the state, so that
//! nobody moves the state of another connection than he has found. What a connection is between is written once, before
//! anybody can find it: who reads it looks at the generation before and behind (a sequence lock). What else a packet
//! writes (numbers, deadline) may, by a worker that was held up for that long, be written into a later connection's
//! slot: that costs this one a wrong guess until its next packet. It cannot go wrong by a delay that happens, as
//! the slot that has been free for longest comes first, and that only where [`REST`] others are free.

mod adopt;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{
    AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use dashmap::DashMap;
use foldhash::fast::FixedState;

use super::key::{End, bits};
use super::{Millis, Rare, Spoken, Timed};
use crate::state::State;

/// Slots that are made at a time.
const CHUNK: usize = 1024;
/// As many slots as there can be.
const MOST: usize = 1 << 30;
/// Free slots that are not used again before others are.
const REST: usize = 1024;
/// A deadline is kept in 32 bits: it is at most so far ahead.
const FAR: Millis = 24 * 86_400_000;

/// Set in a connection's state until it is under both of its keys: it holds them, but nobody finds it.
const PENDING: u32 = 0x40;

/// Set in a connection's state once it has been removed from the table: what a wheel still holds of it is only
/// waiting to be dropped, and its server counts it no more.
const GONE: u32 = 0x80;

const STATE: u32 = 0x3f;
const GENERATION: u32 = 8;

/// Its client has an IPv6 address.
pub(super) const V6: u8 = 1;
/// A front has it open.
pub(super) const HELD: u8 = 1 << 1;
/// There is a [`Rare`] for it,
pub(super) const RARE: u8 = 1 << 2;
/// and its packets are not just forwarded,
pub(super) const EDITED: u8 = 1 << 3;
/// or it is a member of a template that has not heard yet that its client is real.
pub(super) const UNASSURED: u8 = 1 << 4;
/// It has data connections, or is one.
pub(super) const FTP: u8 = 1 << 5;
/// It is a member of a template.
pub(super) const TEMPLATE: u8 = 1 << 6;
/// It is its client's no more.
pub(super) const PARKED: u8 = 1 << 7;

#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Slot {
    /// Generation, and a [`State`] with [`PENDING`] or [`GONE`].
    life: AtomicU32,
    flags: AtomicU8,
    /// Packets from the client; it stops counting at 255.
    requests: AtomicU8,
    /// Which numbers are known of each end.
    known: [AtomicU8; 2],
    course: AtomicU32,
    client_port: AtomicU16,
    local_port: AtomicU16,
    client: [AtomicU64; 2],
    /// When it is forgotten unless something happens: the low bits of the time.
    deadline: AtomicU32,
    /// The second in which a wheel looks at it next; 0 before the first time.
    armed: AtomicU32,
    said: [[AtomicU32; 3]; 2],
}

/// What a connection begins with.
pub(super) struct First {
    pub(super) course: u32,
    pub(super) client: SocketAddr,
    pub(super) local_port: u16,
    pub(super) state: State,
    pub(super) flags: u8,
    pub(super) deadline: Millis,
}

/// Who a connection is, for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) at: u32,
    pub(super) generation: u32,
}

/// What of a slot stays as long as its connection lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed {
    pub(super) generation: u32,
    pub(super) course: u32,
    pub(super) client: End,
    pub(super) v6: bool,
    pub(super) local_port: u16,
    /// These may have changed since:
    pub(super) flags: u8,
    state: u8,
}

impl Fixed {
    /// It was in this state.
    #[inline]
    pub(super) const fn was(&self, state: State) -> bool {
        self.state == state as u8
    }

    #[inline]
    pub(super) fn client(&self) -> SocketAddr {
        self.client.addr(self.v6)
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            life: AtomicU32::new(GONE),
            flags: AtomicU8::new(0),
            requests: AtomicU8::new(0),
            known: [AtomicU8::new(0), AtomicU8::new(0)],
            course: AtomicU32::new(0),
            client_port: AtomicU16::new(0),
            local_port: AtomicU16::new(0),
            client: [AtomicU64::new(0), AtomicU64::new(0)],
            deadline: AtomicU32::new(0),
            armed: AtomicU32::new(0),
            said: Default::default(),
        }
    }

    /// Begins another connection, which nobody finds until it is published. Says which generation it is.
    fn begin(&self, first: &First) -> u32 {
        let generation = (self.life.load(Relaxed) >> GENERATION).wrapping_add(1) & (u32::MAX >> GENERATION);
        self.life.store(generation << GENERATION | PENDING | first.state as u32, Relaxed);
        // Whoever sees anything of what follows sees the generation too.
        fence(Release);
        let v6 = if first.client.is_ipv6() { V6 } else { 0 };
        self.flags.store(first.flags | v6, Relaxed);
        self.requests.store(0, Relaxed);
        self.known.iter().for_each(|known| known.store(0, Relaxed));
        self.course.store(first.course, Relaxed);
        self.client_port.store(first.client.port(), Relaxed);
        self.local_port.store(first.local_port, Relaxed);
        let client = bits(first.client.ip());
        self.client[0].store((client >> 64) as u64, Relaxed);
        self.client[1].store(client as u64, Relaxed);
        self.set_deadline(first.deadline);
        self.armed.store(0, Relaxed);
        generation
    }

    /// What stays; `None` for one that is not in the table for all to see, unless `any` is wanted that has not ended.
    #[inline(always)]
    pub(super) fn fixed(&self, any: bool) -> Option<Fixed> {
        let life = self.life.load(Acquire);
        if life & GONE != 0 || life & PENDING != 0 && !any {
            return None;
        }
        let (high, low) = (self.client[0].load(Relaxed), self.client[1].load(Relaxed));
        let flags = self.flags.load(Relaxed);
        let fixed = Fixed {
            generation: life >> GENERATION,
            course: self.course.load(Relaxed),
            client: End::new(u128::from(high) << 64 | u128::from(low), self.client_port.load(Relaxed)),
            v6: flags & V6 != 0,
            local_port: self.local_port.load(Relaxed),
            flags,
            state: (life & STATE) as u8,
        };
        fence(Acquire);
        (self.life.load(Relaxed) >> GENERATION == fixed.generation).then_some(fixed)
    }

    /// The number of its course, which may be that of an earlier connection.
    #[inline]
    pub(super) fn course(&self) -> u32 {
        self.course.load(Relaxed)
    }

    #[inline]
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags.load(Relaxed) & flag != 0
    }

    pub(super) fn set(&self, flag: u8, to: bool) {
        if to {
            self.flags.fetch_or(flag, Relaxed);
        } else {
            self.flags.fetch_and(!flag, Relaxed);
        }
    }

    #[inline]
    pub(super) fn state(&self) -> State {
        State::from_u8((self.life.load(Relaxed) & STATE) as u8)
    }

    /// The state of this very connection, unless it has ended.
    #[inline]
    pub(super) fn state_of(&self, generation: u32) -> Option<State> {
        let life = self.life.load(Relaxed);
        let lives = life & GONE == 0 && life >> GENERATION == generation;
        lives.then(|| State::from_u8((life & STATE) as u8))
    }

    /// This very connection is in the table for all to see.
    pub(super) fn is_live(&self, generation: u32) -> bool {
        let life = self.life.load(Relaxed);
        life & (PENDING | GONE) == 0 && life >> GENERATION == generation
    }

    /// This very connection has ended.
    pub(super) fn has_ended(&self, generation: u32) -> bool {
        let life = self.life.load(Relaxed);
        life & GONE != 0 || life >> GENERATION != generation
    }

    pub(super) fn publish(&self) {
        self.life.fetch_and(!PENDING, Release);
    }

    /// Moves the state as `next` says until it stays. Says from which one to which, if it has moved.
    #[inline]
    pub(super) fn step(&self, generation: u32, next: impl Fn(State) -> State) -> Option<(State, State)> {
        // Two workers may see both directions at once: each step of the table happens, one after the other.
        let mut life = self.life.load(Relaxed);
        loop {
            if life & GONE != 0 || life >> GENERATION != generation {
                return None;
            }
            let from = State::from_u8((life & STATE) as u8);
            let to = next(from);
            if to == from {
                return None;
            }
            match self.life.compare_exchange(life, life & !STATE | to as u32, Relaxed, Relaxed) {
                Ok(_) => return Some((from, to)),
                Err(other) => life = other,
            }
        }
    }

    /// Marks this very connection as removed, and says in which state it was: to the one caller that did.
    pub(super) fn retire(&self, generation: u32) -> Option<State> {
        let living =
            |life: u32| (life & GONE == 0 && life >> GENERATION == generation).then_some(life | GONE);
        let life = self.life.fetch_update(Relaxed, Relaxed, living).ok()?;
        Some(State::from_u8((life & STATE) as u8))
    }

    pub(super) fn requests(&self) -> u8 {
        self.requests.load(Relaxed)
    }

    #[inline(always)]
    pub(super) fn count_request(&self) {
        let requests = self.requests();
        if requests < u8::MAX {
            self.requests.store(requests + 1, Relaxed);
        }
    }

    #[inline(always)]
    pub(super) fn spoken(&self, end: usize) -> Spoken<'_> {
        Spoken { known: &self.known[end], said: &self.said[end] }
    }

    #[inline]
    pub(super) fn set_deadline(&self, deadline: Millis) {
        self.deadline.store(deadline as u32, Relaxed);
    }

    /// The deadline after so long a time from now.
    #[inline]
    pub(super) const fn after(now: Millis, lasts: Millis) -> Millis {
        now + if lasts < FAR { lasts } else { FAR }
    }
}

impl Timed for Slot {
    #[inline]
    fn deadline(&self, now: Millis) -> Millis {
        let ahead = self.deadline.load(Relaxed).wrapping_sub(now as u32) as i32;
        now.saturating_add_signed(ahead.into())
    }

    #[inline]
    fn armed(&self) -> u64 {
        self.armed.load(Relaxed).into()
    }

    fn rearm(&self, from: u64, to: u64) -> bool {
        self.armed.compare_exchange(from as u32, to as u32, Relaxed, Relaxed).is_ok()
    }

    fn is_gone(&self) -> bool {
        self.life.load(Relaxed) & GONE != 0
    }
}

/// All slots of a table, in chunks that stay where they are.
#[derive(Debug)]
pub(crate) struct Slab {
    chunks: Vec<OnceLock<Chunk>>,
    free: Mutex<Free>,
    /// What only few connections have, by place.
    rare: DashMap<u32, Arc<Rare>, FixedState>,
}

#[derive(Debug)]
struct Chunk {
    slots: Box<[Slot]>,
    /// When the client's SYN came that has not been answered yet: microseconds, wrapping, never 0. 0 when there is none.
    asked: Box<[AtomicU32]>,
}

#[derive(Debug, Default)]
struct Free {
    /// Slots that have never been used begin here.
    fresh: u32,
    /// Those that have been used, in parts, so that none of them is ever moved: whose have ended last are in the last.
    used: VecDeque<Vec<u32>>,
    /// So many.
    held: usize,
}

/// Places in each part.
const PART: usize = 512;

impl Free {
    fn push(&mut self, at: u32) {
        if self.used.back().is_none_or(|part| part.len() == PART) {
            self.used.push_back(Vec::with_capacity(PART));
        }
        self.used.back_mut().into_iter().for_each(|part| part.push(at));
        self.held += 1;
    }

    /// One of those that have been free for longest.
    fn pop(&mut self) -> Option<u32> {
        let part = self.used.front_mut()?;
        let at = part.pop()?;
        if part.is_empty() {
            self.used.pop_front();
        }
        self.held -= 1;
        Some(at)
    }
}

impl Slab {
    /// With room for so many, and those that rest.
    pub(super) fn new(most: usize) -> Self {
        let chunks = most.saturating_add(2 * REST).min(MOST).div_ceil(CHUNK) + 1;
        Self {
            chunks: std::iter::repeat_with(OnceLock::new).take(chunks).collect(),
            free: Mutex::default(),
            rare: DashMap::default(),
        }
    }

    #[inline(always)]
    pub(super) fn slot(&self, at: u32) -> Option<&Slot> {
        self.chunks.get(at as usize / CHUNK)?.get()?.slots.get(at as usize % CHUNK)
    }

    pub(super) fn asked(&self, at: u32) -> Option<&AtomicU32> {
        self.chunks.get(at as usize / CHUNK)?.get()?.asked.get(at as usize % CHUNK)
    }

    /// Begins a connection; `None` where there is no slot for it.
    pub(super) fn begin(&self, first: &First, rare: Option<Rare>) -> Option<(&Slot, Id)> {
        let Some((at, slot)) = self.take().and_then(|at| Some((at, self.slot(at)?))) else {
            rare.inspect(Rare::let_go);
            return None;
        };
        let generation = slot.begin(first);
        self.asked(at)?.store(0, Relaxed);
        if let Some(rare) = rare {
            self.rare.insert(at, Arc::new(rare));
        }
        Some((slot, Id { at, generation }))
    }

    pub(super) fn rare(&self, at: u32) -> Option<Arc<Rare>> {
        self.rare.get(&at).map(|rare| Arc::clone(&rare))
    }

    /// Its connection has ended and is nowhere any more.
    pub(super) fn give_back(&self, at: u32) {
        if self.slot(at).is_some_and(|slot| slot.has(RARE)) {
            self.rare.remove(&at);
        }
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(at);
    }

    /// The places of all slots that have ever been used.
    pub(super) fn places(&self) -> std::ops::Range<u32> {
        0..self.free.lock().unwrap_or_else(PoisonError::into_inner).fresh
    }

    fn take(&self) -> Option<u32> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.held > REST {
            return free.pop();
        }
        let at = free.fresh;
        let Some(chunk) = self.chunks.get(at as usize / CHUNK) else { return free.pop() };
        chunk.get_or_init(|| Chunk {
            slots: std::iter::repeat_with(Slot::new).take(CHUNK).collect(),
            asked: std::iter::repeat_with(|| AtomicU32::new(0)).take(CHUNK).collect(),
        });
        free.fresh += 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests;
