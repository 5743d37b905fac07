//! What connections have in common: a [`Course`] is shared by all that go from one VIP and port to one server in one
//! way, so that a connection itself is little more than its client.
//!
//! A connection names its course by number. Each worker knows courses by its own [`Known`], so that no packet touches a
//! count of references that workers share. A number is given to another course only when nobody knows the former one
//! any more; workers forget courses without connections now and then, and all of them when they fall idle.

use std::cell::{Cell, OnceCell};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use sched::{DestLive, Direction, ForwardMethod, Proto, SvcLive, TcpOptions};
use wire::edit::{Rewrite, Side};
use wire::frame::Tagged;

use super::key::{End, bits};
use super::slot::Fixed;
use super::{FlowKey, Millis};
use crate::front::FrontWay;
use crate::host::HostView;

/// Numbers of courses in one part of what a worker knows, and parts.
const PART: usize = 4096;
const PARTS: usize = 1024;
/// Courses that a worker has at hand for the connections that begin.
const LATELY: usize = 64;
/// Courses that a worker looks at when it forgets some.
const LOOKED_AT: usize = 64;
/// And how long until it does so again.
const FORGET_MS: Millis = 60_000;

/// What a connection is between, but for its client and the port that stands for that. What every packet asks for comes
/// first.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Between {
    pub(crate) dest: Arc<DestLive>,
    pub(crate) service: Arc<SvcLive>,
    pub(crate) proto: Proto,
    /// The kernel takes one hop on each side of us; give one back, so that a director counts as one.
    pub(crate) hop_credit: bool,
    /// The address of ours that the server believes to speak with, where that is not the client (FullNAT).
    pub(crate) lip: Option<IpAddr>,
    pub(crate) vip: SocketAddr,
    /// Where its packets go: the server's address, on its own port or on the one that the client asked for.
    pub(crate) server: SocketAddr,
    pub(crate) method: ForwardMethod,
    /// There is no server: the packets go on to whom they are for.
    pub(crate) bypass: bool,
    /// What is done to its segments, if it is of TCP and comes by us both ways.
    pub(crate) tcp: TcpOptions,
    /// It ends here.
    pub(crate) front: Option<FrontWay>,
    /// The way to its client, where no route leads there.
    pub(crate) tagged: Option<Tagged>,
}

impl Between {
    /// Where the packets of its servers come from.
    pub(super) fn answers_from(&self) -> SocketAddr {
        // What does not come by us would look like this if it did.
        let comes_back = self.method.sees_replies() && self.front.is_none_or(FrontWay::hears_servers);
        if comes_back { self.server } else { self.vip }
    }

    fn kind(&self) -> Kind {
        let plain = self.front.is_none() && self.tagged.is_none() && self.tcp.is_none() && !self.bypass;
        match self.method {
            _ if !plain => Kind::Other,
            ForwardMethod::Masq | ForwardMethod::FullNat if self.server.ip().is_loopback() => Kind::Other,
            ForwardMethod::Masq => Kind::Nat,
            ForwardMethod::FullNat => Kind::FullNat,
            ForwardMethod::Route | ForwardMethod::Tunnel(_) => Kind::AsItIs,
        }
    }
}

impl PartialEq for Between {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dest, &other.dest)
            && Arc::ptr_eq(&self.service, &other.service)
            && (self.proto, self.vip, self.server, self.lip)
                == (other.proto, other.vip, other.server, other.lip)
            && (self.method, self.bypass, self.tcp) == (other.method, other.bypass, other.tcp)
            && (self.hop_credit, self.front, self.tagged) == (other.hop_credit, other.front, other.tagged)
    }
}

impl Eq for Between {}

impl Hash for Between {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A server is of one service: the rest of what is the same for most of its courses need not be told.
        let ports = u64::from(self.vip.port()) << 16 | u64::from(self.server.port());
        state.write_u128((Arc::as_ptr(&self.dest).addr() as u128) << 64 | u128::from(ports));
        state.write_u128(bits(self.vip.ip()) ^ self.lip.map_or(0, |lip| bits(lip).rotate_left(64)));
        if let Some(Tagged { theirs, tag, .. }) = self.tagged {
            (theirs, tag).hash(state);
        }
    }
}

/// What is done to the packets of a connection, as far as it is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One side is rewritten.
    Nat,
    /// Both sides are.
    FullNat,
    /// They stay as they are (DR, tunnels).
    AsItIs,
    /// More, or something else.
    Other,
}

/// Connections that have all that in common. What their packets ask for is in as few cache lines as it can be: with many
/// servers, that is what a packet waits for.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Course {
    /// What a client speaks with,
    vip: End,
    /// and what its server's packets come from.
    answers_from: End,
    /// What is done by NAT to all requests, and to all answers.
    rewrites: [Rewrite; 2],
    /// What is done to packets of its connections, if that is nothing but forwarding.
    kind: Kind,
    between: Between,
    pub(super) number: u32,
    /// Connections in the table, or about to be.
    members: AtomicU32,
    /// The last one has ended.
    over: AtomicBool,
    /// Whether the server is the host itself, in the lowest bit, and by which view of the host that was found: another one
    /// asks again.
    here: AtomicU64,
}

impl Deref for Course {
    type Target = Between;

    fn deref(&self) -> &Between {
        &self.between
    }
}

impl Course {
    /// With one member.
    fn new(between: Between, number: u32) -> Self {
        let &Between { vip, server, .. } = &between;
        let answers_from = between.answers_from();
        Self {
            number,
            members: AtomicU32::new(1),
            over: AtomicBool::new(false),
            vip: vip.into(),
            answers_from: answers_from.into(),
            kind: between.kind(),
            rewrites: [Rewrite::new(Side::Destination, vip, server), Rewrite::new(Side::Source, server, vip)],
            here: AtomicU64::new(u64::MAX),
            between,
        }
    }

    /// Takes one more member, unless it has none: then it may be over.
    fn join(&self) -> bool {
        let one_more = |members| (members > 0).then_some(members + 1);
        self.members.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    /// The key of a connection's packets in this direction.
    #[inline]
    pub(super) fn key(&self, direction: Direction, client: SocketAddr, local_port: u16) -> FlowKey {
        let (proto, v6, client) = (self.between.proto, client.is_ipv6(), End::from(client));
        match direction {
            Direction::In => FlowKey::between(proto, v6, client, self.vip),
            Direction::Out => {
                let peer = self.local(local_port).unwrap_or(client);
                FlowKey::between(proto, v6, self.answers_from, peer)
            }
        }
    }

    /// Whether a key is that of a connection's packets in this direction.
    #[inline(always)]
    pub(super) fn is_key(&self, key: &FlowKey, direction: Direction, fixed: &Fixed) -> bool {
        let (proto, v6, client) = (self.between.proto, fixed.v6, fixed.client);
        match direction {
            Direction::In => key.is(proto, v6, client, self.vip),
            Direction::Out => {
                let peer = self.local(fixed.local_port).unwrap_or(client);
                key.is(proto, v6, self.answers_from, peer)
            }
        }
    }

    /// Whether the server is the host itself.
    #[inline]
    pub(super) fn is_here(&self, host: &HostView) -> bool {
        let known = self.here.load(Relaxed);
        if known >> 1 == host.stamp() {
            return known & 1 != 0;
        }
        let is_here = host.is_self(self.between.server.ip());
        self.here.store(host.stamp() << 1 | u64::from(is_here), Relaxed);
        is_here
    }

    /// Has it fetched from memory.
    #[inline]
    pub(super) fn fetch(&self) -> usize {
        // Something of each line that packets look at.
        usize::from(self.vip.port()) + self.kind as usize + usize::from(self.between.hop_credit)
    }

    #[inline(always)]
    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Who a server believes to speak with, where that is not the client.
    #[inline(always)]
    pub(super) fn local(&self, local_port: u16) -> Option<End> {
        self.between.lip.map(|lip| End::new(bits(lip), local_port))
    }

    /// What NAT does in one direction.
    #[inline]
    pub(crate) const fn rewrite(&self, direction: Direction) -> &Rewrite {
        &self.rewrites[direction as usize]
    }
}

/// All courses of a table.
#[derive(Debug)]
pub(super) struct Courses {
    map: DashMap<Between, Arc<Course>, SeedableRandomState>,
    /// By number.
    all: RwLock<Vec<Option<Arc<Course>>>>,
    /// Numbers of those that are over.
    over: Mutex<VecDeque<(u32, Weak<Course>)>>,
}

impl Courses {
    pub(super) fn new(seed: u64) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self { map: DashMap::with_hasher(hasher), all: RwLock::default(), over: Mutex::default() }
    }

    /// The course for one more connection; `None` where there are too many.
    pub(super) fn join(&self, between: Between) -> Option<Arc<Course>> {
        match self.map.entry(between) {
            Entry::Occupied(course) => {
                course.get().members.fetch_add(1, Relaxed);
                Some(Arc::clone(course.get()))
            }
            Entry::Vacant(place) => {
                let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
                let number = match self.free_number() {
                    Some(number) => number,
                    None if all.len() == PART * PARTS => return None,
                    None => {
                        all.push(None);
                        all.len() as u32 - 1
                    }
                };
                let course = Arc::new(Course::new(place.key().clone(), number));
                all[number as usize] = Some(Arc::clone(&course));
                place.insert(Arc::clone(&course));
                Some(course)
            }
        }
    }

    /// One of its connections has ended.
    pub(super) fn leave(&self, course: &Course) {
        if course.members.fetch_sub(1, Relaxed) != 1 {
            return;
        }
        let unused = |_: &Between, found: &Arc<Course>| {
            std::ptr::eq(&**found, course) && found.members.load(Relaxed) == 0
        };
        if let Some((_, course)) = self.map.remove_if(&course.between, unused) {
            self.all.write().unwrap_or_else(PoisonError::into_inner)[course.number as usize] = None;
            course.over.store(true, Release);
            let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
            over.push_back((course.number, Arc::downgrade(&course)));
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.map.len()
    }

    pub(super) fn get(&self, number: u32) -> Option<Arc<Course>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(number as usize).cloned().flatten()
    }

    /// As many numbers as there are.
    fn numbers(&self) -> usize {
        self.all.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Of a course that nobody knows any more.
    fn free_number(&self) -> Option<u32> {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, course) = over.pop_front()?;
        if course.strong_count() == 0 {
            return Some(number);
        }
        over.push_back((number, course));
        None
    }
}

/// The courses that a worker knows.
#[derive(Debug)]
pub(crate) struct Known {
    courses: Arc<Courses>,
    parts: Vec<OnceCell<Part>>,
    /// So many.
    held: Cell<usize>,
    /// The numbers of those that connections have joined lately, by their servers.
    lately: [Cell<u32>; LATELY],
    /// What is looked at next.
    hand: usize,
    due: Option<Millis>,
}

type Part = Box<[OnceCell<Arc<Course>>]>;

impl Known {
    pub(super) fn new(courses: Arc<Courses>) -> Self {
        let parts = std::iter::repeat_with(OnceCell::new).take(PARTS).collect();
        let lately = std::array::from_fn(|_| Cell::new(0));
        Self { courses, parts, held: Cell::new(0), lately, hand: 0, due: None }
    }

    #[inline(always)]
    pub(super) fn get(&self, number: u32) -> Option<&Arc<Course>> {
        let part = self.parts.get(number as usize / PART)?;
        match part.get().and_then(|part| part[number as usize % PART].get()) {
            Some(course) => Some(course),
            None => self.learn(number),
        }
    }

    /// The course for one more connection; `None` where there are too many.
    pub(super) fn join(&self, between: Between) -> Option<&Arc<Course>> {
        // Most begin as another one has begun a moment ago: then nobody is asked.
        let server = Arc::as_ptr(&between.dest).addr();
        let lately = &self.lately[(server >> 6 ^ server >> 12) % LATELY];
        let course = self.peek(lately.get()).filter(|course| course.between == between && course.join());
        course.or_else(|| {
            let number = self.courses.join(between)?.number;
            lately.set(number);
            self.get(number)
        })
    }

    /// How many.
    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// One that it knows already.
    #[inline]
    pub(super) fn peek(&self, number: u32) -> Option<&Arc<Course>> {
        self.parts.get(number as usize / PART)?.get()?[number as usize % PART].get()
    }

    #[cold]
    fn learn(&self, number: u32) -> Option<&Arc<Course>> {
        let part = self.parts.get(number as usize / PART)?;
        let empty = || std::iter::repeat_with(OnceCell::new).take(PART).collect();
        let place = &part.get_or_init(empty)[number as usize % PART];
        let course = self.courses.get(number)?;
        self.held.set(self.held.get() + 1);
        Some(place.get_or_init(|| course))
    }

    /// When to call [`Known::forget`] next.
    pub(crate) const fn next_due(&self) -> Option<Millis> {
        self.due
    }

    /// Time passes.
    #[inline]
    pub(crate) fn pass(&mut self, now: Millis) {
        if self.due.is_none() && self.held.get() > 0 {
            self.due = Some(now + FORGET_MS);
        }
    }

    /// Forgets some of those that are over, or all courses if the worker has nothing to do.
    pub(crate) fn forget(&mut self, now: Millis, idle: bool) {
        if idle {
            if self.held.replace(0) > 0 {
                self.parts.iter_mut().for_each(|part| _ = part.take());
            }
            self.due = None;
        } else if self.due.is_some_and(|due| due <= now) {
            let all = self.courses.numbers();
            (0..LOOKED_AT.min(all)).for_each(|_| self.look_at_next(all));
            // Round in about that time, however many there are.
            let again = (FORGET_MS * LOOKED_AT as Millis / all.max(LOOKED_AT) as Millis).max(1);
            self.due = (self.held.get() > 0).then_some(now + again);
        }
    }

    fn look_at_next(&mut self, all: usize) {
        self.hand = (self.hand + 1) % all;
        let part = self.parts.get_mut(self.hand / PART).and_then(OnceCell::get_mut);
        let Some(place) = part.map(|part| &mut part[self.hand % PART]) else { return };
        if place.get().is_some_and(|course| course.over.load(Acquire)) {
            place.take();
            self.held.set(self.held.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests;
