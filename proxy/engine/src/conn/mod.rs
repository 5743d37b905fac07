//! Connections: one [`Conn`] per flow, found under the key of either direction.

mod greeting;
mod key;
mod room;
mod shift;
mod spoken;
mod table;
mod wheel;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};

use std::time::Duration;

use sched::{DestLive, Direction, FTP, ForwardMethod, Proto, SvcLive, TcpOptions};

pub(crate) use greeting::{Due, Greeting};
pub(crate) use key::FlowKey;
pub(crate) use room::Room;
pub(crate) use shift::{Shifts, before};
pub(crate) use spoken::Spoken;
pub(crate) use table::{ConnTable, Inserted};
pub(crate) use wheel::{Timed, Timer, Wheel};

use crate::front::FrontWay;
use crate::ftp::Control;
use crate::knobs::Knobs;
use crate::persist::Template;
use crate::ports::Lease;
use crate::proxy_protocol;
use crate::state::{self, Event, Leg, State, tcp};

/// Milliseconds since the engine was made.
pub(crate) type Millis = u64;

/// What a connection is between: set once, at birth.
#[derive(Debug)]
pub(crate) struct Legs {
    pub(crate) proto: Proto,
    pub(crate) client: SocketAddr,
    pub(crate) vip: SocketAddr,
    pub(crate) dest: Arc<DestLive>,
    /// Where its packets go: the server's address, on its own port or on the one that the client asked for.
    pub(crate) server: SocketAddr,
    /// Who the server believes to speak with, where that is not the client: an address and port of ours (FullNAT).
    pub(crate) local: Option<Lease>,
    pub(crate) service: Arc<SvcLive>,
    pub(crate) method: ForwardMethod,
    /// There is no server: the packets go on to whom they are for.
    pub(crate) bypass: bool,
    /// What is done to its segments, if it is of TCP and comes by us both ways.
    pub(crate) tcp: TcpOptions,
    /// The kernel takes one hop on each side of us; give one back, so that a director counts as one.
    pub(crate) hop_credit: bool,
    /// What it is a member of, and leaves when it ends.
    pub(crate) template: Option<Arc<Template>>,
    /// The control connection of FTP whose data it has.
    pub(crate) data_of: Option<Arc<Conn>>,
    /// It ends here.
    pub(crate) front: Option<FrontWay>,
}

impl Legs {
    /// Who the server speaks with.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.local.as_ref().map_or(self.client, Lease::addr)
    }

    /// Whether it is a control connection of FTP. (IPVS: for every service, by the port of the VIP.)
    fn is_control(&self) -> bool {
        self.proto == Proto::Tcp
            && self.vip.port() == FTP
            && self.method.sees_replies()
            && self.data_of.is_none()
            && self.front.is_none()
    }

    /// What the server is told before the client's first byte.
    fn greeting(&self) -> Option<Vec<u8>> {
        self.tcp.proxy_protocol.map(|version| proxy_protocol::header(version, self.client, self.vip))
    }
}

/// A flow: its legs, and what its packets change.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) legs: Legs,
    /// A [`State`], with [`PENDING`] or [`GONE`].
    state: AtomicU8,
    /// Packets from the client; it stops counting at 255.
    requests: AtomicU8,
    /// What the two ends have said.
    pub(crate) client: Spoken,
    pub(crate) server: Spoken,
    /// When the client's SYN came that has not been answered yet: microseconds, wrapping, never 0. 0 when there is none.
    asked: AtomicU32,
    /// For a control connection of FTP.
    pub(crate) control: Option<Box<Control>>,
    /// For one whose streams are not received as they were sent.
    pub(crate) shifts: Option<Box<Shifts>>,
    /// For one whose server is told who the client is.
    pub(crate) greeting: Option<Box<Greeting>>,
    /// A front has it open.
    held: AtomicBool,
    pub(crate) timer: Timer,
}

/// Milliseconds that a new entry lives before anything has been forwarded, as in the kernel.
const NEW_MS: Millis = 3000;

/// Microseconds that count for a handshake which the server refused: a client's first wait before it tries again
/// (RFC 6298 section 2). A server that is quick to say no is not a quick server.
const REFUSED_US: u32 = 1_000_000;

/// Set in a connection's state until it is under both of its keys: it holds them, but nobody finds it.
const PENDING: u8 = 0x40;

/// Set in a connection's state once it has been removed from the table: what a wheel still holds of it is only
/// waiting to be dropped, and its server counts it no more.
const GONE: u8 = 0x80;

impl Conn {
    /// A connection that nobody finds until it is published, and that has the short time of one whose first packet has not been forwarded yet.
    pub(crate) fn new(legs: Legs, now: Millis) -> Self {
        legs.dest.inactive.fetch_add(1, Relaxed);
        let greeting = legs.greeting().map(|header| Box::new(Greeting::new(header)));
        legs.dest.update_overload();
        let control = legs.is_control().then(Box::default);
        if let Some(control) = legs.data_of.as_ref().and_then(|conn| conn.control.as_deref()) {
            control.join();
        }
        Self {
            state: AtomicU8::new(PENDING | begins_as(legs.proto) as u8),
            legs,
            requests: AtomicU8::new(0),
            client: Spoken::default(),
            server: Spoken::default(),
            asked: AtomicU32::new(0),
            shifts: (greeting.is_some() || control.is_some()).then(Box::default),
            control,
            greeting,
            held: AtomicBool::new(false),
            timer: Timer::new(now + NEW_MS),
        }
    }

    /// What resets to the one whom packets in `direction` reach, in the other end's name, say: see
    /// [`Spoken::resets`].
    pub(crate) fn resets(&self, direction: Direction) -> Option<([Option<u32>; 2], u32)> {
        let shifted = |said| self.shifts.as_ref().map_or(said, |shifts| shifts.shifted(direction, said));
        match direction {
            Direction::In => self.server.resets(&self.client, shifted),
            Direction::Out => self.client.resets(&self.server, shifted),
        }
    }

    /// Key of the packets from the client.
    pub(crate) fn in_key(&self) -> FlowKey {
        FlowKey::new(self.legs.proto, self.legs.client, self.legs.vip)
    }

    /// Key of the packets from the server.
    pub(crate) fn out_key(&self) -> FlowKey {
        let legs = &self.legs;
        // What does not come by us would look like this if it did.
        let comes_back = legs.method.sees_replies() && legs.front.is_none_or(FrontWay::hears_servers);
        let server = if comes_back { legs.server } else { legs.vip };
        FlowKey::new(legs.proto, server, legs.peer())
    }

    /// Its packets are forwarded, and that is all.
    pub(crate) fn is_plain(&self) -> bool {
        self.shifts.is_none() && self.legs.tcp.is_none()
    }

    /// Data connections of FTP hang on it.
    pub(crate) fn has_data(&self) -> bool {
        self.control.as_ref().is_some_and(|control| control.has_data())
    }

    pub(crate) fn state(&self) -> State {
        State::from_u8(self.state.load(Relaxed) & !(PENDING | GONE))
    }

    /// A front has it open: it does not end by itself.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Relaxed)
    }

    pub(crate) fn hold(&self) {
        self.held.store(true, Relaxed);
    }

    pub(crate) fn release(&self) {
        self.held.store(false, Relaxed);
    }

    /// Packets from the client, 255 for more.
    pub(crate) fn requests(&self) -> u8 {
        self.requests.load(Relaxed)
    }

    /// In the table for all to see.
    pub(crate) fn is_live(&self) -> bool {
        self.state.load(Relaxed) & (PENDING | GONE) == 0
    }

    pub(crate) fn publish(&self) {
        self.state.fetch_and(!PENDING, Relaxed);
    }

    /// A packet has been seen: moves the state and starts the timer again, with the timeouts as they are set now.
    pub(crate) fn seen(
        &self,
        direction: Direction,
        event: Option<Event>,
        now: Millis,
        knobs: &Knobs,
        guarded: bool,
    ) {
        if direction == Direction::In {
            self.requests.store(self.requests().saturating_add(1), Relaxed);
        }
        let leg = Leg::of(direction, self.legs.method.sees_replies());
        let mut state = self.state();
        if let Some(event) = event {
            // Two workers may see both directions at once: each step of the table happens, one after the other.
            loop {
                let next = state::next(leg, event, state, guarded);
                if next == state {
                    break;
                }
                match self.state.compare_exchange(state as u8, next as u8, Relaxed, Relaxed) {
                    Ok(_) => {
                        self.count_change(state, next);
                        state = next;
                        break;
                    }
                    Err(other) if other & GONE != 0 => return,
                    Err(other) => state = State::from_u8(other),
                }
            }
        }
        self.timer.set(now + state.timeout(self.legs.proto, knobs).as_millis() as Millis);
    }

    /// Tells the server's average how long it takes from a client's SYN to the answer. `elapsed` is the time since the
    /// engine was made.
    pub(crate) fn time_handshake(&self, direction: Direction, event: tcp::Event, elapsed: Duration) {
        // Wrapping, and never 0.
        let micros = || elapsed.as_micros() as u32 | 1;
        // Whoever has been told to connect is not the one whom the scheduler asks about.
        if self.legs.data_of.is_some() {
            return;
        }
        match (direction, event) {
            // A SYN that is sent again does not start the clock again.
            (Direction::In, tcp::Event::Syn) => {
                let _ = self.asked.compare_exchange(0, micros(), Relaxed, Relaxed);
            }
            (Direction::Out, tcp::Event::Syn | tcp::Event::Rst) => {
                let asked = self.asked.swap(0, Relaxed);
                let took = if event == tcp::Event::Rst { REFUSED_US } else { micros().wrapping_sub(asked) };
                if asked != 0 {
                    self.legs.dest.count_handshake(took);
                }
            }
            _ => {}
        }
    }

    fn count_change(&self, from: State, to: State) {
        if let Some(local) = &self.legs.local
            && from.is_over() != to.is_over()
        {
            local.rest(to.is_over());
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
        let state = self.state.fetch_or(GONE, Relaxed);
        if state & GONE != 0 {
            return false;
        }
        let dest = &self.legs.dest;
        let counter =
            if State::from_u8(state & !PENDING).is_active() { &dest.active } else { &dest.inactive };
        counter.fetch_sub(1, Relaxed);
        dest.update_overload();
        if let Some(template) = &self.legs.template {
            template.leave();
        }
        if let Some(control) = self.legs.data_of.as_ref().and_then(|conn| conn.control.as_deref()) {
            control.leave();
        }
        if let Some(local) = &self.legs.local {
            local.give_back();
        }
        true
    }
}

impl Timed for Conn {
    fn timer(&self) -> &Timer {
        &self.timer
    }

    fn is_gone(&self) -> bool {
        self.state.load(Relaxed) & GONE != 0
    }
}

const fn begins_as(proto: Proto) -> State {
    match proto {
        Proto::Tcp | Proto::Sctp => State::None,
        Proto::Udp => State::Udp,
    }
}

#[cfg(test)]
pub(crate) fn test_legs(n: u16) -> Legs {
    use std::net::{IpAddr, Ipv4Addr};
    let addr = |net: u8, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, net, 0, 1)), port);
    Legs {
        proto: Proto::Tcp,
        client: addr(0, 1024 + n),
        vip: addr(1, 80),
        dest: Arc::new(DestLive::new(addr(2, 8000 + n))),
        server: addr(2, 8000 + n),
        local: None,
        service: Arc::new(SvcLive::new(&sched::algo::ALL[0], sched::SchedFlags::default())),
        method: ForwardMethod::Masq,
        bypass: false,
        tcp: TcpOptions::default(),
        hop_credit: false,
        template: None,
        data_of: None,
        front: None,
    }
}

#[cfg(test)]
pub(crate) fn test_conn(n: u16) -> Conn {
    Conn::new(test_legs(n), 0)
}
