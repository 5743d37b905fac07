//! The decision about one frame: whose it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sched::{Direction, Proto, ServiceTable, Writer};
use wire::edit;
use wire::frame::{Arrival, Frame, Tagged};
use wire::packet::{Fragment, L4, Packet};

use super::greetings::Greetings;
use super::limit::Limit;
use super::outbox::Outbox;
use crate::aims::Aims;
use crate::conn::{Conn, ConnTable, FlowKey, Known, Millis, Reader, Room, Wheel};
use crate::counters::WorkerCounters;
use crate::defence::Turnstile;
use crate::forward::Means;
use crate::fragments::{Fragments, Way};
use crate::host::HostView;
use crate::ids::Ids;
use crate::knobs::Knobs;
use crate::marks;
use crate::persist::{Template, Templates};
use crate::ports::Ports;
use crate::random::Random;
use crate::verdict::{DropReason, Verdict};
use crate::watch::{Flow, Note, Watch};

/// What one frame's decision may use.
pub(super) struct Step<'a, W> {
    pub(super) table: &'a ServiceTable,
    pub(super) host: &'a HostView,
    pub(super) knobs: &'a Knobs,
    pub(super) room: &'a Room,
    pub(super) ports: &'a Ports,
    pub(super) ids: &'a Ids,
    pub(super) turnstile: &'a Turnstile,
    pub(super) aims: &'a Aims,
    pub(super) limit: &'a Limit,
    pub(super) random: &'a mut Random,
    pub(super) conns: &'a ConnTable,
    pub(super) reader: &'a mut Reader,
    pub(super) known: &'a Known,
    pub(super) templates: &'a Templates,
    pub(super) counters: &'a WorkerCounters,
    pub(super) writer: Writer,
    pub(super) wheel: &'a mut Wheel<u32>,
    pub(super) templates_wheel: &'a mut Wheel<Arc<Template>>,
    pub(super) outbox: &'a mut Outbox,
    pub(super) greetings: &'a mut Greetings,
    pub(super) fragments: &'a Fragments,
    /// Where the other fragments of the packet go, if it is the first one of several.
    pub(super) way: Option<Way>,
    /// How the packet has come, if by a VLAN.
    pub(super) tagged: Option<Tagged>,
    pub(super) now: Millis,
    /// The same time, exactly.
    pub(super) elapsed: Duration,
    /// Who looks on.
    pub(super) watch: W,
}

impl<'a, W: Watch> Step<'a, W> {
    #[inline(always)]
    pub(super) fn decide(&mut self, frame: &mut Frame, packet: &Packet) -> Verdict {
        // From a link: nobody has taken the hop yet that it costs to go on.
        let used_up = u8::from(frame.arrival == Arrival::Link);
        if packet.ttl <= used_up && !self.host.is_local(packet.dst) {
            return Verdict::Drop(DropReason::HopsUsedUp);
        }
        marks::count(self.table.marks(), self.host, frame, packet);
        self.tagged = frame.tagged;
        let verdict = if packet.fragment == Fragment::None {
            self.whole(frame, packet)
        } else {
            self.fragment(frame, packet)
        };
        match verdict {
            // The host has no such device: its stack would look at nothing that comes like this.
            Verdict::Pass | Verdict::Divert(_) if self.tagged.is_some() => {
                Verdict::Drop(DropReason::TaggedForHost)
            }
            verdict => verdict,
        }
    }

    /// A packet, or the first fragment of one.
    #[inline]
    pub(super) fn whole(&mut self, frame: &mut Frame, packet: &Packet) -> Verdict {
        let (proto, src_port, dst_port) = match packet.l4 {
            L4::Tcp { src_port, dst_port, .. } => (Proto::Tcp, src_port, dst_port),
            L4::Udp { src_port, dst_port, .. } => (Proto::Udp, src_port, dst_port),
            L4::Sctp { src_port, dst_port, .. } => (Proto::Sctp, src_port, dst_port),
            L4::Icmp { .. } | L4::Icmp6 { .. } => return self.icmp(frame, packet),
            L4::Other => return self.other(frame, packet),
        };
        self.transport(frame, packet, proto, src_port, dst_port)
    }

    #[inline(always)]
    fn transport(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        proto: Proto,
        src_port: u16,
        dst_port: u16,
    ) -> Verdict {
        let src = SocketAddr::new(packet.src, src_port);
        let dst = SocketAddr::new(packet.dst, dst_port);
        let looked_up = |found| Note::Connection { proto, src, dst, found };
        if let Some((conn, direction)) = self.find(&FlowKey::new(proto, src, dst)) {
            // Two VLANs may have the same addresses.
            if direction == Direction::In && self.tagged.as_ref().map(Tagged::vlan) != conn.legs.vlan() {
                return Verdict::Drop(DropReason::OtherVlan);
            }
            // One end is the host itself, which sends nothing to itself by a link.
            if frame.arrival == Arrival::Link && !conn.legs.hop_credit && self.host.is_local(packet.src) {
                return Verdict::Drop(DropReason::MartianSource);
            }
            self.watch.note(|| looked_up(Some(Flow::of(&conn, direction == Direction::Out, self.now))));
            if let Some(way) = conn.legs.front {
                return self.of_front(frame, packet, &conn, (way, direction));
            }
            return match direction {
                Direction::Out => self.towards_client(frame, packet, &conn),
                Direction::In if self.begins_anew(&conn, packet) => {
                    self.watch.note(|| Note::BeginsAnew {
                        state: conn.state().name().into(),
                        removed: !conn.legs.dest.is_available(),
                    });
                    self.end(&conn);
                    if self.knobs.reset_on_end && conn.state().is_open() {
                        self.outbox.reset_server(&conn);
                    }
                    self.begin(frame, packet, proto, src, dst)
                }
                Direction::In => self.towards_server(frame, packet, &conn),
            };
        }
        self.watch.note(|| looked_up(None));
        self.begin(frame, packet, proto, src, dst)
    }

    /// The connection with this key.
    #[inline]
    pub(super) fn find(&mut self, key: &FlowKey) -> Option<(Conn<'a>, Direction)> {
        self.watch.fetch(|twin| twin.conn(key));
        self.conns.find(self.reader, self.known, key)
    }

    #[inline]
    pub(super) fn means(&self) -> Means<'_> {
        Means { host: self.host, ids: self.ids, pmtu_disc: self.knobs.pmtu_disc, now: self.now }
    }

    /// A VIP or a local address that is nobody else's: what the host cannot answer, we do.
    pub(super) fn is_our_vip(&self, addr: IpAddr) -> bool {
        (self.table.is_vip(addr) || self.table.is_lip(addr)) && !self.host.is_local(addr)
    }

    /// The host's kernel forwards a packet to us and forwards it again from us: one hop too many, unless one end of
    /// the way is the host itself, or the packet came from a link. So what leaves by the host's routing has one hop more
    /// than it is to have: whoever sends it past the host's stack takes it.
    pub(super) fn both_hops(&self, src: IpAddr, dst: IpAddr) -> bool {
        !self.host.is_local(src) && !self.host.is_local(dst)
    }

    #[inline]
    pub(super) fn credit(&self, frame: &mut Frame, packet: &Packet, credit: bool) {
        if credit && frame.arrival == Arrival::Routed && packet.ttl < u8::MAX {
            edit::set_ttl(frame, packet, packet.ttl + 1);
        }
    }

    pub(super) fn end(&self, conn: &Conn<'_>) {
        if self.conns.remove(conn) {
            self.counters.expired();
        }
    }
}
