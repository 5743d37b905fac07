//! What belongs to nothing: the host's, or refused as a host without a listener would.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sched::Proto;
use wire::frame::Frame;
use wire::packet::chunk::{ABORT, SHUTDOWN_COMPLETE};
use wire::packet::{L4, Packet};
use wire::reply;

use super::step::Step;
use crate::verdict::{DropReason, Verdict};

impl Step<'_> {
    /// A transport that has no ports for us to look at.
    pub(super) fn other(&mut self, frame: &mut Frame, packet: &Packet) -> Verdict {
        if !self.is_our_vip(packet.dst) {
            return self.pass(frame, packet);
        }
        Verdict::Drop(DropReason::UnknownProtocol)
    }

    /// A packet that is no service's: the host's, or refused as a host without a listener would.
    pub(super) fn not_ours(&self, frame: &mut Frame, packet: &Packet) -> Verdict {
        if !self.is_our_vip(packet.dst) {
            if self.knobs.nat_icmp_send && self.is_reply_to_nothing(packet) {
                // The client has no such port: its server believes it of nobody else.
                return self.refuse(|| reply::icmp_unreachable_port(frame, packet, packet.dst));
            }
            return self.pass(frame, packet);
        }
        match packet.l4 {
            L4::Tcp { .. } => self.refuse(|| reply::tcp_reset(frame, packet)),
            // Their senders expect nothing more (RFC 9260, section 8.4).
            L4::Sctp { chunk: ABORT | SHUTDOWN_COMPLETE, .. } => Verdict::Drop(DropReason::Unanswerable),
            _ => self.refuse(|| reply::icmp_unreachable_port(frame, packet, packet.dst)),
        }
    }

    /// From a server, as one that the engine does not know a connection of, and no reset.
    fn is_reply_to_nothing(&self, packet: &Packet) -> bool {
        let proto = match packet.l4 {
            L4::Tcp { flags, .. } if !flags.rst() => Proto::Tcp,
            L4::Sctp { chunk, .. } if chunk != ABORT => Proto::Sctp,
            L4::Udp { .. } => Proto::Udp,
            _ => return false,
        };
        let port = packet.ports().map_or(0, |(port, _)| port);
        self.table.is_server(proto, SocketAddr::new(packet.src, port))
    }

    pub(super) fn pass(&self, frame: &mut Frame, packet: &Packet) -> Verdict {
        let both_hops = self.both_hops(packet.src, packet.dst);
        if both_hops && self.host.is_closed(packet.family) && !is_group(packet.dst) {
            return Verdict::Drop(DropReason::NotForwarded);
        }
        self.credit(frame, packet, both_hops);
        Verdict::Pass
    }

    /// Sends a refusal, which `answer` makes unless none is due, while there are not too many.
    pub(super) fn refuse(&self, answer: impl FnOnce() -> bool) -> Verdict {
        if !self.limit.allows(self.now) {
            return Verdict::Drop(DropReason::RefusalsLimited);
        }
        if answer() { Verdict::Reply } else { Verdict::Drop(DropReason::Unanswerable) }
    }
}

/// Broadcast to the link or multicast: not forwarded by anybody, but perhaps for the host.
fn is_group(addr: IpAddr) -> bool {
    addr.is_multicast() || addr == IpAddr::V4(Ipv4Addr::BROADCAST)
}
