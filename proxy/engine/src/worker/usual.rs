//! The well-trodden path: what becomes of nearly all packets, whole ones of connections that are established and
//! forwarded and nothing more.
//!
//! It does what [`Step`](super::step::Step) would do, in half the time, and has no opinion of its own: whatever it does
//! not know to be usual it leaves as it is to that. Who has packets of some kind treated in another way there has them
//! ruled out here: connections by their [`Kind`] or their flags, packets by their head. `tests/usual.rs` puts the same
//! packets to both.

use std::time::Instant;

use sched::{Direction, Marks, Proto};
use wire::edit;
use wire::frame::{Arrival, Frame, GsoKind};
use wire::packet::head::Head;
use wire::packet::{Family, Packet, TcpFlags};

use super::{Clock, Worker};
use crate::conn::{Hint, Kind, Millis, Until};
use crate::forward::{self, Inner, Means};
use crate::host::HostView;
use crate::knobs::{Defence, Knobs};
use crate::marks;
use crate::state::State;
use crate::verdict::{Egress, Verdict};

/// What holds for all packets of one moment, until something is edited.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    edits: u64,
    /// There are rules that mark packets, and count them.
    is_marked: bool,
    /// `drop_entry` may be on.
    pub(super) is_sampled: bool,
    pmtu_disc: bool,
    tcp: Until,
    udp: Until,
}

impl Moment {
    /// One that is over.
    pub(super) fn over() -> Self {
        Self { edits: u64::MAX, ..Self::default() }
    }
}

impl Worker {
    /// It is now so late, and what is in force is in force.
    #[inline(always)]
    pub(super) fn tick(&mut self, now: Instant) {
        let edits = self.edits.number();
        if self.clock.now != now || self.moment.edits != edits {
            self.begin_moment(now, edits);
        }
        self.known.pass(self.clock.millis);
    }

    #[inline(never)]
    fn begin_moment(&mut self, now: Instant, edits: u64) {
        let elapsed = now.saturating_duration_since(self.born);
        let millis = elapsed.as_millis() as Millis;
        self.clock = Clock { now, elapsed, millis };
        let knobs: &Knobs = self.knobs.load();
        let until = |state: State, proto| {
            Until::after(millis, state.timeout(proto, knobs).as_millis().try_into().unwrap_or(Millis::MAX))
        };
        self.moment = Moment {
            edits,
            is_marked: !self.table.load().marks().is_empty(),
            is_sampled: knobs.drop_entry != Defence::Off,
            pmtu_disc: knobs.pmtu_disc,
            tcp: until(State::Established, Proto::Tcp),
            udp: until(State::Udp, Proto::Udp),
        };
    }

    /// Decides about a usual packet. `None` for one that is not, and nothing has changed.
    #[inline(always)]
    pub(super) fn usual(&mut self, frame: &mut Frame, now: Instant) -> Option<Verdict> {
        match frame.packet().first()? >> 4 {
            4 => self.usual_of(frame, &Head::<false>::of(frame.packet())?, None, now),
            6 => self.usual_of(frame, &Head::<true>::of(frame.packet())?, None, now),
            _ => None,
        }
    }

    /// The same of a packet with this head, and with what is known of its connection.
    #[inline(always)]
    pub(super) fn usual_of<const V6: bool>(
        &mut self,
        frame: &mut Frame,
        head: &Head<V6>,
        hint: Option<&Hint>,
        now: Instant,
    ) -> Option<Verdict> {
        let mut egress = Egress::Route;
        Some(Verdict::Transmit(match self.send_usual(frame, head, hint, now, &mut egress)? {
            Sent::Routed => Egress::Route,
            Sent::ByMethod => egress,
        }))
    }

    #[inline(always)]
    fn send_usual<const V6: bool>(
        &mut self,
        frame: &mut Frame,
        head: &Head<V6>,
        hint: Option<&Hint>,
        now: Instant,
        egress: &mut Egress,
    ) -> Option<Sent> {
        const COUNT: u8 = TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0 | TcpFlags::ACK.0;
        let goes_on = !head.is_tcp || head.flags.0 & COUNT == TcpFlags::ACK.0;
        if !goes_on || head.ttl <= 1 || frame.tagged.is_some() {
            return None;
        }
        self.outbox.catch_up();
        self.tick(now);
        let now = self.clock.millis;
        let conn = self.conns.find_usual(&mut self.reader, &self.known, head, hint)?;
        let between = conn.between();
        let from_link = frame.arrival == Arrival::Link;
        if from_link && !between.hop_credit {
            return None;
        }
        let super_packet = frame.offload.gso != GsoKind::None;
        let (packets, bytes, largest) = if super_packet {
            let (lengths, offload) = (head.lengths, &frame.offload);
            let segments = lengths.segments(offload);
            (segments.into(), lengths.wire_bytes(segments), lengths.largest(offload, segments))
        } else {
            (1, head.lengths.total as u64, head.lengths.total)
        };
        let rewrites = conn.kind != Kind::AsItIs;
        let mut sent = Sent::Routed;
        if conn.direction == Direction::In {
            if !between.dest.is_available() {
                return None;
            }
            let family = if V6 { Family::V6 } else { Family::V4 };
            let mtu =
                if rewrites { between.dest.path_mtu(now) } else { forward::mtu(&conn.legs(), family, now) };
            if mtu != 0 && largest > mtu as usize {
                return None;
            }
            if !rewrites {
                let &Head { ttl, dont_fragment, lengths, .. } = head;
                let inner = Inner { family, ttl, dont_fragment, lengths };
                let (host, pmtu_disc) = (self.host.load(), self.moment.pmtu_disc);
                let means = Means { host, ids: &self.ids, pmtu_disc, now };
                *egress = forward::send(frame, &inner, &conn.legs(), &means).ok()?;
                sent = Sent::ByMethod;
            }
        }
        if self.moment.is_sampled {
            self.sampler.wake(now);
        }
        if self.moment.is_marked {
            count_by_marks(self.table.load().marks(), self.host.load(), frame);
        }
        // To a neighbour a packet does not pass the host's stack a second time, nor inside another one.
        let passes = sent == Sent::Routed || *egress == Egress::Route && frame.encap.is_none();
        let hop = !from_link && between.hop_credit && passes && head.ttl < u8::MAX;
        if rewrites {
            let other = conn.rewrite_besides();
            head.forward(frame, Some(conn.rewrite()), other.as_ref(), hop);
        } else {
            head.forward(frame, None, None, hop);
        }
        if from_link && !passes {
            edit::take_hop(frame);
        }
        between.service.stats.count(self.writer, conn.direction, packets, bytes);
        between.dest.stats.count(self.writer, conn.direction, packets, bytes);
        let until = if head.is_tcp { &self.moment.tcp } else { &self.moment.udp };
        conn.seen(head, until, &mut self.wheel, now);
        self.counters.transmitted(super_packet);
        Some(sent)
    }
}

/// How a usual packet has been sent on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Routed,
    /// As the forwarding method has said.
    ByMethod,
}

#[inline(never)]
fn count_by_marks(marks: &Marks, host: &HostView, frame: &Frame) {
    if let Ok(packet) = Packet::parse(frame.packet()) {
        marks::count(marks, host, frame, &packet);
    }
}
