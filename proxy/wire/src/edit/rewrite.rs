//! Edits of packet after packet in the same way: all that can be known of them before is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Side, set};
use crate::bytes::{get16, put16};
use crate::checksum::{Delta, FoldedDelta};
use crate::frame::Frame;
use crate::packet::{Family, L4, Packet};

/// An address and port to be exchanged for others in packet after packet: all that can be known of it before.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite {
    side: Side,
    to: Addr,
    port: u16,
    /// What that changes in the sum of addresses,
    addr: FoldedDelta,
    /// and in that of addresses and ports.
    both: FoldedDelta,
}

/// As it stands in a packet.
#[derive(Clone, Copy, Debug)]
enum Addr {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl From<IpAddr> for Addr {
    #[inline]
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(addr) => Self::V4(addr.octets()),
            IpAddr::V6(addr) => Self::V6(addr.octets()),
        }
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> Self {
        match addr {
            Addr::V4(octets) => Self::V4(Ipv4Addr::from(octets)),
            Addr::V6(octets) => Self::V6(Ipv6Addr::from(octets)),
        }
    }
}

impl Rewrite {
    /// On this side every packet has `from`, and is to have `to`, which is of the same family.
    #[inline]
    pub fn new(side: Side, from: SocketAddr, to: SocketAddr) -> Self {
        let of_one_family = from.is_ipv4() == to.is_ipv4();
        let addr = if of_one_family { Delta::default().addr(from.ip(), to.ip()) } else { Delta::default() };
        let both = addr.word(from.port(), to.port());
        Self { side, to: to.ip().into(), port: to.port(), addr: addr.folded(), both: both.folded() }
    }

    /// The port that packets get.
    #[inline]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Does what [`set`] does, to a packet that has what it should have.
    #[inline]
    pub fn apply(&self, frame: &mut Frame, packet: &Packet) {
        let is_tcp = match packet.l4 {
            L4::Tcp { .. } => true,
            L4::Udp { .. } => false,
            _ => return set(frame, packet, self.side, self.to.into(), self.port),
        };
        let l4 = (packet.l4_offset, is_tcp, packet.is_partial(&frame.offload));
        forward(frame.packet_mut(), packet.family == Family::V6, l4, [Some(self), None], false);
    }
}

/// All that forwarding does to a segment of TCP or a datagram of UDP, at once. There has to be room for the hop that it gets.
/// Of the transport header it has to know where it is, whether it is TCP's, and whether its checksum is partial.
#[inline(always)]
pub(crate) fn forward(
    bytes: &mut [u8],
    v6: bool,
    (l4_offset, is_tcp, partial): (usize, bool, bool),
    [one, other]: [Option<&Rewrite>; 2],
    hop: bool,
) {
    let (mut addr, mut both) = (FoldedDelta::default(), FoldedDelta::default());
    if let Some(rewrite) = one {
        (addr, both) = (rewrite.addr, rewrite.both);
        rewrite.put(bytes, v6, l4_offset);
    }
    if let Some(rewrite) = other {
        (addr, both) = (addr.and(rewrite.addr), both.and(rewrite.both));
        rewrite.put(bytes, v6, l4_offset);
    }
    if v6 {
        bytes[7] += u8::from(hop);
    } else if let Some(header) = bytes.first_chunk_mut::<20>() {
        let delta = if hop { addr.and(FoldedDelta::HOP) } else { addr };
        header[8] += u8::from(hop);
        let field = get16(header, 10);
        put16(header, 10, delta.apply(field));
    }
    if one.is_none() && other.is_none() {
        return;
    }
    let at = l4_offset + if is_tcp { 16 } else { 6 };
    let field = get16(bytes, at);
    let field = match (partial, is_tcp) {
        (true, _) => addr.apply_partial(field),
        (false, false) => both.apply_udp(field),
        (false, true) => both.apply(field),
    };
    put16(bytes, at, field);
}

impl Rewrite {
    /// Writes address and port.
    #[inline(always)]
    fn put(&self, bytes: &mut [u8], v6: bool, l4_offset: usize) {
        let is_source = self.side == Side::Source;
        match self.to {
            Addr::V4(octets) if !v6 => {
                let at = if is_source { 12 } else { 16 };
                bytes[at..at + 4].copy_from_slice(&octets);
            }
            Addr::V6(octets) if v6 => {
                let at = if is_source { 8 } else { 24 };
                bytes[at..at + 16].copy_from_slice(&octets);
            }
            _ => {}
        }
        put16(bytes, l4_offset + if is_source { 0 } else { 2 }, self.port);
    }
}
