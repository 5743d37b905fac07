//! The walk over the headers. Strict for a packet, lenient for the piece of one that an ICMP error quotes.

use etherparse::err::{ipv4, tcp};
use etherparse::{
    IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
    TcpHeaderSlice, UdpHeaderSlice, ip_number,
};

use crate::bytes::{get16, get32};

use super::chunk::{ABORT, COOKIE_ACK, COOKIE_ECHO};
use super::head::AnyHead;
use super::{Family, Fragment, L4, Packet, ParseError, TcpFlags};

/// Length of an IPv6 header without extensions.
pub(crate) const V6_HEADER: usize = 40;

/// Length of the header that all ICMP messages share.
const ICMP_HEADER: usize = 8;

/// Real packets carry three or four extension headers at most; the bound keeps a crafted chain from costing more
/// than a packet is worth.
const MAX_EXTENSIONS: usize = 8;

/// What to do when the IP header claims more bytes than there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Refuse.
    Strict,
    /// Take what is there.
    Lenient,
}

/// The network headers, and whether a transport header of `packet.protocol` stands at `packet.l4_offset`.
pub(crate) struct Network {
    /// Complete but for [`L4::Other`].
    pub(crate) packet: Packet,
    /// A later fragment has none, and behind a routing header that is not used up it is none of ours.
    pub(crate) has_transport: bool,
}

#[inline(always)]
pub(super) fn packet(bytes: &[u8]) -> Result<Packet, ParseError> {
    match usual(bytes) {
        Some(packet) => Ok(packet),
        None => unusual(bytes),
    }
}

/// Most packets. Says what [`unusual`] would say, by fewer steps.
#[inline(always)]
pub(super) fn usual(bytes: &[u8]) -> Option<Packet> {
    AnyHead::of(bytes).map(|head| head.packet())
}

/// Any packet.
#[inline(never)]
pub(super) fn unusual(bytes: &[u8]) -> Result<Packet, ParseError> {
    let Network { mut packet, has_transport } = network(bytes, Length::Strict)?;
    if has_transport {
        packet.l4 = transport(&packet, &bytes[packet.l4_offset..packet.total_len])?;
    }
    Ok(packet)
}

/// The network header with its extensions.
#[inline]
pub(crate) fn network(bytes: &[u8], length: Length) -> Result<Network, ParseError> {
    match bytes.first().ok_or(ParseError::Truncated)? >> 4 {
        4 => v4(bytes, length),
        6 => v6(bytes, length),
        _ => Err(ParseError::BadVersion),
    }
}

#[inline]
fn v4(bytes: &[u8], length: Length) -> Result<Network, ParseError> {
    let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|error| match error {
        ipv4::HeaderSliceError::Len(_) => ParseError::Truncated,
        ipv4::HeaderSliceError::Content(_) => ParseError::BadHeaderLength,
    })?;
    let header_len = header.slice().len();
    let total_len = claimed(usize::from(header.total_len()), bytes.len(), length)?;
    if total_len < header_len {
        return Err(ParseError::BadLength);
    }
    let fragment = fragment(header.fragments_offset().value(), header.more_fragments());
    Ok(Network {
        packet: Packet {
            family: Family::V4,
            src: header.source_addr().into(),
            dst: header.destination_addr().into(),
            ttl: header.ttl(),
            protocol: header.protocol().0,
            l4_offset: header_len,
            total_len,
            fragment,
            dont_fragment: header.dont_fragment(),
            l4: L4::Other,
        },
        has_transport: fragment != Fragment::Later,
    })
}

#[inline]
fn v6(bytes: &[u8], length: Length) -> Result<Network, ParseError> {
    // The version has been looked at: only the length can be wrong.
    let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|_| ParseError::Truncated)?;
    // Jumbograms (RFC 2675) do not exist here: a payload length of zero is zero.
    let total_len = claimed(V6_HEADER + usize::from(header.payload_length()), bytes.len(), length)?;
    let mut network = Network {
        packet: Packet {
            family: Family::V6,
            src: header.source_addr().into(),
            dst: header.destination_addr().into(),
            ttl: header.hop_limit(),
            protocol: header.next_header().0,
            l4_offset: V6_HEADER,
            total_len,
            fragment: Fragment::None,
            dont_fragment: true,
            l4: L4::Other,
        },
        has_transport: true,
    };
    if is_extension(header.next_header()) {
        extensions(&mut network, &bytes[..total_len])?;
    }
    Ok(network)
}

/// The kinds of the options of an IPv4 header, up to one that cannot be.
pub(super) fn ipv4_options(bytes: &[u8]) -> impl Iterator<Item = u8> {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    let header_len = bytes.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    let mut rest = bytes.get(20..header_len).unwrap_or_default();
    std::iter::from_fn(move || {
        let kind = *rest.first().filter(|kind| **kind != END)?;
        let len = if kind == NOTHING { 1 } else { usize::from(*rest.get(1)?) };
        rest = rest.get(len.max(1)..).unwrap_or_default();
        Some(kind)
    })
}

/// Whether it is of a protocol that [`transport`] reads.
pub(super) fn is_transport(packet: &Packet) -> bool {
    use ip_number::{ICMP, IPV6_ICMP, SCTP, TCP, UDP};
    match packet.family {
        Family::V4 => matches!(IpNumber(packet.protocol), TCP | UDP | SCTP | ICMP),
        Family::V6 => matches!(IpNumber(packet.protocol), TCP | UDP | SCTP | IPV6_ICMP),
    }
}

/// Moves `network` over the extension headers of RFC 8200 section 4, up to the first thing that is none.
#[cold]
fn extensions(network: &mut Network, bytes: &[u8]) -> Result<(), ParseError> {
    let packet = &mut network.packet;
    for position in 0.. {
        let next = IpNumber(packet.protocol);
        let rest = &bytes[packet.l4_offset..];
        if !is_extension(next) || packet.fragment == Fragment::Later {
            break;
        }
        if position == MAX_EXTENSIONS || (next == ip_number::IPV6_HOP_BY_HOP && position > 0) {
            return Err(ParseError::BadExtension);
        }
        if next == ip_number::IPV6_FRAG {
            let header = Ipv6FragmentHeaderSlice::from_slice(rest).map_err(|_| ParseError::Truncated)?;
            packet.fragment = fragment(header.fragment_offset().value(), header.more_fragments());
            packet.protocol = header.next_header().0;
            packet.l4_offset += header.slice().len();
        } else {
            let header = Ipv6RawExtHeaderSlice::from_slice(rest).map_err(|_| ParseError::Truncated)?;
            let hops_left = header.payload().get(1).copied().unwrap_or(0);
            network.has_transport &= next != ip_number::IPV6_ROUTE || hops_left == 0;
            packet.protocol = header.next_header().0;
            packet.l4_offset += header.slice().len();
        }
    }
    network.has_transport &= packet.fragment != Fragment::Later;
    Ok(())
}

/// Extension headers that are walked over. AH is not among them: what it authenticates must not be edited.
#[inline]
pub(super) fn is_extension(number: IpNumber) -> bool {
    use ip_number::{IPV6_DEST_OPTIONS, IPV6_FRAG, IPV6_HOP_BY_HOP, IPV6_ROUTE};
    matches!(number, IPV6_HOP_BY_HOP | IPV6_ROUTE | IPV6_FRAG | IPV6_DEST_OPTIONS)
}

#[inline]
fn fragment(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::None,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    }
}

/// The length to work with, at most 65535.
#[inline]
fn claimed(claim: usize, present: usize, length: Length) -> Result<usize, ParseError> {
    let len = match length {
        Length::Strict if claim > present => return Err(ParseError::Truncated),
        Length::Strict => claim,
        Length::Lenient => claim.min(present),
    };
    if len > usize::from(u16::MAX) { Err(ParseError::BadLength) } else { Ok(len) }
}

/// The common header and the chunk that counts (RFC 9260, section 3).
fn sctp(bytes: &[u8]) -> Result<L4, ParseError> {
    const HEADER: usize = 12;
    const CHUNK_HEADER: usize = 4;
    if bytes.len() < HEADER + CHUNK_HEADER {
        return Err(ParseError::Truncated);
    }
    let first = bytes[HEADER];
    let next = HEADER + usize::from(get16(bytes, HEADER + 2)).next_multiple_of(4).max(CHUNK_HEADER);
    let aborted = matches!(first, COOKIE_ECHO | COOKIE_ACK) && bytes.get(next) == Some(&ABORT);
    Ok(L4::Sctp {
        src_port: get16(bytes, 0),
        dst_port: get16(bytes, 2),
        tag: get32(bytes, 4),
        chunk: if aborted { ABORT } else { first },
    })
}

/// The transport header at the start of `bytes`.
#[inline]
fn transport(packet: &Packet, bytes: &[u8]) -> Result<L4, ParseError> {
    match (IpNumber(packet.protocol), packet.family) {
        (ip_number::TCP, _) => {
            let header = TcpHeaderSlice::from_slice(bytes).map_err(|error| match error {
                tcp::HeaderSliceError::Len(_) => ParseError::Truncated,
                tcp::HeaderSliceError::Content(_) => ParseError::BadHeaderLength,
            })?;
            Ok(L4::Tcp {
                src_port: header.source_port(),
                dst_port: header.destination_port(),
                seq: header.sequence_number(),
                ack: header.acknowledgment_number(),
                flags: TcpFlags(header.slice()[13]),
                header_len: header.data_offset() * 4,
            })
        }
        (ip_number::UDP, _) => {
            let header = UdpHeaderSlice::from_slice(bytes).map_err(|_| ParseError::Truncated)?;
            let len = usize::from(header.length());
            // The length of a first fragment is that of the whole datagram.
            if len < header.slice().len() || (len > bytes.len() && packet.fragment == Fragment::None) {
                return Err(ParseError::BadLength);
            }
            Ok(L4::Udp {
                src_port: header.source_port(),
                dst_port: header.destination_port(),
                len: header.length(),
            })
        }
        (ip_number::SCTP, _) => sctp(bytes),
        (ip_number::ICMP, Family::V4) | (ip_number::IPV6_ICMP, Family::V6) if bytes.len() < ICMP_HEADER => {
            Err(ParseError::Truncated)
        }
        (ip_number::ICMP, Family::V4) => Ok(L4::Icmp { kind: bytes[0], code: bytes[1] }),
        (ip_number::IPV6_ICMP, Family::V6) => Ok(L4::Icmp6 { kind: bytes[0], code: bytes[1] }),
        _ => Ok(L4::Other),
    }
}
