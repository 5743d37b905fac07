//! The well-trodden path: what becomes of nearly all packets, whole ones of connections that are established and
//! forwarded and nothing more.
//!
//! It does what [`Step`](super::step::Step) would do, in a third of the time, and has no opinion of its own: whatever it
//! does not know to be usual it leaves as it is to that. The tests put the same packets to both.

use std::time::Instant;

use sched::{Direction, ForwardMethod, Proto};
use wire::edit;
use wire::frame::{Arrival, Frame};
use wire::gso;
use wire::packet::{Fragment, L4, Packet, TcpFlags};

use super::{Clock, Worker};
use crate::conn::{FlowKey, Millis, Until};
use crate::forward::{self, Means};
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

    /// Decides about a usual packet; `None` for one that is not, and nothing has changed.
    #[inline(always)]
    pub(super) fn usual(&mut self, frame: &mut Frame, packet: &Packet) -> Option<Verdict> {
        const COUNT: TcpFlags =
            TcpFlags(TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0 | TcpFlags::ACK.0);
        let (proto, said, until) = match packet.l4 {
            L4::Tcp { seq, ack, flags, .. } if flags.0 & COUNT.0 == TcpFlags::ACK.0 => {
                (Proto::Tcp, Some((seq, ack)), &self.moment.tcp)
            }
            L4::Udp { .. } => (Proto::Udp, None, &self.moment.udp),
            _ => return None,
        };
        let is_usual = packet.fragment == Fragment::None && packet.ttl > 1 && frame.tagged.is_none();
        if !is_usual {
            return None;
        }
        let now = self.clock.millis;
        let key = FlowKey::of(packet)?;
        let conn = self.conns.find_usual(&mut self.reader, &self.known, &key, proto)?;
        let (legs, direction) = (&conn.legs, conn.direction);
        let from_link = frame.arrival == Arrival::Link;
        if from_link && !legs.hop_credit {
            return None;
        }
        let (segments, bytes) = (gso::segments(frame, packet), gso::wire_bytes(frame, packet));
        // To a neighbour a packet does not pass the host's stack a second time, nor inside another one.
        let (mut egress, mut passes) = (Egress::Route, true);
        if direction == Direction::In {
            if !legs.dest.is_available() {
                return None;
            }
            let mtu = forward::mtu(legs, packet.family, now);
            if mtu != 0 && gso::largest(frame, packet) > mtu as usize {
                return None;
            }
            if !matches!(legs.method, ForwardMethod::Masq | ForwardMethod::FullNat) {
                let host = self.host.load();
                if legs.is_here(host) {
                    return None;
                }
                let means = Means { host, ids: &self.ids, pmtu_disc: self.moment.pmtu_disc, now };
                egress = forward::request(frame, packet, legs, &means).ok()?;
                passes = egress == Egress::Route && frame.encap.is_none();
            }
        }
        let hop = legs.hop_credit && passes && !from_link && packet.ttl < u8::MAX;
        if self.moment.is_marked {
            marks::count(self.table.load().marks(), self.host.load(), frame, packet);
        }
        let (one, other) = conn.rewrites();
        edit::forward(frame, packet, one, other.as_ref(), hop);
        if from_link && !passes {
            edit::take_hop(frame);
        }
        legs.service.stats.count(self.writer, direction, segments.into(), bytes);
        legs.dest.stats.count(self.writer, direction, segments.into(), bytes);
        conn.seen(said, packet.payload_len(), until, &mut self.wheel, now);
        Some(Verdict::Transmit(egress))
    }
}
