//! The headers of most packets: whole segments of TCP and datagrams of UDP without options or extensions of IP, so that
//! all there is stands in a place that is known before.

use std::net::IpAddr;

use etherparse::ip_number;

use super::{Family, Fragment, L4, Packet, TcpFlags};
use crate::bytes::{get16, get32};
use crate::edit::{self, Rewrite};
use crate::frame::{Checksum, Frame, Offload};
use crate::gso::Lengths;

const TCP: u8 = ip_number::TCP.0;
const UDP: u8 = ip_number::UDP.0;

/// What they say.
#[derive(Clone, Copy, Debug)]
pub struct Head<const V6: bool> {
    /// Source address; of IPv4 the low bits.
    pub src: u128,
    /// Destination address.
    pub dst: u128,
    /// Source port, and destination port in the low bits.
    pub ports: u32,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Of TCP; otherwise of UDP.
    pub is_tcp: bool,
    /// Control bits of TCP.
    pub flags: TcpFlags,
    /// Routers must not fragment it. Always so for IPv6.
    pub dont_fragment: bool,
    /// How long it is.
    pub lengths: Lengths,
    /// What stands behind the ports: of TCP sequence and acknowledgment number.
    pub words: [u32; 2],
}

/// That of a packet of either family.
#[derive(Clone, Copy, Debug)]
pub enum AnyHead {
    /// Of IPv4.
    V4(Head<false>),
    /// Of IPv6.
    V6(Head<true>),
}

impl AnyHead {
    /// See [`Head::of`].
    #[inline(always)]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Head::of(bytes).map(Self::V4),
            6 => Head::of(bytes).map(Self::V6),
            _ => None,
        }
    }

    /// See [`Head::lengths`].
    #[inline]
    pub const fn lengths(&self) -> Lengths {
        match self {
            Self::V4(head) => head.lengths,
            Self::V6(head) => head.lengths,
        }
    }

    /// The same as what any packet is parsed to.
    #[inline(always)]
    pub(super) fn packet(&self) -> Packet {
        match self {
            Self::V4(head) => head.packet(),
            Self::V6(head) => head.packet(),
        }
    }
}

impl<const V6: bool> Head<V6> {
    const NETWORK: usize = if V6 { 40 } else { 20 };

    /// Of a packet; `None` for whatever is not as it should be, or is anything else.
    #[inline(always)]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        const DONT_FRAGMENT: u16 = 0x4000;
        const MORE_AND_OFFSET: u16 = 0x3fff;
        let (src, dst, ttl, protocol, total, dont_fragment) = if V6 {
            let header = bytes.first_chunk::<40>()?;
            let addr = |at: usize| header[at..].first_chunk::<16>().map(|addr| u128::from_be_bytes(*addr));
            if header[0] >> 4 != 6 {
                return None;
            }
            (addr(8)?, addr(24)?, header[7], header[6], 40 + usize::from(get16(header, 4)), true)
        } else {
            let header = bytes.first_chunk::<20>()?;
            let flags = get16(header, 6);
            if header[0] != 0x45 || flags & MORE_AND_OFFSET != 0 {
                return None;
            }
            let (src, dst) = (get32(header, 12).into(), get32(header, 16).into());
            (src, dst, header[8], header[9], usize::from(get16(header, 2)), flags & DONT_FRAGMENT != 0)
        };
        let l4 = bytes.get(Self::NETWORK..total).filter(|_| !V6 || total <= usize::from(u16::MAX))?;
        let (header_len, flags, words) = match protocol {
            TCP => {
                let header = l4.first_chunk::<20>()?;
                let header_len = usize::from(header[12] >> 4) * 4;
                if header_len < 20 || header_len > l4.len() {
                    return None;
                }
                (header_len, TcpFlags(header[13]), [get32(header, 4), get32(header, 8)])
            }
            UDP => {
                let header = l4.first_chunk::<8>()?;
                let len = usize::from(get16(header, 4));
                if len < 8 || len > l4.len() {
                    return None;
                }
                (8, TcpFlags(0), [get32(header, 4), 0])
            }
            _ => return None,
        };
        let lengths = Lengths { headers: Self::NETWORK + header_len, total };
        let (ports, is_tcp) = (get32(l4, 0), protocol == TCP);
        Some(Self { src, dst, ports, ttl, is_tcp, flags, dont_fragment, lengths, words })
    }

    /// The protocol's number.
    #[inline(always)]
    pub const fn protocol(&self) -> u8 {
        if self.is_tcp { TCP } else { UDP }
    }

    /// The same as what any packet is parsed to.
    #[inline(always)]
    fn packet(&self) -> Packet {
        let addr = |bits: u128| {
            if V6 { IpAddr::V6(bits.into()) } else { IpAddr::V4((bits as u32).into()) }
        };
        let (src_port, dst_port) = ((self.ports >> 16) as u16, self.ports as u16);
        let l4 = if self.is_tcp {
            let header_len = (self.lengths.headers - Self::NETWORK) as u8;
            L4::Tcp {
                src_port,
                dst_port,
                seq: self.words[0],
                ack: self.words[1],
                flags: self.flags,
                header_len,
            }
        } else {
            L4::Udp { src_port, dst_port, len: (self.words[0] >> 16) as u16 }
        };
        Packet {
            family: if V6 { Family::V6 } else { Family::V4 },
            src: addr(self.src),
            dst: addr(self.dst),
            ttl: self.ttl,
            protocol: self.protocol(),
            l4_offset: Self::NETWORK,
            total_len: self.lengths.total,
            fragment: Fragment::None,
            dont_fragment: self.dont_fragment,
            l4,
        }
    }

    /// All that forwarding does to the packet in `frame`, which this is the head of: exchanges what there is to be
    /// exchanged, and gives it one hop more if it is to have that.
    #[inline(always)]
    pub fn forward(&self, frame: &mut Frame, one: Option<&Rewrite>, other: Option<&Rewrite>, hop: bool) {
        let partial = self.is_partial(&frame.offload);
        let bytes = frame.packet_mut();
        edit::forward(bytes, V6, (Self::NETWORK, self.is_tcp, partial), [one, other], hop);
    }

    /// See [`Packet::is_partial`].
    #[inline(always)]
    fn is_partial(&self, offload: &Offload) -> bool {
        match offload.checksum {
            Checksum::Partial { start, offset } => {
                usize::from(start) == Self::NETWORK && offset == if self.is_tcp { 16 } else { 6 }
            }
            Checksum::Complete => false,
        }
    }
}
