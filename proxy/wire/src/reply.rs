//! Answers of our own. Each replaces the frame by the answer, its checksums complete, its time to live 64, and says
//! `true`; or says `false` and has changed nothing, where the RFCs forbid an answer.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::bytes::{get16, put16, put32};
use crate::checksum::{self, Delta};
use crate::edit;
use crate::frame::{Checksum, Frame, GsoKind, Offload};
use crate::gso;
use crate::icmp::Quoted;
use crate::packet::parse::V6_HEADER;
use crate::packet::{Family, Fragment, L4, Packet, TcpFlags};

const TTL: u8 = 64;
const V4_HEADER: usize = 20;
const TCP_HEADER: usize = 20;
const ICMP_HEADER: usize = 8;
const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// Longest ICMP error over IPv4: what every host takes in one piece (RFC 1812 section 4.3.2.3).
const V4_ERROR_MAX: usize = 576;
/// Longest ICMP error over IPv6: its minimum MTU (RFC 4443 section 2.4 c).
const V6_ERROR_MAX: usize = 1280;

/// Answers a TCP segment that belongs to no connection with a reset (RFC 9293 section 3.10.7.1), from the address
/// and port that it went to. Not answered: a reset, a fragment, a segment whose checksum is wrong, and what was not
/// sent by one host to one host.
pub fn tcp_reset(frame: &mut Frame, packet: &Packet) -> bool {
    let L4::Tcp { src_port, dst_port, seq, ack, flags, .. } = packet.l4 else { return false };
    if flags.rst() || packet.fragment != Fragment::None || !between_hosts(packet) {
        return false;
    }
    if !packet.is_partial(&frame.offload) && checksum::transport(frame.packet(), packet).is_err() {
        return false;
    }
    let (seq, ack, flags) = if flags.ack() {
        (ack, 0, TcpFlags::RST)
    } else {
        let len = packet.payload_len() as u32 + u32::from(flags.syn()) + u32::from(flags.fin());
        (0, seq.wrapping_add(len), TcpFlags::RST | TcpFlags::ACK)
    };
    let (from, to) = (SocketAddr::new(packet.dst, dst_port), SocketAddr::new(packet.src, src_port));
    segment(frame, from, to, seq, ack, flags)
}

/// Makes the frame a reset that no segment has asked for, sent by one end of a connection to the other. `to` believes
/// it when `seq` is exactly what it expects next (RFC 5961, section 3.2), or, before it has heard anything, when `ack`
/// acknowledges its SYN (RFC 9293, section 3.5.2). Not made between two families.
pub fn tcp_reset_of_own(frame: &mut Frame, from: SocketAddr, to: SocketAddr, seq: u32, ack: u32) -> bool {
    segment(frame, from, to, seq, ack, TcpFlags::RST | TcpFlags::ACK)
}

/// A TCP segment that is all header.
fn segment(frame: &mut Frame, from: SocketAddr, to: SocketAddr, seq: u32, ack: u32, flags: TcpFlags) -> bool {
    let header = Header { from: from.ip(), to: to.ip(), protocol: TCP, class: 0 };
    let Some(at) = start(frame, header, TCP_HEADER) else { return false };
    let segment = &mut frame.packet_mut()[at..];
    segment.fill(0);
    put16(segment, 0, from.port());
    put16(segment, 2, to.port());
    put32(segment, 4, seq);
    put32(segment, 8, ack);
    segment[12] = (TCP_HEADER as u8 / 4) << 4;
    segment[13] = flags.0;
    let pseudo = checksum::pseudo_header(from.ip(), to.ip(), TCP, TCP_HEADER as u32);
    let sum = checksum::add(checksum::sum(segment), pseudo);
    put16(segment, 16, !sum);
    true
}

/// Tells the sender that nobody serves the port: destination unreachable, port unreachable (RFC 792, RFC 4443
/// section 3.1), sent by `from`. For when no answer is due, see [`icmp_too_big`].
pub fn icmp_unreachable_port(frame: &mut Frame, packet: &Packet, from: IpAddr) -> bool {
    let (kind, code) = match packet.family {
        Family::V4 => (3, 3),
        Family::V6 => (1, 4),
    };
    error(frame, packet, from, kind, code, 0)
}

/// Tells the sender that the packet does not fit the next link, whose MTU is `mtu` bytes: fragmentation needed
/// (RFC 1191 section 4) or packet too big (RFC 4443 section 3.2), sent by `from`. Call it before an edit, so that it
/// quotes the packet as its sender knows it.
///
/// No answer is due (RFC 1122 section 3.2.2, RFC 4443 section 2.4 e) to an ICMP message other than a query, to a later
/// fragment, and to what was not sent by one host to one host; nor can one be made from an address of the other
/// family.
pub fn icmp_too_big(frame: &mut Frame, packet: &Packet, from: IpAddr, mtu: u32) -> bool {
    match packet.family {
        Family::V4 => error(frame, packet, from, 3, 4, mtu.min(0xffff)),
        Family::V6 => error(frame, packet, from, 2, 0, mtu),
    }
}

/// Answers a ping in place (RFC 792, RFC 4443 section 4.2), or the first fragment of one: then [`echo_rest`] answers the
/// others. Not answered: anything but an echo request, what was not sent by one host to one host, and metadata that
/// belongs to no ping.
pub fn echo(frame: &mut Frame, packet: &Packet) -> bool {
    let reply = match packet.l4 {
        L4::Icmp { kind: 8, code: 0 } => 0,
        L4::Icmp6 { kind: 128, code: 0 } => 129,
        _ => return false,
    };
    if !between_hosts(packet) || frame.offload.gso != GsoKind::None {
        return false;
    }
    let whole = packet.fragment == Fragment::None;
    if frame.offload.checksum != Checksum::Complete && !packet.is_partial(&frame.offload) {
        return false;
    }
    if whole {
        checksum::complete(frame);
    }
    frame.offload = Offload::default();
    // Swapping the addresses leaves every sum as it is.
    edit::swap_addrs(frame.packet_mut());
    edit::set_ttl(frame, packet, TTL);
    let message = &mut frame.packet_mut()[packet.l4_offset..packet.total_len];
    let (old, field) = (get16(message, 0), get16(message, 2));
    message[0] = reply;
    let updated = Delta::default().word(old, get16(message, 0)).apply(field);
    put16(message, 2, updated);
    if whole && updated == 0 && packet.family == Family::V4 && message.iter().all(|byte| *byte == 0) {
        // The one message whose checksum RFC 1624 cannot update: all zero, without a pseudo-header.
        put16(message, 2, 0xffff);
    }
    true
}

/// Answers a later fragment of a ping whose first one [`echo`] has answered.
pub fn echo_rest(frame: &mut Frame, packet: &Packet) {
    frame.offload = Offload::default();
    edit::swap_addrs(frame.packet_mut());
    edit::set_ttl(frame, packet, TTL);
}

/// An ICMP error that quotes the packet; `rest` is the second word of its header.
fn error(frame: &mut Frame, packet: &Packet, from: IpAddr, kind: u8, code: u8, rest: u32) -> bool {
    if Family::from(from) != packet.family || !may_answer_with_error(packet) {
        return false;
    }
    let original = settle(frame, packet);
    message(frame, 0..original, Ends { from, to: packet.src }, (kind, code, rest))
}

/// The same about a packet that stands, perhaps cut short, in the frame's packet: it is quoted up to the frame's end.
pub(crate) fn error_about_quoted(
    frame: &mut Frame,
    packet: &Packet,
    quoted: &Quoted,
    from: IpAddr,
    kind: u8,
    code: u8,
    rest: u32,
) -> bool {
    if Family::from(from) != quoted.family || !are_hosts(quoted.src, quoted.dst) {
        return false;
    }
    message(frame, quoted.offset..packet.total_len, Ends { from, to: quoted.src }, (kind, code, rest))
}

struct Ends {
    from: IpAddr,
    to: IpAddr,
}

/// An ICMP error that quotes a part of the frame's packet: as much of it as may be.
fn message(
    frame: &mut Frame,
    original: Range<usize>,
    Ends { from, to }: Ends,
    (kind, code, rest): (u8, u8, u32),
) -> bool {
    let (protocol, class, longest, header_len) = match from {
        // Internetwork control precedence: RFC 1812 section 4.3.2.5.
        IpAddr::V4(_) => (ICMP, 0xc0, V4_ERROR_MAX, V4_HEADER),
        IpAddr::V6(_) => (ICMP6, 0, V6_ERROR_MAX, V6_HEADER),
    };
    let mut quote = [0; V6_ERROR_MAX];
    let quote = &mut quote[..original.len().min(longest - header_len - ICMP_HEADER)];
    quote.copy_from_slice(&frame.packet()[original.start..][..quote.len()]);

    let header = Header { from, to, protocol, class };
    let Some(at) = start(frame, header, ICMP_HEADER + quote.len()) else { return false };
    let message = &mut frame.packet_mut()[at..];
    message[0] = kind;
    message[1] = code;
    put16(message, 2, 0);
    put32(message, 4, rest);
    message[ICMP_HEADER..].copy_from_slice(quote);
    let pseudo = match from {
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => checksum::pseudo_header(from, to, protocol, message.len() as u32),
    };
    let sum = checksum::add(checksum::sum(message), pseudo);
    put16(message, 2, !sum);
    true
}

/// Makes the frame a packet as it could have been on the wire, to be quoted, and returns its length: of a super-packet
/// its first segment, a partial checksum completed. The header fields that segmentation would also touch (IP id, PSH
/// and FIN) are left, receivers match a quote by addresses, ports and sequence number.
fn settle(frame: &mut Frame, packet: &Packet) -> usize {
    let len = gso::largest(frame, packet);
    if len != packet.total_len {
        let old = packet.total_len as u16;
        let cut = packet.total_len - len;
        let partial = packet.is_partial(&frame.offload);
        let bytes = frame.packet_mut();
        match packet.family {
            Family::V4 => {
                put16(bytes, 2, len as u16);
                edit::update_v4_header(bytes, Delta::default().word(old, len as u16));
            }
            Family::V6 => put16(bytes, 4, (len - V6_HEADER) as u16),
        }
        let transport_len = (packet.total_len - packet.l4_offset) as u16;
        if let L4::Udp { .. } = packet.l4 {
            put16(bytes, packet.l4_offset + 4, transport_len - cut as u16);
        }
        if let (true, Some(at)) = (partial, packet.checksum_offset()) {
            let at = packet.l4_offset + at;
            let field = get16(bytes, at);
            put16(
                bytes,
                at,
                Delta::default().word(transport_len, transport_len - cut as u16).apply_partial(field),
            );
        }
    }
    frame.offload.gso = GsoKind::None;
    // Metadata that points outside the packet leaves a wrong checksum in the quote, which nobody verifies.
    checksum::complete(frame);
    len
}

/// The IP header of an answer.
struct Header {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    /// Type of service, traffic class.
    class: u8,
}

/// Puts the header of an answer with `len` bytes of payload into the frame and returns where the payload goes. `None`
/// for addresses of two families.
fn start(frame: &mut Frame, header: Header, len: usize) -> Option<usize> {
    match (header.from, header.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let bytes = frame.reset(V4_HEADER + len);
            bytes[..V4_HEADER].fill(0);
            bytes[0] = 0x45;
            bytes[1] = header.class;
            put16(bytes, 2, (V4_HEADER + len) as u16);
            // An atomic datagram needs no identification (RFC 6864 section 4.1).
            put16(bytes, 6, 0x4000);
            bytes[8] = TTL;
            bytes[9] = header.protocol;
            bytes[12..16].copy_from_slice(&from.octets());
            bytes[16..20].copy_from_slice(&to.octets());
            let sum = checksum::sum(&bytes[..V4_HEADER]);
            put16(bytes, 10, !sum);
            Some(V4_HEADER)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let bytes = frame.reset(V6_HEADER + len);
            put32(bytes, 0, 6 << 28 | u32::from(header.class) << 20);
            put16(bytes, 4, len as u16);
            bytes[6] = header.protocol;
            bytes[7] = TTL;
            bytes[8..24].copy_from_slice(&from.octets());
            bytes[24..40].copy_from_slice(&to.octets());
            Some(V6_HEADER)
        }
        _ => None,
    }
}

/// RFC 1122 section 3.2.2, RFC 4443 section 2.4 e.
fn may_answer_with_error(packet: &Packet) -> bool {
    let query = match packet.l4 {
        // Echo, timestamp, information and mask; what is unknown may be an error.
        L4::Icmp { kind, .. } => matches!(kind, 0 | 8 | 13..=18),
        // Errors are below 128; 137 is redirect.
        L4::Icmp6 { kind, .. } => kind >= 128 && kind != 137,
        _ => true,
    };
    query && packet.fragment != Fragment::Later && between_hosts(packet)
}

/// Both addresses name one host each.
fn between_hosts(packet: &Packet) -> bool {
    are_hosts(packet.src, packet.dst)
}

/// 240.0.0.0/4 is let through: networks use it as unicast today.
fn are_hosts(one: IpAddr, other: IpAddr) -> bool {
    let host = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => {
            !(addr.octets()[0] == 0 || addr.is_loopback() || addr.is_broadcast() || addr.is_multicast())
        }
        IpAddr::V6(addr) => !(addr.is_unspecified() || addr.is_loopback() || addr.is_multicast()),
    };
    host(one) && host(other)
}

#[cfg(test)]
mod tests;
