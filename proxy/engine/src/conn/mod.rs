//! Connections: one [`Conn`] per flow, found under the key of either direction.
//!
//! What is kept of one is a [`Slot`] for what packets change, a [`Course`] for what it shares with others, and, for few,
//! a [`Rare`]. A [`Conn`] is a view of all that, for the time of one packet; a [`Kept`] one is for longer.

mod course;
mod greeting;
mod handshake;
mod index;
mod key;
mod rare;
mod room;
mod shift;
mod slot;
mod spoken;
mod table;
mod usual;
mod wheel;

use sched::Direction;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use wire::edit::Rewrite;
use wire::frame::Tagged;

pub(crate) use course::{Between, Course, Kind, Known};
pub(crate) use greeting::{Due, Greeting};
pub(crate) use index::Reader;
pub(crate) use key::FlowKey;
pub(crate) use rare::{Birth, Rare};
pub(crate) use room::Room;
pub(crate) use shift::{Shifts, before};
pub(crate) use slot::{Slab, Slot};
pub(crate) use spoken::Spoken;
pub(crate) use table::{AHEAD, ConnTable, Hint, Inserted};
pub(crate) use usual::Until;
pub(crate) use wheel::{Timed, Timer, Wheel};

use self::slot::{EDITED, FTP, Fixed, HELD, Id, RARE, TEMPLATE, UNASSURED};
use crate::ftp::Control;
use crate::host::HostView;
use crate::knobs::Knobs;
use crate::persist::Template;
use crate::state::{self, Event, Leg, State};
use crate::verdict::Egress;

/// Milliseconds since the engine was made.
pub(crate) type Millis = u64;

/// What a connection is between: set once, at birth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Legs<'a> {
    between: &'a Between,
    course: Option<&'a Course>,
    pub(crate) client: SocketAddr,
    local_port: u16,
}

impl Deref for Legs<'_> {
    type Target = Between;

    #[inline]
    fn deref(&self) -> &Between {
        self.between
    }
}

impl<'a> Legs<'a> {
    /// Those of a client that has no port of ours.
    pub(crate) const fn new(between: &'a Between, client: SocketAddr) -> Self {
        Self { between, course: None, client, local_port: 0 }
    }

    fn of(course: &'a Course, client: SocketAddr, local_port: u16) -> Self {
        Self { between: course, course: Some(course), client, local_port }
    }

    /// What NAT does in one direction, where it has been made ready.
    #[inline]
    pub(crate) fn rewrite(&self, direction: Direction) -> Option<&'a Rewrite> {
        self.course.map(|course| course.rewrite(direction))
    }

    /// Whether the server is this host itself.
    #[inline]
    pub(crate) fn is_here(&self, host: &HostView) -> bool {
        self.course.map_or_else(|| host.is_self(self.between.server.ip()), |course| course.is_here(host))
    }

    /// The VLAN that the client is in, by [`Tagged::vlan`].
    #[inline]
    pub(crate) fn vlan(&self) -> Option<[u8; 4]> {
        self.between.tagged.as_ref().map(Tagged::vlan)
    }

    /// How packets leave for the client.
    #[inline]
    pub(crate) fn back(&self) -> Egress {
        self.between.tagged.map_or(Egress::Route, Egress::Back)
    }

    /// Who the server speaks with.
    #[inline]
    pub(crate) fn peer(&self) -> SocketAddr {
        self.local().unwrap_or(self.client)
    }

    /// Who the server believes to speak with, where that is not the client: an address and port of ours (FullNAT).
    #[inline]
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.between.lip.map(|lip| SocketAddr::new(lip, self.local_port))
    }
}

/// A flow: its legs, and what its packets change.
#[derive(Clone, Debug)]
pub(crate) struct Conn<'a> {
    pub(crate) legs: Legs<'a>,
    course: &'a Arc<Course>,
    slot: &'a Slot,
    slab: &'a Arc<Slab>,
    id: Id,
    /// For one whose packets are edited, or that has to do with FTP.
    rare: Option<Arc<Rare>>,
}

/// Milliseconds that a new entry lives before anything has been forwarded, as in the kernel.
const NEW_MS: Millis = 3000;

impl<'a> Conn<'a> {
    /// The connection at a place, unless it has ended; nor one that is not in the table for all to see yet, unless `any`
    /// is wanted.
    #[inline]
    fn at(slab: &'a Arc<Slab>, known: &'a Known, at: u32, any: bool) -> Option<Self> {
        let slot = slab.slot(at)?;
        let fixed = slot.fixed(any)?;
        Some(Self::of(slab, slot, at, known.get(fixed.course)?, &fixed))
    }

    #[inline]
    fn of(slab: &'a Arc<Slab>, slot: &'a Slot, at: u32, course: &'a Arc<Course>, fixed: &Fixed) -> Self {
        let id = Id { at, generation: fixed.generation };
        let legs = Legs::of(course, fixed.client(), fixed.local_port);
        let rare = if slot.has(EDITED | FTP) { slab.rare(at) } else { None };
        Self { legs, course, slot, slab, id, rare }
    }

    /// The same for longer than a packet.
    pub(crate) fn keep(&self) -> Kept {
        Kept {
            slab: Arc::clone(self.slab),
            id: self.id,
            course: Arc::clone(self.course),
            client: self.legs.client,
            local_port: self.legs.local_port,
            rare: self.rare.clone(),
        }
    }

    /// What the client has said.
    #[inline]
    pub(crate) fn client(&self) -> Spoken<'a> {
        self.slot.spoken(Direction::In as usize)
    }

    /// What the server has said.
    #[inline]
    pub(crate) fn server(&self) -> Spoken<'a> {
        self.slot.spoken(Direction::Out as usize)
    }

    /// For a control connection of FTP.
    pub(crate) fn control(&self) -> Option<&Control> {
        self.rare.as_ref()?.control.as_ref()
    }

    /// For one whose streams are not received as they were sent.
    pub(crate) fn shifts(&self) -> Option<&Shifts> {
        self.rare.as_ref()?.shifts.as_ref()
    }

    /// For one whose server is told who the client is.
    pub(crate) fn greeting(&self) -> Option<&Greeting> {
        self.rare.as_ref()?.greeting.as_ref()
    }

    /// The data connection of a control connection of FTP.
    pub(crate) fn is_data(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.data_of.is_some())
    }

    /// It is a member of a template.
    pub(crate) fn has_template(&self) -> bool {
        self.slot.has(TEMPLATE)
    }

    /// Its template, if that does not know yet that the client is real.
    #[inline]
    pub(crate) fn tell_template(&self, tell: impl FnOnce(&Template)) {
        if self.slot.has(UNASSURED) {
            self.slot.set(UNASSURED, false);
            if let Some(template) =
                self.slab.rare(self.id.at).as_ref().and_then(|rare| rare.template.as_ref())
            {
                tell(template);
            }
        }
    }

    /// What resets to the one whom packets in `direction` reach, in the other end's name, say: see
    /// [`Spoken::resets`].
    pub(crate) fn resets(&self, direction: Direction) -> Option<([Option<u32>; 2], u32)> {
        let shifted = |said| self.shifts().map_or(said, |shifts| shifts.shifted(direction, said));
        match direction {
            Direction::In => self.server().resets(self.client(), shifted),
            Direction::Out => self.client().resets(self.server(), shifted),
        }
    }

    /// Key of the packets from the client.
    pub(crate) fn in_key(&self) -> FlowKey {
        self.course.key(Direction::In, self.legs.client, self.legs.local_port)
    }

    /// Key of the packets from the server.
    pub(crate) fn out_key(&self) -> FlowKey {
        self.course.key(Direction::Out, self.legs.client, self.legs.local_port)
    }

    /// Its packets are forwarded, and that is all.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        !self.slot.has(EDITED)
    }

    /// Data connections of FTP hang on it.
    pub(crate) fn has_data(&self) -> bool {
        self.control().is_some_and(Control::has_data)
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        self.slot.state()
    }

    /// A front has it open: it does not end by itself.
    pub(crate) fn is_held(&self) -> bool {
        self.slot.has(HELD)
    }

    pub(crate) fn hold(&self) {
        self.slot.set(HELD, true);
    }

    /// Packets from the client, 255 for more.
    pub(crate) fn requests(&self) -> u8 {
        self.slot.requests()
    }

    /// It has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.slot.has_ended(self.id.generation)
    }

    pub(crate) fn deadline(&self, now: Millis) -> Millis {
        self.slot.deadline(now)
    }

    /// Starts its timer again.
    pub(crate) fn wait(&self, now: Millis, lasts: Millis) {
        self.slot.set_deadline(Slot::after(now, lasts));
    }

    /// Makes sure that a wheel looks at it soon enough.
    #[inline]
    pub(crate) fn arm(&self, wheel: &mut Wheel<u32>, now: Millis) {
        wheel.arm(&self.id.at, self.slot, now);
    }

    /// A packet has been seen: moves the state and starts the timer again, with the timeouts as they are set now.
    #[inline(always)]
    pub(crate) fn seen(
        &self,
        direction: Direction,
        event: Option<Event>,
        now: Millis,
        knobs: &Knobs,
        guarded: bool,
    ) {
        if direction == Direction::In {
            self.slot.count_request();
        }
        if let Some(event) = event {
            let leg = Leg::of(direction, self.legs.method.sees_replies());
            let next = |state| state::next(leg, event, state, guarded);
            if let Some((from, to)) = self.slot.step(self.id.generation, next) {
                self.count_change(from, to);
            }
        }
        let timeout = self.state().timeout(self.legs.proto, knobs);
        // In 64 bits throughout, which is all that a number of milliseconds takes here.
        self.wait(now, timeout.as_secs().saturating_mul(1000) + Millis::from(timeout.subsec_millis()));
    }

    #[cold]
    fn count_change(&self, from: State, to: State) {
        // The answer went past us: its own answer is what there is to see.
        if from.is_opening() && to == State::Established && !self.legs.method.sees_replies() {
            self.is_answered();
        }
        if self.legs.lip.is_some()
            && from.is_over() != to.is_over()
            && let Some(lease) = self.slab.rare(self.id.at).as_ref().and_then(|rare| rare.lease.as_ref())
        {
            lease.rest(to.is_over());
        }
        let dest = &self.legs.dest;
        match (from.is_active(), to.is_active()) {
            (false, true) => {
                dest.active.fetch_add(1, Relaxed);
                dest.inactive.fetch_sub(1, Relaxed);
            }
            (true, false) => {
                dest.inactive.fetch_add(1, Relaxed);
                dest.active.fetch_sub(1, Relaxed);
            }
            _ => {}
        }
    }

    /// Marks it as removed; true for the one caller that did. The server no longer counts it.
    pub(crate) fn retire(&self) -> bool {
        let Some(state) = self.slot.retire(self.id.generation) else { return false };
        let dest = &self.legs.dest;
        let counter = if state.is_active() { &dest.active } else { &dest.inactive };
        counter.fetch_sub(1, Relaxed);
        dest.update_overload();
        if self.slot.has(RARE)
            && let Some(rare) = self.slab.rare(self.id.at)
        {
            rare.let_go();
        }
        true
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && Arc::ptr_eq(&self.slab, &other.slab)
    }
}

/// A connection for longer than a packet. It may have ended.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    slab: Arc<Slab>,
    id: Id,
    course: Arc<Course>,
    client: SocketAddr,
    local_port: u16,
    rare: Option<Arc<Rare>>,
}

impl Kept {
    /// The connection. What is said of its state means something only while it has not ended.
    pub(crate) fn conn(&self) -> Option<Conn<'_>> {
        Some(Conn {
            legs: self.legs(),
            course: &self.course,
            slot: self.slab.slot(self.id.at)?,
            slab: &self.slab,
            id: self.id,
            rare: self.rare.clone(),
        })
    }

    pub(crate) fn legs(&self) -> Legs<'_> {
        Legs::of(&self.course, self.client, self.local_port)
    }

    pub(crate) const fn rare(&self) -> Option<&Arc<Rare>> {
        self.rare.as_ref()
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, conn: &Conn<'_>) -> bool {
        self.id == conn.id && Arc::ptr_eq(&self.slab, conn.slab)
    }

    pub(crate) fn is_live(&self) -> bool {
        self.slab.slot(self.id.at).is_some_and(|slot| slot.is_live(self.id.generation))
    }

    /// A front has it open no more.
    pub(crate) fn release(&self) {
        if let Some(slot) = self.slab.slot(self.id.at).filter(|slot| !slot.has_ended(self.id.generation)) {
            slot.set(HELD, false);
        }
    }
}

#[cfg(test)]
pub(crate) fn test_birth(n: u16) -> Birth {
    use std::net::{IpAddr, Ipv4Addr};

    use sched::{DestLive, ForwardMethod, Proto, SvcLive, TcpOptions};

    let addr = |net: u8, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, net, 0, 1)), port);
    let server = addr(2, 8000 + n % 50_000);
    let between = Between {
        proto: Proto::Tcp,
        vip: addr(1, 80),
        dest: Arc::new(DestLive::new(server)),
        server,
        lip: None,
        service: Arc::new(SvcLive::new(&sched::algo::ALL[0], sched::SchedFlags::default())),
        method: ForwardMethod::Masq,
        bypass: false,
        tcp: TcpOptions::default(),
        hop_credit: false,
        front: None,
        tagged: None,
    };
    Birth { between, client: addr(0, 1024 + n), local: None, template: None, data_of: None }
}

/// A connection in a table of its own.
#[cfg(test)]
pub(crate) fn test_conn(birth: Birth) -> Conn<'static> {
    let table = Box::leak(Box::new(ConnTable::new(1, Arc::new(Room::new(1)))));
    let known = Box::leak(Box::new(table.reader().1));
    let conn = table.begin(known, birth, 0).expect("room");
    assert!(matches!(table.insert(known, &conn), Inserted::Yes));
    conn
}
