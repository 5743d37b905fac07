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
        match packet.l4 {
            L4::Tcp { .. } | L4::Udp { .. } => forward(frame, packet, Some(self), None, false),
            _ => set(frame, packet, self.side, self.to.into(), self.port),
        }
    }
}

/// All that forwarding does to a segment of TCP or a datagram of UDP, at once: exchanges what there is to be exchanged, and
/// gives it one hop more if it is to have that. There has to be room for the hop.
#[inline(always)]
pub fn forward(
    frame: &mut Frame,
    packet: &Packet,
    one: Option<&Rewrite>,
    other: Option<&Rewrite>,
    hop: bool,
) {
    let partial = packet.is_partial(&frame.offload);
    let bytes = frame.packet_mut();
    let none = FoldedDelta::default();
    let (mut addr, mut both) = one.map_or((none, none), |one| (one.addr, one.both));
    if let Some(other) = other {
        (addr, both) = (addr.and(other.addr), both.and(other.both));
    }
    let rewrites = [one, other];
    let rewrites = rewrites.iter().flatten();
    match packet.family {
        Family::V4 => {
            let Some(header) = bytes.first_chunk_mut::<20>() else { return };
            for rewrite in rewrites.clone() {
                if let Addr::V4(octets) = rewrite.to {
                    let at = if rewrite.side == Side::Source { 12 } else { 16 };
                    header[at..at + 4].copy_from_slice(&octets);
                }
            }
            let delta = if hop { addr.and(FoldedDelta::HOP) } else { addr };
            header[8] += u8::from(hop);
            let field = get16(header, 10);
            put16(header, 10, delta.apply(field));
        }
        Family::V6 => {
            let Some(header) = bytes.first_chunk_mut::<40>() else { return };
            for rewrite in rewrites.clone() {
                if let Addr::V6(octets) = rewrite.to {
                    let at = if rewrite.side == Side::Source { 8 } else { 24 };
                    header[at..at + 16].copy_from_slice(&octets);
                }
            }
            header[7] += u8::from(hop);
        }
    }
    if one.is_none() && other.is_none() {
        return;
    }
    let Some(l4) = bytes.get_mut(packet.l4_offset..) else { return };
    for rewrite in rewrites {
        put16(l4, if rewrite.side == Side::Source { 0 } else { 2 }, rewrite.port);
    }
    let udp = matches!(packet.l4, L4::Udp { .. });
    let at = if udp { 6 } else { 16 };
    let field = get16(l4, at);
    let field = match (partial, udp) {
        (true, _) => addr.apply_partial(field),
        (false, true) => both.apply_udp(field),
        (false, false) => both.apply(field),
    };
    put16(l4, at, field);
}
