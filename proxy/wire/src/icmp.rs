//! ICMP errors: the packet they quote, and its addresses under NAT.

mod tunnelled;

use std::net::IpAddr;

use crate::bytes::{get16, get32, put16, put32};
use crate::checksum::Delta;
use crate::edit::{self, Side};
use crate::frame::Frame;
use crate::packet::parse::{self, Length, V6_HEADER};
use crate::packet::{Family, L4, Packet};
use crate::sctp;

pub use tunnelled::{Tunnelled, tell_sender, tunnelled};

/// Length of the ICMP header in front of the quote.
const HEADER: usize = 8;
/// Protocol numbers whose ports can be read and rewritten.
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// The TCP, UDP or SCTP packet inside an ICMP error. RFC 792 promises its IP header and 8 bytes more; the ports suffice
/// here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Address family, the same as that of the error.
    pub family: Family,
    /// Its source address.
    pub src: IpAddr,
    /// Its destination address.
    pub dst: IpAddr,
    /// Protocol number: TCP, UDP or SCTP.
    pub protocol: u8,
    /// Its source port.
    pub src_port: u16,
    /// Its destination port.
    pub dst_port: u16,
    /// Where its IP header starts in the frame.
    pub offset: usize,
    /// Where its transport header starts in the frame.
    pub l4_offset: usize,
    /// Of a packet-too-big message: the MTU of the next hop in bytes, which an old router may give as 0 (RFC 1191).
    pub mtu: Option<u32>,
}

/// The message reports an error about another packet, and so quotes it: destination unreachable, source quench, time
/// exceeded, parameter problem; for ICMPv6 also packet too big. (A redirect is for the first hop, never for NAT.)
#[inline]
pub fn is_error(packet: &Packet) -> bool {
    match packet.l4 {
        L4::Icmp { kind, .. } => matches!(kind, 3 | 4 | 11 | 12),
        L4::Icmp6 { kind, .. } => matches!(kind, 1..=4),
        _ => false,
    }
}

/// It says that the host, or what the packet was for there, cannot be reached, whatever the length of the packet.
pub fn is_unreachable(packet: &Packet) -> bool {
    match packet.l4 {
        L4::Icmp { kind, code } => kind == 3 && code != 4,
        L4::Icmp6 { kind, .. } => kind == 1,
        _ => false,
    }
}

/// The packet that an ICMP error quotes. `None` when this is no error, or the quote is too short, a later fragment
/// (which has no ports) or none of TCP, UDP and SCTP.
pub fn quoted(bytes: &[u8], packet: &Packet) -> Option<Quoted> {
    if !is_error(packet) {
        return None;
    }
    let bytes = &bytes[..packet.total_len];
    let mtu = next_mtu(bytes, packet);
    read_quote(bytes, header_before_quote(packet), mtu).filter(|quoted| quoted.family == packet.family)
}

/// Where the quote of an ICMP error begins.
fn header_before_quote(packet: &Packet) -> usize {
    packet.l4_offset + HEADER
}

/// What a packet-too-big message says.
fn next_mtu(bytes: &[u8], packet: &Packet) -> Option<u32> {
    match packet.l4 {
        L4::Icmp { kind: 3, code: 4 } => Some(u32::from(get16(bytes, packet.l4_offset + 6))),
        L4::Icmp6 { kind: 2, .. } => Some(get32(bytes, packet.l4_offset + 4)),
        _ => None,
    }
}

/// The packet that begins at `offset` and may be cut short.
fn read_quote(bytes: &[u8], offset: usize, mtu: Option<u32>) -> Option<Quoted> {
    let quote = bytes.get(offset..)?;
    let inner = parse::network(quote, Length::Lenient).ok().filter(|inner| inner.has_transport)?.packet;
    if !matches!(inner.protocol, TCP | UDP | SCTP) || inner.l4_offset + 4 > quote.len() {
        return None;
    }
    Some(Quoted {
        family: inner.family,
        src: inner.src,
        dst: inner.dst,
        protocol: inner.protocol,
        src_port: get16(quote, inner.l4_offset),
        dst_port: get16(quote, inner.l4_offset + 2),
        offset,
        l4_offset: offset + inner.l4_offset,
        mtu,
    })
}

/// Rewrites the sequence number of a quoted TCP segment, and every checksum that this touches.
pub fn map_quoted_seq(frame: &mut Frame, packet: &Packet, quoted: &Quoted, map: impl FnOnce(u32) -> u32) {
    let partial = packet.is_partial(&frame.offload);
    let bytes = &mut frame.packet_mut()[..packet.total_len];
    let l4 = &mut bytes[quoted.l4_offset..];
    if quoted.protocol != TCP || l4.len() < 8 {
        return;
    }
    let old = [4, 6].map(|at| get16(l4, at));
    let seq = map(get32(l4, 4));
    put32(l4, 4, seq);
    let changed = Delta::default().word(old[0], get16(l4, 4)).word(old[1], get16(l4, 6));
    let mut outer = changed;
    if l4.len() >= 18 {
        let field = get16(l4, 16);
        put16(l4, 16, changed.apply(field));
        outer = outer.word(field, get16(l4, 16));
    }
    if !partial {
        fix_outer(bytes, packet, outer);
    }
}

/// Rewrites one side of the quoted packet, and every checksum that this touches: of the quoted IPv4 header, of the
/// quoted TCP, UDP or SCTP header as far as the quote reaches, and of the error itself. The outer addresses are
/// [`edit::set_source`]'s and [`edit::set_destination`]'s work. An address of the other family changes nothing.
pub fn rewrite_quoted(
    frame: &mut Frame,
    packet: &Packet,
    quoted: &Quoted,
    side: Side,
    ip: IpAddr,
    port: u16,
) {
    let partial = packet.is_partial(&frame.offload);
    let bytes = &mut frame.packet_mut()[..packet.total_len];
    let quote = &mut bytes[quoted.offset..];
    let l4_offset = quoted.l4_offset - quoted.offset;

    let Some(addr) = edit::put_addr(quote, side, ip) else { return };
    let mut outer = addr;
    if quoted.family == Family::V4 {
        let old = get16(quote, 10);
        edit::update_v4_header(quote, addr);
        outer = outer.word(old, get16(quote, 10));
    }
    let claimed = match quoted.family {
        Family::V4 => usize::from(get16(quote, 2)),
        Family::V6 => V6_HEADER + usize::from(get16(quote, 4)),
    };
    let l4 = &mut quote[l4_offset..];
    let old = get16(l4, if side == Side::Source { 0 } else { 2 });
    let port = edit::put_port(l4, side, port);
    outer = outer.and(port);
    if quoted.protocol == SCTP && l4.len() >= 12 {
        let field = [8, 10].map(|at| get16(l4, at));
        sctp::port_changed(l4, claimed.saturating_sub(l4_offset), side, old);
        outer = outer.word(field[0], get16(l4, 8)).word(field[1], get16(l4, 10));
    }
    // Whether the quoted checksum was partial cannot be seen; nobody verifies it, so it is kept as a complete one.
    let at = if quoted.protocol == TCP { 16 } else { 6 };
    if quoted.protocol != SCTP && l4.len() >= at + 2 {
        let old = get16(l4, at);
        let inner = addr.and(port);
        let new = if quoted.protocol == UDP { inner.apply_udp(old) } else { inner.apply(old) };
        put16(l4, at, new);
        outer = outer.word(old, new);
    }
    // All that changed lies on even offsets of the message. A partial checksum does not cover it yet.
    if !partial {
        fix_outer(bytes, packet, outer);
    }
}

fn fix_outer(bytes: &mut [u8], packet: &Packet, delta: Delta) {
    let at = packet.l4_offset + 2;
    let field = get16(bytes, at);
    put16(bytes, at, delta.apply(field));
}

#[cfg(test)]
mod tests;
