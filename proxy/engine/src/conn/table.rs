//! The connection table: both directions of every flow, shared by all workers, bounded.
//!
//! Invariants: a connection that is found is under both of its keys; a key leads to one connection, so a reply tuple
//! is never shared. (One that a front has parked is under its server's alone.) While one is being put in, it holds its keys but nobody finds it; while it is being taken out,
//! nobody finds it and it stands in nobody's way. No lock is held across two steps or a packet, and none is taken to
//! find a connection.

mod adopt;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use sched::{Direction, Proto, Writer};
use wire::packet::head::AnyHead;

use super::course::Courses;
use super::index::{Entry, Index};
use super::slot::{EDITED, FTP, First, Fixed, PARKED, RARE, TEMPLATE, UNASSURED};
use super::{Birth, Conn, Course, FlowKey, Known, Legs, Millis, NEW_MS, Rare, Reader, Room, Slab, Slot};
use crate::ftp::Expecting;
use crate::listing::Part;
use crate::state::State;

/// Connections fetched from memory together: what their packets need has to fit the nearest cache.
pub(crate) const AHEAD: usize = 64;

/// What looking ahead has found of a packet's connection: the hash of its key, and where it is, most likely.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hint {
    pub(super) hash: u64,
    pub(super) entry: Option<Entry>,
}

/// Where a connection was found, and what it was at that moment.
pub(super) type Found<'a> = (Entry, &'a Slot, &'a Arc<Course>, Fixed);

/// What became of [`ConnTable::insert`].
#[derive(Debug)]
pub(crate) enum Inserted<'a> {
    /// It is in the table.
    Yes,
    /// The table holds as many as it may.
    Full,
    /// Another connection has its reply tuple.
    ReplyTaken(Conn<'a>),
    /// Another worker made a connection for the same client and VIP meanwhile. The one offered has ended.
    Raced(Conn<'a>),
}

#[derive(Debug)]
pub(crate) struct ConnTable {
    slab: Arc<Slab>,
    index: Index,
    courses: Arc<Courses>,
    room: Arc<Room>,
    /// Data connections of those in it.
    pub(crate) expecting: Expecting,
}

impl ConnTable {
    pub(crate) fn new(seed: u64, room: Arc<Room>) -> Self {
        Self {
            slab: Arc::new(Slab::new(room.max())),
            index: Index::new(seed),
            courses: Arc::new(Courses::new(seed)),
            expecting: Expecting::new(seed, Arc::clone(&room)),
            room,
        }
    }

    /// What a worker knows of the table: it is not for others.
    pub(crate) fn reader(&self) -> (Reader, Known) {
        (self.index.reader(), Known::new(Arc::clone(&self.courses)))
    }

    /// What connections are in.
    pub(crate) fn slab(&self) -> &Slab {
        &self.slab
    }

    #[inline]
    pub(crate) fn find<'a>(
        &'a self,
        reader: &mut Reader,
        known: &'a Known,
        key: &FlowKey,
    ) -> Option<(Conn<'a>, Direction)> {
        let (entry, slot, course, fixed) = self.look_up(reader, known, key, self.hash(key), None)?;
        Some((Conn::of(&self.slab, slot, entry.at, course, &fixed), entry.direction))
    }

    /// The one with this key, which has this hash; `first` is whose entry it may be, most likely. One that has left its client
    /// is found by that all the same.
    #[inline(always)]
    pub(super) fn look_up<'a>(
        &'a self,
        reader: &mut Reader,
        known: &'a Known,
        key: &FlowKey,
        hash: u64,
        first: Option<Entry>,
    ) -> Option<Found<'a>> {
        let mut search = self.index.search(reader, hash);
        let mut next = first.or_else(|| search.next());
        while let Some(entry) = next {
            if let Some(slot) = self.slab.slot(entry.at)
                && let Some(fixed) = slot.fixed(false)
                && let Some(course) = known.get(fixed.course)
                && course.is_key(key, entry.direction, &fixed)
            {
                return Some((entry, slot, course, fixed));
            }
            next = search.next();
        }
        None
    }

    #[inline(always)]
    pub(super) fn hash(&self, key: &FlowKey) -> u64 {
        self.index.hash(key)
    }

    /// For a packet with this head, to be [fetched](Self::fetch).
    #[inline]
    pub(crate) fn hint(&self, head: &AnyHead) -> Hint {
        let key = match head {
            AnyHead::V4(head) => FlowKey::of_head(head),
            AnyHead::V6(head) => FlowKey::of_head(head),
        };
        Hint { hash: self.hash(&key), entry: None }
    }

    /// Has what these packets need fetched from memory. A processor waits for many lines at the same time where none of them
    /// says where the next one is: so all take one step, then all the next.
    pub(crate) fn fetch(&self, reader: &mut Reader, known: &Known, writer: Writer, hints: &mut [Hint]) {
        let words: u64 = hints.iter().fold(0, |all, hint| all ^ self.index.fetch(reader, hint.hash));
        for hint in &mut *hints {
            hint.entry = self.index.search(reader, hint.hash).next();
        }
        let mut numbers = [u32::MAX; AHEAD];
        for (number, hint) in numbers.iter_mut().zip(&*hints) {
            let slot = hint.entry.and_then(|entry| self.slab.slot(entry.at));
            *number = slot.map_or(u32::MAX, Slot::course);
        }
        let numbers = &numbers[..hints.len().min(AHEAD)];
        let known = || numbers.iter().filter_map(|number| known.peek(*number));
        let courses = known().fold(0, |all, course| all ^ course.fetch());
        let lives = known().fold(false, |all, course| all ^ course.dest.is_available());
        let counted = known().fold(0, |all, course| {
            all ^ course.dest.stats.fetch(writer) ^ course.service.stats.fetch(writer)
        });
        black_box((words, courses, lives, counted));
    }

    /// The connection at a place, unless it has ended.
    pub(crate) fn at<'a>(&'a self, known: &'a Known, at: u32) -> Option<Conn<'a>> {
        Conn::at(&self.slab, known, at, true)
    }

    /// Begins a connection that nobody finds until it is in, and that has the short time of one whose first packet has
    /// not been forwarded yet. `None` where there is no memory for it.
    pub(crate) fn begin<'a>(&'a self, known: &'a Known, birth: Birth, now: Millis) -> Option<Conn<'a>> {
        let client = birth.client;
        let local_port = birth.local.as_ref().map_or(0, |lease| lease.addr().port());
        let (between, rare) = birth.rare();
        let (proto, edited) = (between.proto, !between.tcp.is_none());
        let Some(course) = known.join(between) else {
            rare.inspect(Rare::let_go);
            return None;
        };
        let flags = rare.as_ref().map_or(0, |rare| {
            let template = if rare.template.is_some() { TEMPLATE | UNASSURED } else { 0 };
            let ftp = if rare.control.is_some() || rare.data_of.is_some() { FTP } else { 0 };
            RARE | template | ftp | if rare.shifts.is_some() { EDITED } else { 0 }
        });
        let flags = flags | if edited { EDITED } else { 0 };
        let deadline = Slot::after(now, NEW_MS);
        let first =
            First { course: course.number, client, local_port, state: begins_as(proto), flags, deadline };
        let dest = &course.dest;
        let Some((slot, id)) = self.slab.begin(&first, rare) else {
            self.courses.leave(course);
            return None;
        };
        dest.inactive.fetch_add(1, Relaxed);
        dest.update_overload();
        let rare = if slot.has(EDITED | FTP) { self.slab.rare(id.at) } else { None };
        let legs = Legs::of(course, client, local_port);
        Some(Conn { legs, course, slot, slab: &self.slab, id, rare })
    }

    pub(crate) fn insert<'a>(&'a self, known: &'a Known, conn: &Conn<'a>) -> Inserted<'a> {
        if !self.room.take() {
            return Inserted::Full;
        }
        if let Err(other) = self.put(known, conn, Direction::Out) {
            self.room.give_back();
            return Inserted::ReplyTaken(other);
        }
        if let Err(other) = self.put(known, conn, Direction::In) {
            self.remove(conn);
            return Inserted::Raced(other);
        }
        Inserted::Yes
    }

    /// Takes it out, unless somebody else has.
    pub(crate) fn remove(&self, conn: &Conn<'_>) -> bool {
        if !conn.retire() {
            return false;
        }
        self.take(conn, Direction::In);
        self.take(conn, Direction::Out);
        self.expecting.forget(conn);
        self.room.give_back();
        self.let_go(conn);
        true
    }

    /// Ends one that has not been put in.
    pub(crate) fn discard(&self, conn: &Conn<'_>) {
        if conn.retire() {
            self.let_go(conn);
        }
    }

    /// Has the client's packets find it no more.
    pub(crate) fn leave_client(&self, conn: &Conn<'_>) {
        conn.slot.set(PARKED, true);
        self.take(conn, Direction::In);
    }

    /// Shows every connection of `part` that is a client's to `visit`, in no order. Looks at every slot: not for the packet path.
    pub(crate) fn for_each(&self, part: Part, mut visit: impl FnMut(&Conn<'_>)) {
        self.for_each_held(part, |conn| {
            if !conn.slot.has(PARKED) {
                visit(conn);
            }
        });
    }

    /// The same, and those that are their servers' alone.
    pub(crate) fn for_each_held(&self, part: Part, mut visit: impl FnMut(&Conn<'_>)) {
        for at in self.slab.places().filter(|at| at % part.of.max(1) == part.index) {
            self.show(at, &mut visit);
        }
    }

    /// The same of the slots from one on, as long as `visit` wants more and not of more than `slots`. Returns where to go
    /// on; `None` at the end.
    pub(crate) fn walk_held(
        &self,
        from: u32,
        slots: u32,
        mut visit: impl FnMut(&Conn<'_>) -> bool,
    ) -> Option<u32> {
        let end = self.slab.places().end;
        for at in from..end.min(from.saturating_add(slots)) {
            let mut wants = true;
            self.show(at, |conn| wants = visit(conn));
            if !wants {
                return Some(at + 1).filter(|next| *next < end);
            }
        }
        Some(from.saturating_add(slots)).filter(|next| *next < end)
    }

    fn show(&self, at: u32, mut visit: impl FnMut(&Conn<'_>)) {
        let Some(slot) = self.slab.slot(at) else { return };
        let Some(fixed) = slot.fixed(false) else { return };
        let Some(course) = self.courses.get(fixed.course) else { return };
        visit(&Conn::of(&self.slab, slot, at, &course, &fixed));
    }

    /// Puts it under one key. The client's comes last and publishes it, before anybody can find it there.
    fn put<'a>(&'a self, known: &'a Known, conn: &Conn<'a>, direction: Direction) -> Result<(), Conn<'a>> {
        let key = conn.key(direction);
        let entry = Entry { at: conn.id.at, direction };
        // One that has ended holds nothing.
        let has = |other: Entry| {
            let conn = Conn::at(&self.slab, known, other.at, true);
            conn.is_some_and(|conn| conn.key(other.direction) == key)
        };
        let publish = || {
            if direction == Direction::In {
                conn.slot.publish();
            }
        };
        loop {
            let Err(other) = self.index.put(self.index.hash(&key), entry, has, publish) else {
                return Ok(());
            };
            if let Some(other) = Conn::at(&self.slab, known, other.at, true) {
                return Err(other);
            }
        }
    }

    fn take(&self, conn: &Conn<'_>, direction: Direction) {
        let hash = self.index.hash(&conn.key(direction));
        self.index.take(hash, Entry { at: conn.id.at, direction });
    }

    fn let_go(&self, conn: &Conn<'_>) {
        self.courses.leave(conn.course);
        self.slab.give_back(conn.id.at);
    }
}

impl Conn<'_> {
    #[inline]
    fn key(&self, direction: Direction) -> FlowKey {
        match direction {
            Direction::In => self.in_key(),
            Direction::Out => self.out_key(),
        }
    }
}

const fn begins_as(proto: Proto) -> State {
    match proto {
        Proto::Tcp | Proto::Sctp => State::None,
        Proto::Udp => State::Udp,
    }
}

#[cfg(test)]
mod tests;
