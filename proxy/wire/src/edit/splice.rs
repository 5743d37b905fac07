//! Bytes of a payload exchanged for others, perhaps more or fewer.

use std::ops::Range;

use super::update_v4_header;
use crate::bytes::{get16, put16};
use crate::checksum::{self, Delta};
use crate::frame::{Frame, MAX_PACKET};
use crate::packet::parse::V6_HEADER;
use crate::packet::{Family, L4, Packet};

/// Puts `with` in place of `range` of a TCP payload; what is behind it moves. Lengths and checksums follow, in every
/// form, and a checksum that was wrong stays wrong. `false`, with nothing changed, when this is no TCP, when the range is
/// not in the payload, or when the packet would get too long.
///
/// The parse no longer fits the frame afterwards.
pub fn splice(frame: &mut Frame, packet: &Packet, range: Range<usize>, with: &[u8]) -> bool {
    let header = packet.header_len();
    let (from, to) = (header + range.start, header + range.end);
    let (old_len, new_len) = (packet.total_len, (packet.total_len + with.len()).saturating_sub(range.len()));
    if !matches!(packet.l4, L4::Tcp { .. }) || from > to || to > old_len || new_len > MAX_PACKET {
        return false;
    }
    let partial = packet.is_partial(&frame.offload);
    // Summed from a word's beginning on.
    let word = from - (from - packet.l4_offset) % 2;
    let before = checksum::sum(&frame.packet()[word..old_len]);
    frame.resize(old_len.max(new_len));
    let bytes = frame.packet_mut();
    bytes.copy_within(to..old_len, from + with.len());
    bytes[from..from + with.len()].copy_from_slice(with);
    frame.resize(new_len);
    let bytes = frame.packet_mut();
    let after = checksum::sum(&bytes[word..]);
    match packet.family {
        Family::V4 => {
            put16(bytes, 2, new_len as u16);
            update_v4_header(bytes, Delta::default().word(old_len as u16, new_len as u16));
        }
        Family::V6 => put16(bytes, 4, (new_len - V6_HEADER) as u16),
    }
    let lengths = [old_len, new_len].map(|len| (len - packet.l4_offset) as u16);
    let delta = Delta::default().word(lengths[0], lengths[1]);
    let l4 = &mut bytes[packet.l4_offset..];
    let field = get16(l4, 16);
    let field = if partial { delta.apply_partial(field) } else { delta.word(before, after).apply(field) };
    put16(l4, 16, field);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Build, tcp};

    const ENDS: [[&str; 2]; 2] = [["10.0.0.1:1", "10.0.0.2:2"], ["[2001:db8::1]:1", "[2001:db8::2]:2"]];

    fn spliced(build: &Build, range: Range<usize>, with: &[u8]) -> Frame {
        let mut frame = build.frame();
        let packet = Packet::parse(frame.packet()).unwrap();
        assert!(splice(&mut frame, &packet, range, with));
        frame
    }

    #[test]
    fn bytes_are_exchanged_wherever_they_are_and_the_checksums_stay_right() {
        let old = b"0123456789";
        for [from, to] in ENDS {
            let of = |payload: &[u8]| tcp(from, to).seq(5).ack(9).payload(payload);
            for start in 0..=old.len() {
                for end in start..=old.len() {
                    for with in [&b""[..], b"x", b"yz", b"a longer one"] {
                        let new = [&old[..start], with, &old[end..]].concat();
                        let frame = spliced(&of(old), start..end, with);
                        assert_eq!(frame.packet(), of(&new).bytes(), "{start}..{end} {with:?}");
                        let frame = spliced(&of(old).partial(), start..end, with);
                        assert_eq!(frame.packet(), of(&new).partial().frame().packet());
                        assert_eq!(checksum::verify_frame(&frame), Ok(()));
                    }
                }
            }
        }
    }

    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let mut frame = tcp("10.0.0.1:1", "10.0.0.2:2").ack(9).payload(b"hello").frame();
        let packet = Packet::parse(frame.packet()).unwrap();
        frame.packet_mut()[packet.header_len() + 4] ^= 1;
        assert!(splice(&mut frame, &packet, 1..2, b"EE"));
        assert!(checksum::verify_frame(&frame).is_err());
    }

    #[test]
    fn what_cannot_be_is_left() {
        let tcp = tcp("10.0.0.1:1", "10.0.0.2:2").ack(9).payload(b"hello");
        let udp = crate::build::udp("10.0.0.1:1", "10.0.0.2:2").payload(b"hello");
        for (build, range, len) in [(&tcp, 3..6, 0), (&tcp, 0..1, MAX_PACKET), (&udp, 0..1, 1)] {
            let mut frame = build.frame();
            let packet = Packet::parse(frame.packet()).unwrap();
            assert!(!splice(&mut frame, &packet, range, &vec![0; len]));
            assert_eq!(frame.packet(), build.frame().packet());
        }
    }
}
