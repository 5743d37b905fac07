//! Super-packets in numbers: what they become on the wire.

use crate::frame::{Frame, GsoKind, Offload};
use crate::packet::Packet;

/// How long a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Bytes of network and transport headers.
    pub headers: usize,
    /// Bytes of all of it, less than 2^16.
    pub total: usize,
}

impl Lengths {
    /// Those of a packet.
    #[inline]
    pub fn of(packet: &Packet) -> Self {
        Self { headers: packet.header_len(), total: packet.total_len }
    }

    /// Bytes behind the transport header.
    #[inline]
    pub const fn payload(self) -> usize {
        self.total - self.headers
    }

    /// As [`segments`].
    #[inline]
    pub fn segments(self, offload: &Offload) -> u32 {
        if offload.gso == GsoKind::None || offload.gso_size == 0 {
            return 1;
        }
        (self.payload() as u32).div_ceil(offload.gso_size.into()).max(1)
    }

    /// As [`wire_bytes`], with so many segments.
    #[inline]
    pub const fn wire_bytes(self, segments: u32) -> u64 {
        self.total as u64 + (segments - 1) as u64 * self.headers as u64
    }

    /// As [`largest`], with so many segments.
    #[inline]
    pub fn largest(self, offload: &Offload, segments: u32) -> usize {
        if segments == 1 { self.total } else { self.headers + usize::from(offload.gso_size) }
    }
}

/// Packets that this frame becomes on the wire: 1 without GSO.
#[inline]
pub fn segments(frame: &Frame, packet: &Packet) -> u32 {
    Lengths::of(packet).segments(&frame.offload)
}

/// Bytes that this frame becomes on the wire, IP headers included: each segment repeats the headers.
#[inline]
pub fn wire_bytes(frame: &Frame, packet: &Packet) -> u64 {
    Lengths::of(packet).wire_bytes(segments(frame, packet))
}

/// IP length of the largest packet that this frame becomes on the wire: what has to fit the MTU.
#[inline]
pub fn largest(frame: &Frame, packet: &Packet) -> usize {
    Lengths::of(packet).largest(&frame.offload, segments(frame, packet))
}

#[cfg(test)]
mod tests {
    use crate::build;
    use crate::packet::Packet;

    fn numbers(payload: usize, size: u16) -> (u32, u64, usize) {
        let frame = build::tcp("10.0.0.1:1", "10.0.0.2:2").ack(1).payload_len(payload).gso(size).frame();
        let packet = Packet::parse(frame.packet()).unwrap();
        (
            super::segments(&frame, &packet),
            super::wire_bytes(&frame, &packet),
            super::largest(&frame, &packet),
        )
    }

    #[test]
    fn a_plain_packet_is_itself() {
        assert_eq!(numbers(1000, 0), (1, 1040, 1040));
        assert_eq!(numbers(0, 0), (1, 40, 40));
    }

    #[test]
    fn segments_repeat_the_headers() {
        assert_eq!(numbers(3000, 1000), (3, 3120, 1040));
        assert_eq!(numbers(3001, 1000), (4, 3161, 1040));
        assert_eq!(numbers(65_495, 1460), (45, 65_535 + 44 * 40, 1500));
    }

    #[test]
    fn a_super_packet_may_have_one_segment() {
        assert_eq!(numbers(999, 1000), (1, 1039, 1039));
        assert_eq!(numbers(1000, 1000), (1, 1040, 1040));
        assert_eq!(numbers(0, 1000), (1, 40, 40));
    }
}
