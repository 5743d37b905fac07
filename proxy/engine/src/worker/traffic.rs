//! The packets of connections, on their way to the server and back.

use sched::{DestLive, Direction, ForwardMethod, Proto, SvcLive};
use wire::frame::{Arrival, Frame};
use wire::packet::{Family, Fragment, L4, Packet};
use wire::{edit, gso, reply};

use super::step::Step;
use crate::conn::{Conn, Legs};
use crate::defence;
use crate::forward;
use crate::fragments::Way;
use crate::persist::Template;
use crate::state::{Event, State, sctp, tcp};
use crate::verdict::{DropReason, Egress, Verdict};
use crate::watch::{Note, Watch};

impl<W: Watch> Step<'_, W> {
    #[inline]
    pub(super) fn towards_server(&mut self, frame: &mut Frame, packet: &Packet, conn: &Conn<'_>) -> Verdict {
        if !conn.legs.dest.is_available() {
            return Verdict::Drop(DropReason::DestRemoved);
        }
        if self.whole_only(packet, conn) {
            return Verdict::Drop(DropReason::Fragment);
        }
        if let Some(refused) = self.too_big(frame, packet, &conn.legs) {
            return refused;
        }
        self.seen(frame, packet, conn, Direction::In);
        if conn.is_plain() {
            self.request(frame, packet, &conn.legs)
        } else {
            self.tcp_request(frame, packet, conn)
        }
    }

    /// The answer to a packet that does not fit the path to its server.
    #[inline]
    pub(super) fn too_big(&self, frame: &mut Frame, packet: &Packet, legs: &Legs<'_>) -> Option<Verdict> {
        // The kernel would refuse it on its second pass and quote the server, which the client has never heard of.
        let mtu = forward::mtu(legs, packet.family, self.now);
        // Only what is in a tunnel can be cut though it says that it must not be.
        let cuts = !self.knobs.pmtu_disc
            && packet.family == Family::V4
            && matches!(legs.method, ForwardMethod::Tunnel(_));
        let too_big = !cuts && mtu != 0 && packet.dont_fragment && gso::largest(frame, packet) > mtu as usize;
        if too_big {
            self.watch.note(|| Note::TooBig { mtu });
        }
        too_big.then(|| self.refuse(frame, |frame| reply::icmp_too_big(frame, packet, legs.vip.ip(), mtu)))
    }

    /// Sends a packet on to its server.
    #[inline]
    pub(super) fn request(&self, frame: &mut Frame, packet: &Packet, legs: &Legs<'_>) -> Verdict {
        match forward::request(frame, packet, legs, &self.means()) {
            Ok(egress) => {
                // To a neighbour the packet does not pass the host's stack a second time, nor inside another one.
                let passes = egress == Egress::Route && frame.encap.is_none();
                self.credit(frame, packet, legs.hop_credit && passes);
                if frame.arrival == Arrival::Link && !passes {
                    edit::take_hop(frame);
                }
                Verdict::Transmit(egress)
            }
            Err(reason) => Verdict::Drop(reason),
        }
    }

    #[inline]
    pub(super) fn towards_client(&mut self, frame: &mut Frame, packet: &Packet, conn: &Conn<'_>) -> Verdict {
        if self.whole_only(packet, conn) {
            return Verdict::Drop(DropReason::Fragment);
        }
        let legs = &conn.legs;
        self.seen(frame, packet, conn, Direction::Out);
        if conn.is_plain() {
            forward::reply(legs.method, frame, packet, legs);
        } else {
            self.tcp_reply(frame, packet, conn);
        }
        self.leave(frame, packet, legs, legs.hop_credit)
    }

    /// Sends a packet on to its client.
    #[inline]
    pub(super) fn leave(&self, frame: &mut Frame, packet: &Packet, legs: &Legs<'_>, credit: bool) -> Verdict {
        match legs.back() {
            // Whoever sends it by a route takes the hop.
            Egress::Route => self.credit(frame, packet, credit),
            _ if frame.arrival == Arrival::Link => _ = edit::take_hop(frame),
            _ => {}
        }
        Verdict::Transmit(legs.back())
    }

    #[inline]
    pub(super) fn seen(&mut self, frame: &Frame, packet: &Packet, conn: &Conn<'_>, direction: Direction) {
        if packet.fragment == Fragment::First {
            self.way = Some(Way::Conn(conn.keep(), direction));
        }
        self.count(frame, packet, &conn.legs.service, &conn.legs.dest, direction);
        // It goes where it would have gone, and moves nothing any more.
        if conn.is_gone() {
            return;
        }
        let guarded = defence::is_on(self.knobs.secure_tcp, self.knobs, self.room);
        let event = match packet.l4 {
            L4::Tcp { flags, seq, ack, .. } => {
                let end = if direction == Direction::In { conn.client() } else { conn.server() };
                end.says(flags, seq, ack, packet.payload_len());
                tcp::Event::of(flags.syn(), flags.fin(), flags.ack(), flags.rst()).map(Event::Tcp)
            }
            L4::Sctp { chunk, .. } => Some(Event::Sctp(sctp::Event::of(chunk))),
            _ => None,
        };
        let before = W::ON.then(|| conn.state());
        conn.seen(direction, event, self.now, self.knobs, guarded);
        if let Some(before) = before {
            let [from, to] = [before, conn.state()].map(|state| state.name().into());
            self.watch.note(|| Note::State { from, to });
        }
        if let Some(Event::Tcp(event)) = event {
            conn.time_handshake(direction, event, self.elapsed);
        }
        let answered = || conn.legs.proto == Proto::Udp && direction == Direction::Out;
        if conn.has_template() && (answered() || conn.state() == State::Established) {
            conn.tell_template(Template::assure);
        }
        conn.arm(self.wheel, self.now);
    }

    /// Counts a frame as what it becomes on the wire.
    #[inline]
    pub(super) fn count(
        &self,
        frame: &Frame,
        packet: &Packet,
        service: &SvcLive,
        dest: &DestLive,
        direction: Direction,
    ) {
        let (packets, bytes) = (u64::from(gso::segments(frame, packet)), gso::wire_bytes(frame, packet));
        service.stats.count(self.writer, direction, packets, bytes);
        dest.stats.count(self.writer, direction, packets, bytes);
    }
}
