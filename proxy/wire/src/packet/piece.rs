//! What a fragment is of its datagram (RFC 791 section 3.2, RFC 8200 section 4.5).

use etherparse::IpNumber;
use etherparse::ip_number::IPV6_FRAG;

use super::parse::{V6_HEADER, is_extension};
use super::{Family, Packet};
use crate::bytes::{get16, get32, put16, put32};
use crate::checksum::Delta;
use crate::edit;
use crate::frame::Frame;

/// The longest datagram that fragments can make.
const MAX_DATAGRAM: usize = 65_535;
/// Fragments begin at multiples of this many bytes.
const UNIT: usize = 8;

/// The part of a datagram that one fragment carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Identification of the datagram: 16 bits of IPv4, 32 of IPv6.
    pub id: u32,
    /// Where it begins, in bytes of what can be fragmented.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
    /// The datagram ends with it.
    pub last: bool,
}

impl Packet {
    /// What the fragment in `bytes` carries, of which this is the parse. `None` when that cannot be: nothing, a length
    /// that leaves a gap before the next one, an end beyond that of the longest datagram, or no fragment at all.
    pub fn piece(&self, bytes: &[u8]) -> Option<Piece> {
        let at = self.fragment_field(bytes)?;
        let (id, field, header, whole) = match self.family {
            Family::V4 => {
                let (field, header) = (get16(bytes, at), usize::from(bytes[0] & 0xf) * 4);
                let (offset, more) = (usize::from(field & 0x1fff) * UNIT, field & 0x2000 != 0);
                (u32::from(get16(bytes, 4)), (offset, more), header, header)
            }
            Family::V6 => {
                let field = get16(bytes, at + 2);
                let (offset, more) = (usize::from(field & !7), field & 1 != 0);
                // The headers before the fragment header count as well.
                (get32(bytes, at + 4), (offset, more), at + 8, at - V6_HEADER)
            }
        };
        let (start, more) = field;
        let len = self.total_len.checked_sub(header)?;
        let end = start + len;
        let right = len > 0 && (!more || len.is_multiple_of(UNIT)) && end + whole <= MAX_DATAGRAM;
        (right && (more || start > 0)).then_some(Piece {
            id,
            start: start as u32,
            end: end as u32,
            last: !more,
        })
    }

    /// Where the field is that says of an IPv4 packet how it was cut, or where the fragment header is.
    fn fragment_field(&self, bytes: &[u8]) -> Option<usize> {
        if self.family == Family::V4 {
            return Some(6);
        }
        let (mut next, mut at) = (bytes[6], V6_HEADER);
        while next != IPV6_FRAG.0 {
            if !is_extension(IpNumber(next)) || at >= self.l4_offset {
                return None;
            }
            next = bytes[at];
            at += (usize::from(bytes[at + 1]) + 1) * UNIT;
        }
        (at + UNIT <= self.total_len).then_some(at)
    }
}

/// Gives a fragment another identification; IPv4 has the low 16 bits of it. All fragments of a datagram have to get the
/// same. What is no fragment is left alone.
pub fn set_identification(frame: &mut Frame, packet: &Packet, id: u32) {
    let Some(at) = packet.fragment_field(frame.packet()) else { return };
    let bytes = frame.packet_mut();
    match packet.family {
        Family::V4 => {
            let (old, new) = (get16(bytes, 4), id as u16);
            put16(bytes, 4, new);
            edit::update_v4_header(bytes, Delta::default().word(old, new));
        }
        Family::V6 => put32(bytes, at + 4, id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{self, Build};
    use crate::checksum;
    use crate::packet::Fragment;

    const ENDS: [[&str; 2]; 2] = [["10.0.0.1:1", "10.0.0.2:2"], ["[2001:db8::1]:1", "[2001:db8::2]:2"]];

    fn datagram(ends: [&str; 2]) -> Build {
        build::udp(ends[0], ends[1]).payload_len(3000).may_fragment()
    }

    fn piece(bytes: &[u8]) -> Option<Piece> {
        Packet::parse(bytes).unwrap().piece(bytes)
    }

    #[test]
    fn the_pieces_of_a_datagram_follow_each_other() {
        for ends in ENDS {
            let fragments = datagram(ends).fragments(1400);
            assert_eq!(fragments.len(), 3);
            let pieces: Vec<_> = fragments.iter().map(|bytes| piece(bytes).unwrap()).collect();
            assert_eq!(pieces[0].start, 0);
            for two in pieces.windows(2) {
                assert_eq!((two[0].end, two[0].id, two[0].last), (two[1].start, two[1].id, false));
            }
            assert_eq!((pieces[2].end, pieces[2].last), (3008, true));
        }
    }

    #[test]
    fn what_cannot_be_a_piece_is_none() {
        let [mut v4, mut v6] = ENDS.map(|ends| datagram(ends).fragments(1400));
        let last = v4.len() - 1;
        // A length that leaves a gap before the next one.
        put16(&mut v4[0], 2, 1399);
        v4[0].truncate(1399);
        assert_eq!(piece(&v4[0]), None);
        // Beyond the end of the longest datagram: the ping of death.
        put16(&mut v4[last], 6, 0x1fff);
        assert_eq!(piece(&v4[last]), None);
        put16(&mut v6[last], 42, 0xfff8);
        assert_eq!(piece(&v6[last]), None);
        // Nothing at all.
        v6[1].truncate(48);
        put16(&mut v6[1], 4, 8);
        assert_eq!(piece(&v6[1]), None);
        for ends in ENDS {
            assert_eq!(piece(&datagram(ends).bytes()), None, "no fragment");
        }
    }

    #[test]
    fn a_datagram_gets_another_identification() {
        for ends in ENDS {
            for bytes in datagram(ends).fragments(1400) {
                let mut frame = Frame::from_packet(&bytes);
                let packet = Packet::parse(&bytes).unwrap();
                set_identification(&mut frame, &packet, 0x0bad_cafe);
                let after = Packet::parse(frame.packet()).unwrap();
                let id = after.piece(frame.packet()).unwrap().id;
                assert_eq!(id, if packet.family == Family::V4 { 0xcafe } else { 0x0bad_cafe });
                assert_eq!(checksum::verify_frame(&frame), Ok(()));
                assert_ne!(after.fragment, Fragment::None);
            }
        }
    }

    #[test]
    fn a_fragment_header_behind_others_is_found() {
        let mut fragments = build::udp(ENDS[1][0], ENDS[1][1]).payload_len(3000).fragments(1400);
        let bytes = &mut fragments[1];
        let before = piece(bytes).unwrap();
        // A destination options header between.
        bytes.splice(40..40, [44, 0, 1, 4, 0, 0, 0, 0]);
        bytes[6] = 60;
        let len = (bytes.len() - 40) as u16;
        put16(bytes, 4, len);
        assert_eq!(piece(bytes), Some(before));
    }
}
