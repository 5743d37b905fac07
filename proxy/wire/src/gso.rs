//! Super-packets in numbers: what they become on the wire.

use crate::frame::{Frame, GsoKind};
use crate::packet::Packet;

/// Packets that this frame becomes on the wire: 1 without GSO.
#[inline]
pub fn segments(frame: &Frame, packet: &Packet) -> u32 {
    if frame.offload.gso == GsoKind::None || frame.offload.gso_size == 0 {
        return 1;
    }
    // A packet has less than 2^16 bytes.
    packet.payload_len().div_ceil(usize::from(frame.offload.gso_size)).max(1) as u32
}

/// Bytes that this frame becomes on the wire, IP headers included: each segment repeats the headers.
#[inline]
pub fn wire_bytes(frame: &Frame, packet: &Packet) -> u64 {
    packet.total_len as u64 + u64::from(segments(frame, packet) - 1) * packet.header_len() as u64
}

/// IP length of the largest packet that this frame becomes on the wire: what has to fit the MTU.
#[inline]
pub fn largest(frame: &Frame, packet: &Packet) -> usize {
    if segments(frame, packet) == 1 {
        packet.total_len
    } else {
        packet.header_len() + usize::from(frame.offload.gso_size)
    }
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
