//! The checksum of SCTP: CRC32c over header and chunks, its own field taken as zero, stored with the least significant
//! byte first (RFC 9260, section 6.8 and appendix A). Addresses are not part of it.
//!
//! A CRC is linear: what a change of some bits does to it depends on their place alone. So it is kept right without a
//! look at the rest, and a packet that was damaged on its way stays a damaged one.

use crate::bytes::{get16, put16};
use crate::edit::Side;

/// Where the field is.
const FIELD: std::ops::Range<usize> = 8..12;

/// The checksum that this packet, from the SCTP header on, should have. It has a header at least.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    let head = crc32c::crc32c(&bytes[..FIELD.start]);
    crc32c::crc32c_append(crc32c::crc32c_append(head, &[0; 4]), &bytes[FIELD.end..])
}

pub(crate) fn is_right(bytes: &[u8]) -> bool {
    bytes[FIELD] == crc(bytes).to_le_bytes()
}

/// Writes the checksum.
pub(crate) fn put(bytes: &mut [u8]) {
    let crc = crc(bytes);
    bytes[FIELD].copy_from_slice(&crc.to_le_bytes());
}

/// Keeps the checksum right, as far as it is there, of a packet of `len` bytes whose beginning is in `bytes`, after a
/// port has been changed from `old`.
pub(crate) fn port_changed(bytes: &mut [u8], len: usize, side: Side, old: u16) {
    let at = if side == Side::Source { 0 } else { 2 };
    let mut change = [0; 4];
    put16(&mut change, at, old ^ get16(bytes, at));
    if change == [0; 4] || bytes.len() < FIELD.end || len < FIELD.end {
        return;
    }
    let change = crc32c::crc32c(&change) ^ crc32c::crc32c(&[0; 4]);
    let change = crc32c::crc32c_combine(change, 0, len - 4).to_le_bytes();
    bytes[FIELD].iter_mut().zip(change).for_each(|(byte, change)| *byte ^= change);
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use crate::build;
    use crate::checksum::{ChecksumError, verify_frame};
    use crate::edit::{set_destination, set_source};
    use crate::frame::Checksum;
    use crate::packet::{L4, Packet, ParseError};
    use crate::reply;

    fn init() -> build::Build {
        build::sctp("10.0.0.1:1024", "10.0.0.2:80").chunk(1, &[1, 2, 3, 4, 5, 6, 7])
    }

    /// RFC 3720, appendix B.4: the CRC32c of 32 bytes of zeros is 8a9136aa. A packet of zeros has it, since the field is
    /// taken as zero.
    #[test]
    fn the_polynomial_and_the_order_of_bytes() {
        let mut packet = [0; 32];
        super::put(&mut packet);
        assert_eq!(packet[8..12], [0xaa, 0x36, 0x91, 0x8a]);
        assert!(super::is_right(&packet));
    }

    #[test]
    fn edits_keep_a_right_checksum_right_and_a_wrong_one_wrong() {
        let vip: IpAddr = "192.0.2.1".parse().unwrap();
        for len in [0, 1, 2, 3, 4, 5, 100, 1400, 40_000] {
            for (build, verdict) in [
                (init().chunk(0, &vec![7; len]), Ok(())),
                (init().chunk(0, &vec![7; len]).partial(), Ok(())),
                (init().chunk(0, &vec![7; len]).wrong_checksum(), Err(ChecksumError::Transport)),
            ] {
                let mut frame = build.frame();
                let packet = Packet::parse(frame.packet()).unwrap();
                assert_eq!(verify_frame(&frame), verdict, "{len}");
                set_destination(&mut frame, &packet, vip, 8080);
                set_source(&mut frame, &packet, vip, 40_000);
                set_source(&mut frame, &packet, vip, 40_000);
                assert_eq!(verify_frame(&frame), verdict, "{len} after edits");
                assert_eq!(frame.offload.checksum, Checksum::Complete, "nobody else can finish it");
                assert_eq!(Packet::parse(frame.packet()).unwrap().ports(), Some((40_000, 8080)));
            }
        }
    }

    #[test]
    fn the_chunk_that_counts_is_the_first_or_an_abort_behind_a_cookie() {
        let chunk = |build: build::Build| match Packet::parse(&build.bytes()).unwrap().l4 {
            L4::Sctp { src_port, dst_port, tag, chunk } => (src_port, dst_port, tag, chunk),
            other => panic!("{other:?}"),
        };
        let packet = || build::sctp("[fd00::1]:1024", "[fd00::2]:80").tag(0xdead_beef);
        assert_eq!(chunk(packet().chunk(10, &[1; 5])), (1024, 80, 0xdead_beef, 10));
        assert_eq!(chunk(packet().chunk(10, &[1; 5]).chunk(0, &[2; 9])).3, 10);
        assert_eq!(chunk(packet().chunk(10, &[1; 5]).chunk(6, &[])).3, 6);
        assert_eq!(chunk(packet().chunk(11, &[]).chunk(6, &[])).3, 6);
        assert_eq!(chunk(packet().chunk(0, &[1; 5]).chunk(6, &[])).3, 0);
        let none = build::sctp("10.0.0.1:1", "10.0.0.2:2").bytes();
        assert_eq!(Packet::parse(&none), Err(ParseError::Truncated));
    }

    #[test]
    fn it_is_quoted_as_it_would_have_been_on_the_wire() {
        let mut frame = init().partial().frame();
        let packet = Packet::parse(frame.packet()).unwrap();
        assert!(reply::icmp_unreachable_port(&mut frame, &packet, packet.dst));
        assert_eq!(frame.packet()[28..], init().bytes()[..]);
        verify_frame(&frame).unwrap();
    }
}
