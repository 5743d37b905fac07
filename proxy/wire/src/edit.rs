//! Edits in place, each of a few additions whatever the packet's size (of SCTP: for each doubling of it). They keep the IPv4 header checksum and the
//! transport checksum right in every form: complete, partial, and UDP's none. The offload metadata stays as it is.
//!
//! The packet has to be the parse of the frame. Edits of one side leave it good for edits of the other and for
//! [`set_ttl`]: what they read of the old values they read from the frame.

mod rewrite;

use std::net::IpAddr;

use crate::bytes::{get16, put16};
use crate::checksum::{self, Delta, FoldedDelta};
use crate::frame::Frame;
use crate::packet::{Family, L4, Packet};
use crate::sctp;

pub use rewrite::Rewrite;
pub(crate) use rewrite::forward;

/// Source or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where it is from.
    Source,
    /// Where it goes.
    Destination,
}

/// Rewrites source address and port. The port counts for TCP, UDP and SCTP; a later fragment and ICMP have none. An address
/// of the other family changes nothing.
#[inline]
pub fn set_source(frame: &mut Frame, packet: &Packet, ip: IpAddr, port: u16) {
    set(frame, packet, Side::Source, ip, port);
}

/// Rewrites destination address and port, as [`set_source`].
#[inline]
pub fn set_destination(frame: &mut Frame, packet: &Packet, ip: IpAddr, port: u16) {
    set(frame, packet, Side::Destination, ip, port);
}

/// Writes time to live or hop limit.
#[inline]
pub fn set_ttl(frame: &mut Frame, packet: &Packet, ttl: u8) {
    let bytes = frame.packet_mut();
    match packet.family {
        Family::V4 => {
            let (old, new) = (get16(bytes, 8), u16::from_be_bytes([ttl, bytes[9]]));
            bytes[8] = ttl;
            let field = get16(bytes, 10);
            put16(bytes, 10, FoldedDelta::word(old, new).apply(field));
        }
        Family::V6 => bytes[7] = ttl,
    }
}

/// Takes a hop from the packet, as a router does; or says `false` and leaves it as it is where it has none to go
/// further with. Trusts that it is one.
#[inline]
pub fn take_hop(frame: &mut Frame) -> bool {
    let bytes = frame.packet_mut();
    let at = if bytes[0] >> 4 == 4 { 8 } else { 7 };
    if bytes[at] <= 1 {
        return false;
    }
    bytes[at] -= 1;
    if at == 8 {
        let new = get16(bytes, 8);
        update_v4_header(bytes, Delta::default().word(new + 0x100, new));
    }
    true
}

/// Rewrites one side.
#[inline]
pub fn set(frame: &mut Frame, packet: &Packet, side: Side, ip: IpAddr, port: u16) {
    let partial = packet.is_partial(&frame.offload);
    let bytes = frame.packet_mut();
    let Some(addr) = put_addr(bytes, side, ip) else { return };
    if packet.family == Family::V4 {
        update_v4_header(bytes, addr);
    }
    let l4 = &mut bytes[packet.l4_offset..];
    if let L4::Sctp { .. } = packet.l4 {
        // Its checksum does not cover addresses. One that is left to the sender is finished here: no sender whom the
        // metadata reaches can do a CRC.
        let old = get16(l4, if side == Side::Source { 0 } else { 2 });
        put_port(l4, side, port);
        if partial {
            checksum::complete(frame);
        } else {
            sctp::port_changed(l4, packet.total_len - packet.l4_offset, side, old);
        }
        return;
    }
    let covered = match packet.l4 {
        L4::Tcp { .. } | L4::Udp { .. } if partial => {
            put_port(l4, side, port);
            addr
        }
        L4::Tcp { .. } | L4::Udp { .. } => addr.and(put_port(l4, side, port)),
        L4::Icmp6 { .. } => addr,
        // No pseudo-header, or nothing that could be kept right.
        L4::Icmp { .. } | L4::Sctp { .. } | L4::Other => return,
    };
    let Some(at) = packet.checksum_offset() else { return };
    let field = get16(l4, at);
    let field = match packet.l4 {
        _ if partial => covered.apply_partial(field),
        L4::Udp { .. } => covered.apply_udp(field),
        _ => covered.apply(field),
    };
    put16(l4, at, field);
}

/// Exchanges source and destination address of the IP header at the start of `bytes`.
pub(crate) fn swap_addrs(bytes: &mut [u8]) {
    let (src, len) = if bytes[0] >> 4 == 4 { (12, 4) } else { (8, 16) };
    let (src, dst) = bytes[src..src + 2 * len].split_at_mut(len);
    src.swap_with_slice(dst);
}

/// Writes an address into the IP header at the start of `bytes` and says what that changes. `None`, with nothing
/// changed, when the header is of the other family.
#[inline]
pub(crate) fn put_addr(bytes: &mut [u8], side: Side, ip: IpAddr) -> Option<Delta> {
    match (bytes[0] >> 4, ip) {
        (4, IpAddr::V4(new)) => {
            let at = if side == Side::Source { 12 } else { 16 };
            let old: [u8; 4] = bytes[at..at + 4].try_into().ok()?;
            bytes[at..at + 4].copy_from_slice(&new.octets());
            Some(Delta::default().addr(IpAddr::from(old), ip))
        }
        (6, IpAddr::V6(new)) => {
            let at = if side == Side::Source { 8 } else { 24 };
            let old: [u8; 16] = bytes[at..at + 16].try_into().ok()?;
            bytes[at..at + 16].copy_from_slice(&new.octets());
            Some(Delta::default().addr(IpAddr::from(old), ip))
        }
        _ => None,
    }
}

/// Writes a port into the TCP or UDP header at the start of `l4` and says what that changes.
#[inline]
pub(crate) fn put_port(l4: &mut [u8], side: Side, port: u16) -> Delta {
    let at = if side == Side::Source { 0 } else { 2 };
    let old = get16(l4, at);
    put16(l4, at, port);
    Delta::default().word(old, port)
}

/// Keeps the checksum of the IPv4 header at the start of `bytes` right.
#[inline]
pub(crate) fn update_v4_header(bytes: &mut [u8], delta: Delta) {
    let field = get16(bytes, 10);
    put16(bytes, 10, delta.apply(field));
}

#[cfg(test)]
mod tests;
