//! Packets inside packets: IPIP (RFC 2003, RFC 4213, RFC 2473), GRE (RFC 2784) and Generic UDP Encapsulation version 0
//! (draft-ietf-intarea-gue), with either family inside either. What is written is, byte for byte, what IPVS writes.
//!
//! An [`Encap`] beside a frame's packet says that it is to travel so; a [`Wrapper`] makes the packets that go on the
//! wire: super-packets are cut into segments first, as no sender knows how to cut them inside, and what is too long
//! for the path goes in fragments.

mod fragments;
mod header;

use std::net::IpAddr;

use crate::checksum;
use crate::frame::{Checksum, Frame, GsoKind};
use crate::gso;
use crate::packet::{Family, L4, Packet};
use crate::segment::Segments;

use fragments::Fragments;

/// What stands between the outer IP header and the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncapKind {
    /// Nothing.
    Ipip,
    /// A GRE header.
    Gre {
        /// With a checksum over header and packet.
        checksum: bool,
    },
    /// A UDP and a GUE header.
    Gue {
        /// Of the server's end.
        port: u16,
        /// Stands for the flow, so that what balances by ports keeps a flow together.
        source_port: u16,
        /// What protects the packet.
        checksum: GueChecksum,
    },
}

/// What protects a packet inside GUE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GueChecksum {
    /// Nothing, nor the outer header: a UDP checksum of zero (for IPv6: RFC 6935).
    None,
    /// The UDP checksum.
    Full,
    /// The UDP checksum; and a transport checksum inside that is partial is left to the other end.
    Remote,
}

/// The packet around a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encap {
    /// What stands between.
    pub kind: EncapKind,
    /// Outer source.
    pub src: IpAddr,
    /// Outer destination, of the same family.
    pub dst: IpAddr,
    /// Outer type of service, traffic class.
    pub class: u8,
    /// Outer time to live, hop limit.
    pub ttl: u8,
    /// Neither routers nor we may cut the outer packet. Over IPv6 we alone may.
    pub dont_fragment: bool,
    /// Outer identification of the first packet; those that follow count up. IPv4 has the low 16 bits of it.
    pub id: u32,
    /// Longest outer packet in bytes, the others are cut; 0 for any length.
    pub mtu: u32,
}

impl EncapKind {
    /// Bytes that it adds at most to each packet, outer IP header included.
    pub const fn overhead(self, outer: Family) -> usize {
        let ip = match outer {
            Family::V4 => header::V4,
            Family::V6 => header::V6,
        };
        ip + match self {
            Self::Ipip => 0,
            Self::Gre { checksum: false } => 4,
            Self::Gre { checksum: true } => 8,
            Self::Gue { checksum: GueChecksum::None | GueChecksum::Full, .. } => 12,
            Self::Gue { checksum: GueChecksum::Remote, .. } => 20,
        }
    }
}

/// The class of the packet around this one: the same, but congestion experienced inside is said to be ECN-capable
/// outside (RFC 3168 section 9.1.1, the full functionality option). 0 for what is no packet.
pub fn outer_class(packet: &[u8]) -> u8 {
    const CE: u8 = 3;
    const ECT_0: u8 = 2;
    let inner = match packet {
        [first, second, ..] if first >> 4 == 6 => first << 4 | second >> 4,
        [_, second, ..] => *second,
        _ => 0,
    };
    if inner & CE == CE { inner & !CE | ECT_0 } else { inner }
}

/// Makes packets around packets. Its buffers are allocated once.
#[derive(Debug, Default)]
pub struct Wrapper {
    segment: Frame,
    piece: Frame,
}

/// A frame that cannot be put into packets: it does not parse, is too long, or its metadata are not its own; or the two
/// outer addresses are of two families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwrappable;

impl Wrapper {
    /// Hands each packet around the frame's to `send`, in order: finished, no metadata. The content of `frame` is
    /// unspecified afterwards.
    ///
    /// # Errors
    /// [`Unwrappable`], with nothing sent.
    pub fn wrap(
        &mut self,
        frame: &mut Frame,
        encap: &Encap,
        mut send: impl FnMut(&mut Frame),
    ) -> Result<(), Unwrappable> {
        let packet = Packet::parse(frame.packet()).map_err(|_| Unwrappable)?;
        // The other end sums; it cannot do the CRC of SCTP.
        let remote = matches!(encap.kind, EncapKind::Gue { checksum: GueChecksum::Remote, .. })
            && matches!(packet.l4, L4::Tcp { .. } | L4::Udp { .. });
        let outer = Family::from(encap.dst);
        let longest = gso::largest(frame, &packet) + encap.kind.overhead(outer);
        if Family::from(encap.src) != outer || longest > usize::from(u16::MAX) {
            return Err(Unwrappable);
        }
        let mut encap = *encap;
        if frame.offload.gso == GsoKind::None {
            frame.resize(packet.total_len);
            let left_to_them = remote && packet.is_partial(&frame.offload);
            if !left_to_them && !checksum::complete(frame) {
                return Err(Unwrappable);
            }
            header::push(frame, packet.family, &encap);
            cut(&mut self.piece, frame, &encap, &mut send);
            return Ok(());
        }
        let mut segments = Segments::of(frame, &packet, !remote).ok_or(Unwrappable)?;
        while segments.next_into(&mut self.segment) {
            header::push(&mut self.segment, packet.family, &encap);
            cut(&mut self.piece, &mut self.segment, &encap, &mut send);
            encap.id = encap.id.wrapping_add(1);
        }
        Ok(())
    }
}

/// Sends an outer packet in as many pieces as it takes.
fn cut(piece: &mut Frame, whole: &mut Frame, encap: &Encap, send: &mut impl FnMut(&mut Frame)) {
    let mtu = encap.mtu as usize;
    if mtu == 0 || whole.len() <= mtu || encap.dont_fragment {
        return send(whole);
    }
    let mut fragments = Fragments::of(whole, encap.id, mtu);
    while fragments.next_into(piece) {
        send(piece);
    }
}

/// Where a partial transport checksum starts and where it is, from the start of the packet.
fn remote_checksum(checksum: Checksum) -> Option<(u16, u16)> {
    match checksum {
        Checksum::Partial { start, offset } => Some((start, start + offset)),
        Checksum::Complete => None,
    }
}

#[cfg(test)]
mod tests;
