//! The way of a fragment: the first one of a datagram is decided about like a whole packet, and the others follow it.

use sched::{Direction, Proto};
use wire::edit;
use wire::frame::{Arrival, Frame};
use wire::packet::piece::{self, Piece};
use wire::packet::{Fragment, Packet};
use wire::reply;

use super::step::Step;
use crate::conn::{Conn, Legs};
use crate::fragments::{Course, Key, Told, Way};
use crate::verdict::{DropReason, Egress, Verdict};
use crate::watch::{Note, Watch};

impl<W: Watch> Step<'_, W> {
    #[cold]
    pub(super) fn fragment(&mut self, frame: &mut Frame, packet: &Packet) -> Verdict {
        let Some(piece) = packet.piece(frame.packet()) else {
            return Verdict::Drop(DropReason::BadFragment);
        };
        let key = Key::new(packet, piece.id);
        self.watch.fetch(|twin| twin.fragments(&key));
        if packet.fragment == Fragment::First {
            return self.first_fragment(frame, packet, key, &piece);
        }
        match self.fragments.other(key, &piece, frame.packet(), self.now, self.counters) {
            Told::Follow(course) => {
                self.watch.note(|| Note::Follows);
                self.take_course(frame, packet, &course)
            }
            Told::Waits => Verdict::Wait,
            Told::Drop(reason) => Verdict::Drop(reason),
        }
    }

    /// Decides, and has those follow that have waited for it: behind it, for whoever looks at ports after us.
    fn first_fragment(&mut self, frame: &mut Frame, packet: &Packet, key: Key, piece: &Piece) -> Verdict {
        if let Err(reason) = self.fragments.first(key, piece, self.now, self.counters) {
            return Verdict::Drop(reason);
        }
        self.way = None;
        let arrival = frame.arrival;
        let verdict = self.whole(frame, packet);
        let way = match verdict {
            Verdict::Drop(reason) => Way::Drop(reason),
            Verdict::Pass => Way::Pass,
            _ => self.way.take().unwrap_or(Way::Drop(DropReason::Unanswerable)),
        };
        let to = Packet::parse(frame.packet()).map_or(packet.dst, |packet| packet.dst);
        let id = way.changes_addresses().then(|| self.ids.take(to, 1));
        if let Some(id) = id {
            piece::set_identification(frame, packet, id);
        }
        let course = Course { way, id };
        let waiting = self.fragments.settle(key, course.clone(), self.now, self.counters);
        if !waiting.is_empty() {
            self.let_follow(&waiting, &course, arrival);
        }
        verdict
    }

    /// They have come as the first one has.
    fn let_follow(&mut self, waiting: &[Box<[u8]>], course: &Course, arrival: Arrival) {
        let mut frame = Frame::new();
        for bytes in waiting {
            frame.set_packet(bytes);
            frame.arrival = arrival;
            let Ok(packet) = Packet::parse(bytes) else { continue };
            let verdict = self.take_course(&mut frame, &packet, course);
            self.counters.settled(verdict);
            match verdict {
                Verdict::Transmit(egress) => self.outbox.push_behind(&frame, egress),
                Verdict::Reply => {
                    self.outbox.push_behind(&frame, self.tagged.map_or(Egress::Route, Egress::Back));
                }
                // From a link they have come to the host's stack as well: no rule there drops fragments.
                Verdict::Pass if arrival == Arrival::Link => {}
                Verdict::Pass => self.outbox.push_behind(&frame, Egress::Route),
                // Fronts take whole packets only.
                Verdict::Drop(_) | Verdict::Wait | Verdict::Divert(_) => {}
            }
        }
    }

    /// A fragment that has no ports goes where the first one went.
    fn take_course(&mut self, frame: &mut Frame, packet: &Packet, course: &Course) -> Verdict {
        let verdict = match &course.way {
            Way::Conn(conn, direction) => match (conn.conn(), direction) {
                (Some(conn), Direction::In) if conn.is_gone() && conn.legs.dest.is_down() => {
                    Verdict::Drop(DropReason::DestDown)
                }
                (Some(conn), Direction::In) => self.towards_server(frame, packet, &conn),
                (Some(conn), Direction::Out) => self.towards_client(frame, packet, &conn),
                (None, _) => Verdict::Drop(DropReason::FragmentUnclaimed),
            },
            Way::Single(between, client) => self.single(frame, packet, &Legs::new(between, *client)),
            Way::SingleReply { service, dest, vip } => {
                self.count(frame, packet, service, dest, Direction::Out);
                edit::set_source(frame, packet, *vip, 0);
                self.credit(frame, packet, self.both_hops(packet.src, packet.dst));
                Verdict::Transmit(Egress::Route)
            }
            Way::Echo => {
                reply::echo_rest(frame, packet);
                Verdict::Reply
            }
            Way::Pass => self.pass(frame, packet),
            Way::Drop(reason) => Verdict::Drop(*reason),
        };
        // A refusal is a packet of its own.
        if let (Some(id), Verdict::Transmit(_) | Verdict::Reply) = (course.id, verdict) {
            piece::set_identification(frame, packet, id);
        }
        verdict
    }

    /// What cannot be forwarded piece by piece: segments that are edited, or whose numbers are, and a checksum of SCTP
    /// that changes with the ports, for which all of the packet would have to be seen.
    #[inline]
    pub(super) fn whole_only(&self, packet: &Packet, conn: &Conn<'_>) -> bool {
        packet.fragment != Fragment::None && (!conn.is_plain() || sums_all(&conn.legs))
    }
}

fn sums_all(legs: &Legs<'_>) -> bool {
    let ports_change = legs.vip.port() != legs.server.port() || legs.peer().port() != legs.client.port();
    legs.proto == Proto::Sctp && legs.method.changes_port() && ports_change
}
