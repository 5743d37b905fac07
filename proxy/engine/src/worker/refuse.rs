//! What belongs to nothing: the host's, or refused as a host without a listener would.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sched::Proto;
use wire::checksum::{self, ChecksumError};
use wire::frame::{Arrival, Frame};
use wire::packet::chunk::{ABORT, SHUTDOWN_COMPLETE};
use wire::packet::{L4, Packet};
use wire::reply;

use super::step::Step;
use crate::verdict::{DropReason, Verdict};
use crate::watch::{Note, Watch};

impl<W: Watch> Step<'_, W> {
    /// A transport that has no ports for us to look at.
    pub(super) fn other(&mut self, frame: &mut Frame, packet: &Packet) -> Verdict {
        if self.is_martian(frame, packet) {
            return Verdict::Drop(DropReason::MartianSource);
        }
        if !self.is_our_vip(packet.dst) {
            return self.pass(frame, packet);
        }
        Verdict::Drop(self.fault(frame, packet).unwrap_or(DropReason::UnknownProtocol))
    }

    /// A packet that is no service's: the host's, or refused as a host without a listener would.
    pub(super) fn not_ours(&self, frame: &mut Frame, packet: &Packet) -> Verdict {
        self.watch.note(|| {
            let addr = packet.dst;
            let local = self.host.is_local(addr);
            if self.is_our_vip(addr) { Note::OursAlone { addr } } else { Note::NotOurs { local } }
        });
        if !self.is_our_vip(packet.dst) {
            if self.knobs.nat_icmp_send && self.is_reply_to_nothing(packet) {
                // The client has no such port: its server believes it of nobody else.
                return self.refuse(frame, |frame| reply::icmp_unreachable_port(frame, packet, packet.dst));
            }
            return self.pass(frame, packet);
        }
        if let Some(fault) = self.fault(frame, packet) {
            return Verdict::Drop(fault);
        }
        match packet.l4 {
            L4::Tcp { .. } => self.refuse(frame, |frame| reply::tcp_reset(frame, packet)),
            // Their senders expect nothing more (RFC 9260, section 8.4).
            L4::Sctp { chunk: ABORT | SHUTDOWN_COMPLETE, .. } => Verdict::Drop(DropReason::Unanswerable),
            _ => self.refuse(frame, |frame| reply::icmp_unreachable_port(frame, packet, packet.dst)),
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

    /// From a link, with a source that nobody on it can have, or that is the host's own: the kernel, which looks at this
    /// where a packet comes in, would not see it. (The reverse path it looks at as well if it is told to, `rp_filter`; that is
    /// not done here.)
    pub(super) fn is_martian(&self, frame: &Frame, packet: &Packet) -> bool {
        frame.arrival == Arrival::Link && (!is_host(packet.src) || self.host.is_local(packet.src))
    }

    /// Sends a refusal of the packet in the frame, which `answer` makes unless none is due, while there are not too many.
    /// What was damaged on its way may be from somebody else.
    pub(super) fn refuse(&self, frame: &mut Frame, answer: impl FnOnce(&mut Frame) -> bool) -> Verdict {
        if !self.limit.allows(self.now) {
            return Verdict::Drop(DropReason::RefusalsLimited);
        }
        match checksum::verify_frame(frame) {
            Ok(()) if answer(frame) => Verdict::Reply,
            Ok(()) => Verdict::Drop(DropReason::Unanswerable),
            Err(ChecksumError::Network) => Verdict::Drop(DropReason::BadHeaderChecksum),
            Err(_) => Verdict::Drop(DropReason::BadChecksum),
        }
    }

    /// Why a packet for a VIP begins nothing and is not answered, though it has the form of one that does. Asked of what
    /// belongs to nothing: later packets of a connection are not looked at so closely.
    pub(super) fn fault(&self, frame: &Frame, packet: &Packet) -> Option<DropReason> {
        let (src, dst) = (packet.src, packet.dst);
        let same_port = packet.ports().is_none_or(|(from, to)| from == to);
        if !checksum::is_header_right(frame.packet(), packet) {
            Some(DropReason::BadHeaderChecksum)
        } else if packet.is_source_routed(frame.packet()) {
            Some(DropReason::SourceRoute)
        // The host may speak to its own VIP from that very address.
        } else if src == dst && (same_port || !self.host.is_local(dst)) {
            Some(DropReason::Land)
        } else if !is_host(src) || self.table.is_vip(src) && !self.host.is_local(src) {
            Some(DropReason::MartianSource)
        } else {
            None
        }
    }
}

/// Whether a host can have this address (RFC 6890; RFC 4291 section 2.5). 240.0.0.0/4 is let through: networks use it as
/// unicast today.
fn is_host(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => {
            !(v4.octets()[0] == 0 || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => {
            !(v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || v6.to_ipv4_mapped().is_some())
        }
    }
}

/// Broadcast to the link or multicast: not forwarded by anybody, but perhaps for the host.
fn is_group(addr: IpAddr) -> bool {
    addr.is_multicast() || addr == IpAddr::V4(Ipv4Addr::BROADCAST)
}
