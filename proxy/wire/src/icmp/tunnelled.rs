//! ICMP errors about the packets of a tunnel: what they quote has another packet inside, whose sender has to be told.

use std::net::IpAddr;

use super::{Quoted, header_before_quote, is_error, next_mtu, read_quote};
use crate::bytes::{get16, get32};
use crate::frame::Frame;
use crate::packet::parse::{self, Length, V6_HEADER};
use crate::packet::{Family, L4, Packet};
use crate::reply;

const IPIP: u8 = 4;
const UDP: u8 = 17;
const IPV6: u8 = 41;
const GRE: u8 = 47;

/// What an error says about a packet inside the one that it quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnelled {
    /// Outer source: whose tunnel it is.
    pub src: IpAddr,
    /// Outer destination: the tunnel's other end.
    pub dst: IpAddr,
    /// Of a packet-too-big message: the longest outer packet in bytes that would have got on. What an old router has not
    /// said is guessed (RFC 1191 section 7.1).
    pub mtu: Option<u32>,
    /// The packet inside, as far as it is quoted.
    pub inner: Quoted,
    /// Its length in bytes.
    pub len: u32,
    /// Routers must not fragment it. Always so for IPv6.
    pub dont_fragment: bool,
}

/// The packet inside IPIP, GRE or GUE inside an ICMP error. `None` when this is no error, when it quotes something else
/// or too little: up to the ports of a TCP, UDP or SCTP packet.
pub fn tunnelled(bytes: &[u8], packet: &Packet) -> Option<Tunnelled> {
    if !is_error(packet) {
        return None;
    }
    let bytes = &bytes[..packet.total_len];
    let outer_at = header_before_quote(packet);
    let quote = bytes.get(outer_at..)?;
    let outer = parse::network(quote, Length::Lenient).ok().filter(|outer| outer.has_transport)?.packet;
    let inside = inside(quote, &outer)?;
    let inner = read_quote(bytes, outer_at + inside, None)?;
    let header = &bytes[inner.offset..];
    let (len, dont_fragment) = match inner.family {
        Family::V4 => (usize::from(get16(header, 2)), header[6] & 0x40 != 0),
        Family::V6 => (V6_HEADER + usize::from(get16(header, 4)), true),
    };
    let mtu = next_mtu(bytes, packet).map(|mtu| if mtu == 0 { plateau_below(quote) } else { mtu });
    Some(Tunnelled { src: outer.src, dst: outer.dst, mtu, inner, len: len as u32, dont_fragment })
}

/// Where the packet inside begins.
fn inside(quote: &[u8], outer: &Packet) -> Option<usize> {
    let at = outer.l4_offset;
    let header = match outer.protocol {
        IPIP | IPV6 => 0,
        GRE if quote.len() >= at + 4 && get16(quote, at) & 0x7fff == 0 => 4 + usize::from(quote[at] >> 7) * 4,
        // Version 0, no control message; the length of the options is in words.
        UDP if quote.len() >= at + 12 && quote[at + 8] >> 5 == 0 => {
            12 + usize::from(quote[at + 8] & 0x1f) * 4
        }
        _ => return None,
    };
    let version = quote.get(at + header)? >> 4;
    let right = match outer.protocol {
        IPIP => version == 4,
        IPV6 => version == 6,
        GRE => matches!((get16(quote, at + 2), version), (0x0800, 4) | (0x86dd, 6)),
        _ => matches!((quote[at + 9], version), (IPIP, 4) | (IPV6, 6)),
    };
    right.then_some(at + header)
}

/// The usual MTU below the length of the packet that was too long.
fn plateau_below(quote: &[u8]) -> u32 {
    const PLATEAUS: [u32; 9] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296];
    const LEAST: u32 = 68;
    let len = if quote.len() >= 4 { u32::from(get16(quote, 2)) } else { 0 };
    PLATEAUS.into_iter().find(|plateau| *plateau < len).unwrap_or(LEAST)
}

/// Makes the frame, which holds the error, one from `from` to the sender of the packet inside, about that packet: packet
/// too big where the longest that gets through has `mtu` bytes, else the same error. `false`, with nothing changed, when
/// no answer is due: to a source quench, and to what was not sent by one host to one host.
pub fn tell_sender(
    frame: &mut Frame,
    packet: &Packet,
    tunnelled: &Tunnelled,
    from: IpAddr,
    mtu: Option<u32>,
) -> bool {
    let Some((kind, code, rest)) = said(frame.packet(), packet, tunnelled.inner.family, mtu) else {
        return false;
    };
    reply::error_about_quoted(frame, packet, &tunnelled.inner, from, kind, code, rest)
}

/// The error in terms of another family: as translators between the two have it (RFC 7915 sections 4.2 and 5.2).
fn said(bytes: &[u8], packet: &Packet, family: Family, mtu: Option<u32>) -> Option<(u8, u8, u32)> {
    if let Some(mtu) = mtu {
        return Some(match family {
            Family::V4 => (3, 4, mtu.min(0xffff)),
            Family::V6 => (2, 0, mtu),
        });
    }
    let rest = get32(bytes, packet.l4_offset + 4);
    let (kind, code) = match (packet.l4, family) {
        (L4::Icmp { kind: 4, .. }, _) => return None,
        (L4::Icmp { kind, code }, Family::V4) | (L4::Icmp6 { kind, code }, Family::V6) => {
            return Some((kind, code, rest));
        }
        (L4::Icmp { kind: 3, code }, Family::V6) => match code {
            2 | 3 => (1, 4),
            9 | 10 | 13 => (1, 1),
            _ => (1, 0),
        },
        (L4::Icmp { kind: 11, code }, Family::V6) => (3, code),
        (L4::Icmp { .. }, Family::V6) => (1, 3),
        (L4::Icmp6 { kind: 1, code }, Family::V4) => match code {
            1 => (3, 13),
            4 => (3, 3),
            _ => (3, 1),
        },
        (L4::Icmp6 { kind: 3, code }, Family::V4) => (11, code),
        _ => (3, 1),
    };
    Some((kind, code, 0))
}

#[cfg(test)]
mod tests;
