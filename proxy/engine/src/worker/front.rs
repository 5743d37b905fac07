//! What fronts ask of the engine: a server for a client, and what is kept about both.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use sched::{DestKey, Direction, Proto, Service, ServiceKey, TlsStack};
use wire::frame::Frame;
use wire::packet::{Fragment, Packet};

use super::Worker;
use super::begin::{Choice, Refusal, Request};
use super::opening::starts;
use super::step::Step;
use crate::conn::{Conn, FlowKey, Millis};
use crate::defence;
use crate::front::{Diverted, FrontConn, FrontEnd, FrontRefusal, FrontSide, FrontWay, Speaker};
use crate::millis_since;
use crate::state::{Event, tcp};
use crate::verdict::{DropReason, Verdict};
use crate::watch::{Note, Off, Watch};

/// Bytes of payload that count as a packet, where the host's TCP has made the packets.
const SEGMENT: u64 = 1448;

impl Worker {
    /// Chooses a server for a client whom a front of `service` has taken, as the service would for any other connection,
    /// but none of `avoid`; and keeps the connection in the table.
    ///
    /// # Errors
    /// [`FrontRefusal`]: there is none.
    pub fn open_front(
        &mut self,
        service: &ServiceKey,
        way: FrontWay,
        (client, vip): (SocketAddr, SocketAddr),
        avoid: &[DestKey],
        now: Instant,
    ) -> Result<FrontConn, FrontRefusal> {
        let mut step = self.step(now, Off);
        let service = step.table.get(service).ok_or(FrontRefusal::NoService)?;
        let opened = step.open_front(service, way, (client, vip), avoid);
        opened.map(|conn| FrontConn(conn.keep())).map_err(|refusal| match refusal {
            Refusal::Nobody => FrontRefusal::Nobody,
            Refusal::Dropped(reason) => FrontRefusal::Dropped(reason),
        })
    }

    /// The server has taken a connection of the host's TCP.
    pub fn front_connected(&mut self, front: &FrontConn, took: Duration, now: Instant) {
        let mut step = self.step(now, Off);
        let events = [(Direction::Out, tcp::Event::Syn), (Direction::In, tcp::Event::Ack)];
        let Some(conn) = front.0.conn() else { return };
        events.into_iter().for_each(|(direction, event)| step.happens(&conn, direction, event));
        conn.legs.dest.count_handshake(took.as_micros().try_into().unwrap_or(u32::MAX));
        // A connection that has served others before says nothing about how it is to begin one.
        if !took.is_zero() {
            conn.legs.dest.count_answered();
        }
    }

    /// Bytes have gone through a connection of the host's TCP.
    pub fn front_moved(&mut self, front: &FrontConn, direction: Direction, bytes: u64, now: Instant) {
        let Some(conn) = front.0.conn() else { return };
        let legs = &conn.legs;
        let packets = bytes.div_ceil(SEGMENT);
        legs.service.stats.count(self.writer, direction, packets, bytes);
        legs.dest.stats.count(self.writer, direction, packets, bytes);
        self.step(now, Off).happens(&conn, direction, tcp::Event::Ack);
    }

    /// A connection of the host's TCP has ended.
    pub fn front_ended(&mut self, front: &FrontConn, how: FrontEnd, now: Instant) {
        let (first, second) = match how {
            FrontEnd::Closed => (Direction::In, Some(Direction::Out)),
            FrontEnd::Reset | FrontEnd::Refused => (Direction::Out, None),
        };
        let event = if second.is_some() { tcp::Event::Fin } else { tcp::Event::Rst };
        let mut step = self.step(now, Off);
        let Some(conn) = front.0.conn() else { return };
        if how == FrontEnd::Refused && conn.state().is_opening() {
            conn.legs.dest.count_refused();
        }
        step.happens(&conn, first, event);
        if let Some(second) = second {
            step.happens(&conn, second, event);
        }
    }
}

impl Worker {
    /// A connection to a server is kept, but is this client's no more. By our own TCP what the server says still comes by
    /// it: it is given back, to be held for as long as the server's connection.
    pub fn park_front(&mut self, front: FrontConn, now: Instant) -> Option<FrontConn> {
        self.front_ended(&front, FrontEnd::Closed, now);
        front.way().hears_servers().then(|| {
            if let Some(conn) = front.0.conn() {
                self.conns.leave_client(&conn);
            }
            front
        })
    }

    /// [`Worker::poll_timeout`] for a worker that has no queue, and serves fronts alone.
    pub fn poll_front_timeout(&self) -> Option<Instant> {
        let dues = [self.wheel.next_due(), self.templates_wheel.next_due(), self.known.next_due()];
        let due = dues.into_iter().flatten().min();
        due.map(|at| self.born + Duration::from_millis(at))
    }

    /// [`Worker::handle_timeout`] for a worker that has no queue: it sends nothing.
    pub fn handle_front_timeout(&mut self, now: Instant) {
        let now = millis_since(self.born, now);
        let knobs = **self.knobs.load();
        self.wheel.advance(self.conns.slab(), now, |at| {
            let Some(conn) = self.conns.at(&self.known, *at) else { return ControlFlow::Continue(()) };
            if conn.is_held() {
                conn.wait(now, HELD_MS);
            } else if self.conns.remove(&conn) {
                self.counters.expired();
            }
            ControlFlow::Continue(())
        });
        self.expire_templates(now, knobs.template_decay);
        self.known.forget(now, self.wheel.is_empty());
    }
}

impl<'a, W: Watch> Step<'a, W> {
    fn open_front(
        &mut self,
        service: &Service,
        way: FrontWay,
        (client, vip): (SocketAddr, SocketAddr),
        avoid: &[DestKey],
    ) -> Result<Conn<'a>, Refusal> {
        // What this client had here before is over: it has begun again.
        if let Some((before, _)) = self.find(&FlowKey::new(Proto::Tcp, client, vip)) {
            if before.is_held() {
                return Err(Refusal::Dropped(DropReason::ReplyTupleTaken));
            }
            self.end(&before);
        }
        let way = match way {
            FrontWay::Userspace { speaker: Speaker::Host, owner }
                if !self.table.lips_of(service).is_empty() =>
            {
                FrontWay::Userspace { speaker: Speaker::Local, owner }
            }
            way => way,
        };
        let request = Request { service, proto: Proto::Tcp, client, vip, front: Some(way) };
        let mut choice = self.choose(&[], &request)?;
        if avoid.contains(&choice.dest.key) {
            choice.template.inspect(|template| template.leave());
            let other = service.dests.iter().find(|d| d.eligible() && !avoid.contains(&d.live.key));
            choice = Choice::of(other.ok_or(Refusal::Nobody)?);
        }
        let conn = self.connect(&request, choice)?;
        conn.hold();
        self.happens(&conn, Direction::In, tcp::Event::Syn);
        Ok(conn)
    }

    /// What would have been seen of a connection if its packets came by here.
    fn happens(&mut self, conn: &Conn<'_>, direction: Direction, event: tcp::Event) {
        let guarded = defence::is_on(self.knobs.secure_tcp, self.knobs, self.room);
        conn.seen(direction, Some(Event::Tcp(event)), self.now, self.knobs, guarded);
        conn.arm(self.wheel, self.now);
    }

    /// A packet of a front's connection.
    #[inline(never)]
    pub(super) fn of_front(
        &mut self,
        frame: &Frame,
        packet: &Packet,
        conn: &Conn<'_>,
        (way, direction): (FrontWay, Direction),
    ) -> Verdict {
        self.watch.note(|| Note::Front);
        if way == FrontWay::Kernel {
            return Verdict::Pass;
        }
        if packet.fragment != Fragment::None {
            return Verdict::Drop(DropReason::Fragment);
        }
        self.seen(frame, packet, conn, direction);
        Verdict::Divert(diverted(way, direction))
    }

    /// A packet to a front from a client who has no server yet.
    pub(super) fn towards_front(&mut self, frame: &mut Frame, packet: &Packet, stack: TlsStack) -> Verdict {
        self.watch.note(|| Note::Front);
        if stack == TlsStack::Kernel {
            return Verdict::Pass;
        }
        if packet.fragment != Fragment::None {
            return Verdict::Drop(DropReason::Fragment);
        }
        if starts(packet) {
            if let Some(fault) = self.fault(frame, packet) {
                return Verdict::Drop(fault);
            }
            if self.turnstile.refuses(self.knobs, self.room) {
                return Verdict::Drop(DropReason::Defence);
            }
        }
        Verdict::Divert(Diverted { side: FrontSide::Client, owner: None })
    }
}

/// To whom a front's packet goes that has come in that direction.
pub(super) const fn diverted(way: FrontWay, direction: Direction) -> Diverted {
    let side = match direction {
        Direction::In => FrontSide::Client,
        Direction::Out => FrontSide::Server,
    };
    let owner = match way {
        FrontWay::Userspace { owner, .. } => Some(owner),
        FrontWay::Kernel => None,
    };
    Diverted { side, owner }
}

/// A held connection is looked at again so much later.
pub(super) const HELD_MS: Millis = 60_000;
