//! The Internet checksum: RFC 1071 sums, RFC 1624 updates, and the partial form that offloads use.
//!
//! A *complete* checksum field holds the complement of the sum. A *partial* one holds the pseudo-header's sum itself,
//! not complemented, and whoever sends the packet last adds the rest. So the same [`Delta`] is applied to the two in
//! two ways.

use std::fmt;
use std::net::IpAddr;

use crate::bytes::{get16, put16};
use crate::frame::{Checksum, Frame, GsoKind, Offload};
use crate::packet::{Family, Fragment, L4, Packet, ParseError};
use crate::sctp;

/// Folds an accumulated sum of 16- or 32-bit words to 16 bits with end-around carry. Only 0 gives 0.
#[inline]
pub const fn fold(sum: u64) -> u16 {
    // 64 bits to 33, to 18, to 17, to 16.
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The one's complement sum of `bytes` as big-endian words, an odd last byte padded with zero; not complemented.
pub fn sum(bytes: &[u8]) -> u16 {
    // Summed in the machine's byte order and swapped at the end (RFC 1071 section 2 B).
    let mut chunks = bytes.chunks_exact(8);
    let mut acc = 0u64;
    for chunk in &mut chunks {
        acc += u64::from(u32::from_ne_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
        acc += u64::from(u32::from_ne_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]));
    }
    for pair in chunks.remainder().chunks(2) {
        acc += u64::from(u16::from_ne_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    u16::from_be(fold(acc))
}

/// The one's complement sum of two sums.
#[inline]
pub const fn add(a: u16, b: u16) -> u16 {
    fold(a as u64 + b as u64)
}

/// The sum of a transport pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1); `len` is the transport length,
/// header included. Two addresses of different families give the sum of what is there.
pub fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, len: u32) -> u16 {
    fold(words(src) + words(dst) + u64::from(protocol) + u64::from(len))
}

/// The change that edits make to a sum: for each 16-bit word of the checksummed data, the new value minus the old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta(u64);

impl Delta {
    /// And a word changed from `old` to `new`.
    #[inline]
    #[must_use]
    pub const fn word(self, old: u16, new: u16) -> Self {
        Self(self.0 + !old as u64 + new as u64)
    }

    /// And an address changed from `old` to `new`. The two are of one family.
    #[inline]
    #[must_use]
    pub fn addr(self, old: IpAddr, new: IpAddr) -> Self {
        // The complement of an address is that of each of its words: their number times 0xffff, minus their sum.
        let complement = match old {
            IpAddr::V4(old) => words(IpAddr::V4((!old.to_bits()).into())),
            IpAddr::V6(old) => words(IpAddr::V6((!old.to_bits()).into())),
        };
        Self(self.0 + complement + words(new))
    }

    /// And all that `other` says.
    #[inline]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The new value of a complete checksum field: RFC 1624 equation 3.
    #[inline]
    pub const fn apply(self, field: u16) -> u16 {
        !fold(!field as u64 + self.0)
    }

    /// The new value of a complete UDP checksum field. Zero says that there is none and stays (RFC 768); a computed
    /// zero is sent as all ones.
    #[inline]
    pub const fn apply_udp(self, field: u16) -> u16 {
        if field == 0 {
            return 0;
        }
        match self.apply(field) {
            0 => 0xffff,
            sum => sum,
        }
    }

    /// The new value of a partial checksum field, where only the pseudo-header counts.
    #[inline]
    pub const fn apply_partial(self, field: u16) -> u16 {
        fold(field as u64 + self.0)
    }
}

/// A [`Delta`] that is applied again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoldedDelta(u16);

impl Delta {
    /// The same in 16 bits.
    pub const fn folded(self) -> FoldedDelta {
        FoldedDelta(fold(self.0))
    }
}

impl FoldedDelta {
    /// A word changed from `old` to `new`.
    #[inline]
    pub const fn word(old: u16, new: u16) -> Self {
        Self(new).and_word(!old)
    }

    /// One hop more in the word of an IPv4 header that has it.
    pub const HOP: Self = Self::word(0, 0x100);

    /// And all that `other` says.
    #[inline]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        self.and_word(other.0)
    }

    #[inline]
    const fn and_word(self, word: u16) -> Self {
        let (sum, carry) = self.0.overflowing_add(word);
        Self(sum + carry as u16)
    }

    /// As [`Delta::apply`].
    #[inline]
    pub const fn apply(self, field: u16) -> u16 {
        !self.apply_partial(!field)
    }

    /// As [`Delta::apply_udp`].
    #[inline]
    pub const fn apply_udp(self, field: u16) -> u16 {
        match (field, self.apply(field)) {
            (0, _) => 0,
            (_, 0) => 0xffff,
            (_, sum) => sum,
        }
    }

    /// As [`Delta::apply_partial`].
    #[inline]
    pub const fn apply_partial(self, field: u16) -> u16 {
        self.and_word(field).0
    }
}

/// The sum of an address, to be folded.
#[inline]
fn words(addr: IpAddr) -> u64 {
    match addr {
        IpAddr::V4(addr) => u64::from(addr.to_bits()),
        IpAddr::V6(addr) => {
            let bits = addr.to_bits();
            (bits & 0xffff_ffff) as u64
                + (bits >> 32 & 0xffff_ffff) as u64
                + (bits >> 64 & 0xffff_ffff) as u64
                + (bits >> 96) as u64
        }
    }
}

/// Which check a packet failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumError {
    /// It does not parse.
    Parse(ParseError),
    /// The IPv4 header's.
    Network,
    /// That of TCP, UDP, SCTP, ICMP or ICMPv6; for UDP over IPv6 also when there is none (RFC 8200 section 8.1).
    Transport,
}

impl fmt::Display for ChecksumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(error) => error.fmt(f),
            Self::Network => f.write_str("wrong IPv4 header checksum"),
            Self::Transport => f.write_str("wrong transport checksum"),
        }
    }
}

impl std::error::Error for ChecksumError {}

/// Checks all checksums of a packet whose transport checksum is complete. What cannot be seen in one packet (the
/// transport checksum of a fragment) or is not known ([`L4::Other`]) passes.
pub fn verify(bytes: &[u8]) -> Result<(), ChecksumError> {
    let packet = Packet::parse(bytes).map_err(ChecksumError::Parse)?;
    network(bytes, &packet)?;
    transport(bytes, &packet)
}

/// Checks all checksums of a frame. A partial one has to hold the pseudo-header's sum.
pub fn verify_frame(frame: &Frame) -> Result<(), ChecksumError> {
    let bytes = frame.packet();
    let packet = Packet::parse(bytes).map_err(ChecksumError::Parse)?;
    network(bytes, &packet)?;
    let Some(at) = packet.checksum_offset().filter(|_| packet.is_partial(&frame.offload)) else {
        return transport(bytes, &packet);
    };
    if let L4::Sctp { .. } = packet.l4 {
        // There is no pseudo-header, and so nothing in the field.
        return Ok(());
    }
    let field = get16(bytes, packet.l4_offset + at);
    // Zero has two forms.
    if (u32::from(field)) % 0xffff == u32::from(pseudo(&packet)) % 0xffff {
        Ok(())
    } else {
        Err(ChecksumError::Transport)
    }
}

/// Whether the checksum of an IPv4 header is right; IPv6 has none. `packet` is the parse of `bytes`.
pub fn is_header_right(bytes: &[u8], packet: &Packet) -> bool {
    network(bytes, packet).is_ok()
}

/// Finishes a partial checksum. `false`, with nothing changed, where that cannot be done: a super-packet has one
/// checksum for each of its segments, and metadata may point outside the transport packet.
pub fn complete(frame: &mut Frame) -> bool {
    let Checksum::Partial { start, offset } = frame.offload.checksum else { return true };
    let Ok(packet) = Packet::parse(frame.packet()) else { return false };
    let (start, field) = (usize::from(start), usize::from(start) + usize::from(offset));
    if frame.offload.gso != GsoKind::None || start < packet.l4_offset || field + 2 > packet.total_len {
        return false;
    }
    let sctp = matches!(packet.l4, L4::Sctp { .. }) && packet.is_partial(&frame.offload);
    let bytes = &mut frame.packet_mut()[..packet.total_len];
    if sctp {
        sctp::put(&mut bytes[start..]);
        frame.offload = Offload::default();
        return true;
    }
    // The field is part of the sum: it holds the pseudo-header's.
    let sum = !sum(&bytes[start..]);
    let udp = offset == 6;
    put16(bytes, field, if udp && sum == 0 { 0xffff } else { sum });
    // Without a super-packet and a partial checksum the rest of the metadata says nothing.
    frame.offload = Offload::default();
    true
}

fn network(bytes: &[u8], packet: &Packet) -> Result<(), ChecksumError> {
    if packet.family == Family::V6 {
        return Ok(());
    }
    let header = usize::from(bytes[0] & 0xf) * 4;
    if sum(&bytes[..header]) == 0xffff { Ok(()) } else { Err(ChecksumError::Network) }
}

/// Checks a complete transport checksum.
pub(crate) fn transport(bytes: &[u8], packet: &Packet) -> Result<(), ChecksumError> {
    let Some(at) = packet.checksum_offset().filter(|_| packet.fragment == Fragment::None) else {
        return Ok(());
    };
    let bytes = &bytes[packet.l4_offset..][..transport_len(packet)];
    if let L4::Sctp { .. } = packet.l4 {
        return if sctp::is_right(bytes) { Ok(()) } else { Err(ChecksumError::Transport) };
    }
    let udp = matches!(packet.l4, L4::Udp { .. });
    let right = if udp && get16(bytes, at) == 0 {
        packet.family == Family::V4
    } else {
        add(sum(bytes), pseudo(packet)) == 0xffff
    };
    if right { Ok(()) } else { Err(ChecksumError::Transport) }
}

/// The partial checksum of a TCP or UDP packet that nobody tells of, seen by its value: the field has the sum of the
/// pseudo-header.
pub(crate) fn unfinished(bytes: &[u8], packet: &Packet) -> Option<Checksum> {
    let (L4::Tcp { .. } | L4::Udp { .. }, Fragment::None) = (packet.l4, packet.fragment) else { return None };
    let at = packet.checksum_offset()?;
    let field = get16(bytes, packet.l4_offset + at);
    let checksum = Checksum::Partial { start: packet.l4_offset as u16, offset: at as u16 };
    // Zero has two forms.
    (field % 0xffff == pseudo(packet) % 0xffff).then_some(checksum)
}

/// The sum of the packet's own pseudo-header; that of ICMP is empty.
pub(crate) fn pseudo(packet: &Packet) -> u16 {
    match packet.l4 {
        L4::Icmp { .. } => 0,
        _ => pseudo_header(packet.src, packet.dst, packet.protocol, transport_len(packet) as u32),
    }
}

/// Bytes that the transport checksum covers. Those behind a UDP length are padding.
fn transport_len(packet: &Packet) -> usize {
    match packet.l4 {
        L4::Udp { len, .. } => usize::from(len),
        _ => packet.total_len - packet.l4_offset,
    }
}

#[cfg(test)]
mod tests;
