//! ICMP: pings of VIPs, and errors about packets of connections.

use std::net::SocketAddr;

use sched::{Direction, Proto};
use wire::edit::{self, Side};
use wire::frame::Frame;
use wire::packet::{Fragment, Packet};
use wire::{checksum, icmp, reply};

use super::begin::Request;
use super::front::diverted;
use super::step::Step;
use crate::conn::{Conn, FlowKey};
use crate::fragments::Way;
use crate::front::FrontWay;
use crate::verdict::{DropReason, Egress, Verdict};
use crate::watch::{Flow, Note, Watch};

impl<'a, W: Watch> Step<'a, W> {
    #[inline(never)]
    pub(super) fn icmp(&mut self, frame: &mut Frame, packet: &Packet) -> Verdict {
        if self.is_martian(frame, packet) {
            return Verdict::Drop(DropReason::MartianSource);
        }
        if packet.fragment == Fragment::None
            && let Some(verdict) = self.tunnel_error(frame, packet)
        {
            return verdict;
        }
        if let Some(quoted) = icmp::quoted(frame.packet(), packet) {
            return self.icmp_error(frame, packet, &quoted);
        }
        if !self.is_our_vip(packet.dst) {
            return self.pass(frame, packet);
        }
        if let Some(fault) = self.fault(frame, packet) {
            return Verdict::Drop(fault);
        }
        if checksum::verify_frame(frame).is_err() {
            return Verdict::Drop(DropReason::BadChecksum);
        }
        if !reply::echo(frame, packet) {
            return Verdict::Drop(DropReason::IcmpUnrelated);
        }
        if packet.fragment == Fragment::First {
            self.way = Some(Way::Echo);
        }
        Verdict::Reply
    }

    /// An ICMP error is translated like the packet that it quotes, the other way round.
    fn icmp_error(&mut self, frame: &mut Frame, packet: &Packet, quoted: &icmp::Quoted) -> Verdict {
        let found = quoted_proto(quoted).and_then(|proto| {
            let src = SocketAddr::new(quoted.src, quoted.src_port);
            let dst = SocketAddr::new(quoted.dst, quoted.dst_port);
            let found = self.find(&FlowKey::new(proto, dst, src));
            self.watch.note(|| Note::Quotes { src, dst });
            self.watch.note(|| Note::Connection {
                proto,
                src: dst,
                dst: src,
                found: found.as_ref().map(|(conn, way)| Flow::of(conn, *way == Direction::Out, self.now)),
            });
            found
        });
        let found = found.or_else(|| self.schedule_quoted(frame, packet, quoted));
        let Some((conn, direction)) = found else {
            if self.is_our_vip(packet.dst) {
                return Verdict::Drop(DropReason::IcmpUnrelated);
            }
            return self.pass(frame, packet);
        };
        if packet.fragment != Fragment::None {
            return Verdict::Drop(DropReason::Fragment);
        }
        let legs = &conn.legs;
        match legs.front {
            None => {}
            Some(FrontWay::Kernel) => return Verdict::Pass,
            Some(way) => return Verdict::Divert(diverted(way, direction)),
        }
        if !legs.method.sees_replies() && direction == Direction::Out {
            // About a request, which has been forwarded as it was: its sender is told by whoever says it.
            return self.pass(frame, packet);
        }
        // It counts as traffic, but keeps no connection alive.
        self.count(frame, packet, &legs.service, &legs.dest, direction);
        if direction == Direction::Out && icmp::is_unreachable(packet) {
            conn.is_refused();
        }
        if !legs.method.sees_replies() {
            // About an answer, which was the server's own.
            return self.request(frame, packet, legs);
        }
        if let Some(shifts) = conn.shifts() {
            let of = if direction == Direction::In { Direction::Out } else { Direction::In };
            icmp::map_quoted_seq(frame, packet, quoted, |seq| shifts.original(of, seq));
        }
        let (server, vip, client, peer) = (legs.server, legs.vip, legs.client, legs.peer());
        match direction {
            // From the client's side, about a reply: it goes on to the server that sent it.
            Direction::In => {
                icmp::rewrite_quoted(frame, packet, quoted, Side::Source, server.ip(), server.port());
                edit::set_destination(frame, packet, server.ip(), 0);
                if legs.lip.is_some() {
                    icmp::rewrite_quoted(frame, packet, quoted, Side::Destination, peer.ip(), peer.port());
                    edit::set_source(frame, packet, peer.ip(), 0);
                }
            }
            // From the server's side, about a request: the client knows only the VIP.
            Direction::Out => {
                icmp::rewrite_quoted(frame, packet, quoted, Side::Destination, vip.ip(), vip.port());
                edit::set_source(frame, packet, vip.ip(), 0);
                if legs.lip.is_some() {
                    icmp::rewrite_quoted(frame, packet, quoted, Side::Source, client.ip(), client.port());
                    edit::set_destination(frame, packet, client.ip(), 0);
                }
            }
        }
        let credit =
            self.both_hops(packet.src, if direction == Direction::In { server.ip() } else { client.ip() });
        if direction == Direction::Out {
            return self.leave(frame, packet, legs, credit);
        }
        self.credit(frame, packet, credit);
        Verdict::Transmit(Egress::Route)
    }

    /// With `schedule_icmp`, an error about a packet of a service that no connection is known of begins one: its server
    /// is whom the scheduler would send the client's packets to. (IPVS: for VIPs that several directors have.)
    fn schedule_quoted(
        &mut self,
        frame: &Frame,
        packet: &Packet,
        quoted: &icmp::Quoted,
    ) -> Option<(Conn<'a>, Direction)> {
        if !self.knobs.schedule_icmp || packet.fragment != Fragment::None {
            return None;
        }
        let (proto, vip) = (quoted_proto(quoted)?, SocketAddr::new(quoted.src, quoted.src_port));
        let service = self.table.lookup(None, proto, vip)?;
        let client = SocketAddr::new(quoted.dst, quoted.dst_port);
        let request = Request { service, proto, client, vip, front: None };
        if service.front(vip).is_some() {
            return None;
        }
        let choice = self.choose(packet.payload(frame.packet()), &request).ok()?;
        self.connect(&request, choice).ok().map(|conn| (conn, Direction::In))
    }
}

fn quoted_proto(quoted: &icmp::Quoted) -> Option<Proto> {
    Proto::ALL.into_iter().find(|p| p.number() == quoted.protocol)
}
