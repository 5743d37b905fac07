//! What parsing a packet found: addresses, ports, and where things are.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::BitOr;

use crate::frame::{Checksum, Offload};

pub mod chunk;
pub mod head;
pub(crate) mod parse;
pub mod piece;

/// Address family of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, RFC 791.
    V4,
    /// IPv6, RFC 8200.
    V6,
}

impl From<IpAddr> for Family {
    fn from(addr: IpAddr) -> Self {
        if addr.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Place of a packet in a fragmented datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// The whole datagram. So is an IPv6 packet with a fragment header that says offset 0 and no more (RFC 6946).
    None,
    /// The first part: it has the transport header.
    First,
    /// A later part: no transport header, [`L4::Other`].
    Later,
}

/// Control bits of a TCP segment (RFC 9293 section 3.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo.
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced.
    pub const CWR: Self = Self(0x80);

    /// All bits of `other` are set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// SYN is set.
    #[inline]
    pub const fn syn(self) -> bool {
        self.contains(Self::SYN)
    }

    /// ACK is set.
    #[inline]
    pub const fn ack(self) -> bool {
        self.contains(Self::ACK)
    }

    /// FIN is set.
    #[inline]
    pub const fn fin(self) -> bool {
        self.contains(Self::FIN)
    }

    /// RST is set.
    #[inline]
    pub const fn rst(self) -> bool {
        self.contains(Self::RST)
    }
}

impl BitOr for TcpFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// As tcpdump writes them: `S.` is SYN and ACK.
impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [(TcpFlags, &str); 8] = [
            (TcpFlags::FIN, "F"),
            (TcpFlags::SYN, "S"),
            (TcpFlags::RST, "R"),
            (TcpFlags::PSH, "P"),
            (TcpFlags::ACK, "."),
            (TcpFlags::URG, "U"),
            (TcpFlags::ECE, "E"),
            (TcpFlags::CWR, "W"),
        ];
        if self.0 == 0 {
            return f.write_str("none");
        }
        LETTERS
            .iter()
            .filter(|(flag, _)| self.contains(*flag))
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpFlags({self})")
    }
}

/// The transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    /// RFC 9293.
    Tcp {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
        /// Sequence number.
        seq: u32,
        /// Acknowledgment number, also when the ACK bit is clear.
        ack: u32,
        /// Control bits.
        flags: TcpFlags,
        /// Bytes of header, options included.
        header_len: u8,
    },
    /// RFC 768.
    Udp {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
        /// Length field: header and payload.
        len: u16,
    },
    /// RFC 9260.
    Sctp {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
        /// Verification tag: the receiver's, zero in an INIT.
        tag: u32,
        /// Type of the chunk that says what the packet does: the first, or an ABORT right behind a COOKIE ECHO or
        /// COOKIE ACK.
        chunk: u8,
    },
    /// RFC 792.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// RFC 4443.
    Icmp6 {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// Anything else, and whatever has no transport header to see: a later fragment, AH, ESP, and an IPv6 packet
    /// whose routing header still names hops (its checksum covers another destination, RFC 8200 section 8.1).
    Other,
}

/// A packet that this crate cannot take apart. Each one is a reason to drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParseError {
    /// Fewer bytes than its headers promise.
    Truncated,
    /// Neither IPv4 nor IPv6.
    BadVersion,
    /// A header length field below that header's minimum.
    BadHeaderLength,
    /// A total or UDP length that cannot be.
    BadLength,
    /// IPv6 extension headers in an order or number that cannot be.
    BadExtension,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than its headers say",
            Self::BadVersion => "neither IPv4 nor IPv6",
            Self::BadHeaderLength => "header length below the minimum",
            Self::BadLength => "impossible length field",
            Self::BadExtension => "impossible chain of IPv6 extension headers",
        })
    }
}

impl std::error::Error for ParseError {}

/// Options of IPv4 that say which way to go.
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;

/// A parsed packet: plain values and offsets, nothing borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Address family.
    pub family: Family,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Protocol number behind the IP header and the extension headers.
    pub protocol: u8,
    /// Where the transport header (or the payload of a later fragment) starts.
    pub l4_offset: usize,
    /// Bytes that the IP header claims, itself included; the frame may have more behind them. Of a super-packet, all
    /// of it.
    pub total_len: usize,
    /// Fragmentation.
    pub fragment: Fragment,
    /// Routers must not fragment it. Always so for IPv6.
    pub dont_fragment: bool,
    /// Transport header.
    pub l4: L4,
}

impl Packet {
    /// Takes `bytes`, from the IP header on, apart. Bytes behind the IP length are ignored. No checksum is looked at.
    #[inline(always)]
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        parse::packet(bytes)
    }

    /// Source and destination port of TCP, UDP and SCTP.
    #[inline]
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.l4 {
            L4::Tcp { src_port, dst_port, .. }
            | L4::Udp { src_port, dst_port, .. }
            | L4::Sctp { src_port, dst_port, .. } => Some((src_port, dst_port)),
            _ => None,
        }
    }

    /// Its sender has chosen the way for it: a source route (RFC 791 section 3.1), or a routing header that is not used up
    /// (RFC 8200 section 4.4), which hides the transport. `bytes` are those that were parsed.
    pub fn is_source_routed(&self, bytes: &[u8]) -> bool {
        match self.family {
            Family::V4 => parse::ipv4_options(bytes).any(|kind| matches!(kind, LOOSE_ROUTE | STRICT_ROUTE)),
            Family::V6 => {
                self.l4 == L4::Other && self.fragment != Fragment::Later && parse::is_transport(self)
            }
        }
    }

    /// Bytes of network and transport headers: what each segment of a super-packet repeats.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.l4_offset
            + match self.l4 {
                L4::Tcp { header_len, .. } => usize::from(header_len),
                L4::Udp { .. } | L4::Icmp { .. } | L4::Icmp6 { .. } => 8,
                L4::Sctp { .. } => 12,
                L4::Other => 0,
            }
    }

    /// Bytes behind the transport header.
    #[inline]
    pub fn payload_len(&self) -> usize {
        self.total_len - self.header_len()
    }

    /// What stands behind the transport header, in the `bytes` that were parsed. Of a super-packet, all of it.
    #[inline]
    pub fn payload<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.header_len()..self.total_len).unwrap_or_default()
    }

    /// Where the transport checksum is, from the start of the transport header, when there is one to keep right.
    #[inline]
    pub(crate) fn checksum_offset(&self) -> Option<usize> {
        match self.l4 {
            L4::Tcp { .. } => Some(16),
            L4::Udp { .. } => Some(6),
            L4::Sctp { .. } => Some(8),
            L4::Icmp { .. } | L4::Icmp6 { .. } => Some(2),
            L4::Other => None,
        }
    }

    /// The frame's partial checksum is the one of this transport header. It may be another's: of a packet inside a
    /// tunnel, whose outer checksum is then complete.
    #[inline]
    pub(crate) fn is_partial(&self, offload: &Offload) -> bool {
        self.is_own(offload.checksum)
    }

    /// The same of a checksum alone.
    #[inline]
    pub(crate) fn is_own(&self, checksum: Checksum) -> bool {
        match (checksum, self.checksum_offset()) {
            (Checksum::Partial { start, offset }, Some(at)) => {
                usize::from(start) == self.l4_offset && usize::from(offset) == at
            }
            _ => false,
        }
    }
}

/// One line, much as tcpdump would print it.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.family {
            Family::V4 => "IP",
            Family::V6 => "IP6",
        };
        match self.ports() {
            Some((from, to)) => {
                write!(
                    f,
                    "{name} {} > {}: ",
                    SocketAddr::new(self.src, from),
                    SocketAddr::new(self.dst, to)
                )?;
            }
            None => write!(f, "{name} {} > {}: ", self.src, self.dst)?,
        }
        match self.l4 {
            L4::Tcp { seq, ack, flags, .. } => {
                write!(f, "tcp [{flags}] seq {seq}")?;
                if flags.ack() {
                    write!(f, " ack {ack}")?;
                }
                write!(f, " length {}", self.payload_len())?;
            }
            L4::Udp { .. } => write!(f, "udp length {}", self.payload_len())?,
            L4::Sctp { tag, chunk, .. } => write!(f, "sctp chunk {chunk} tag {tag:#010x}")?,
            L4::Icmp { kind, code } => write!(f, "icmp type {kind} code {code}")?,
            L4::Icmp6 { kind, code } => write!(f, "icmp6 type {kind} code {code}")?,
            L4::Other => write!(f, "protocol {} length {}", self.protocol, self.payload_len())?,
        }
        match self.fragment {
            Fragment::None => Ok(()),
            Fragment::First => f.write_str(" (first fragment)"),
            Fragment::Later => f.write_str(" (later fragment)"),
        }
    }
}

#[cfg(test)]
mod tests;
