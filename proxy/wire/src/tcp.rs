//! What is changed in TCP segments: numbers, options, and the length of header and payload.
//!
//! Like the functions of [`crate::edit`], these keep the checksum as right (or wrong) as it was, complete or partial.
//! They want the packet to be the parse of the frame; all but [`replace`] and [`put_option`] leave it good for other
//! edits. A packet that is not TCP, or a fragment, is left alone.

mod options;

use std::ops::Range;

use crate::bytes::{get16, get32, put16, put32};
use crate::checksum::{self, Delta};
use crate::edit;
use crate::frame::{Frame, MAX_PACKET};
use crate::packet::parse::V6_HEADER;
use crate::packet::{Family, Fragment, L4, Packet, TcpFlags};

pub use options::{
    Options, TcpOption, clamp_mss, edit_options, map_sack, mss, options, remove_options, window_scale,
};

/// Length of a header without options.
const HEADER: usize = 20;

/// Longest header: what its length field can say (RFC 9293 section 3.1).
pub const MAX_HEADER: usize = 60;

/// The numbers of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Window, as it stands in the header: not scaled.
    pub window: u16,
}

/// The numbers as they stand in the frame now; `None` for what is no TCP.
pub fn numbers(frame: &Frame, packet: &Packet) -> Option<Numbers> {
    let header = &frame.packet()[header_of(packet)?];
    Some(Numbers { seq: get32(header, 4), ack: get32(header, 8), window: get16(header, 14) })
}

/// Writes all of them.
pub fn set_numbers(frame: &mut Frame, packet: &Packet, numbers: Numbers) {
    let Some(header) = header_of(packet) else { return };
    keeping_checksum(frame, packet, header.start + 4..header.start + 16, |bytes| {
        put32(bytes, 0, numbers.seq);
        put32(bytes, 4, numbers.ack);
        put16(bytes, 10, numbers.window);
    });
}

/// Puts `with` in the place of the bytes in `range` of the packet, which have to be payload, and keeps the lengths in
/// the IP header right. Returns the parse of what there is now; `None`, with nothing changed, when that would be no
/// packet: too long, or the range is not in the payload.
pub fn replace(frame: &mut Frame, packet: &Packet, range: Range<usize>, with: &[u8]) -> Option<Packet> {
    if range.start < header_of(packet)?.end {
        return None;
    }
    resize(frame, packet, range, with, 0)
}

/// Puts an option at the end of the header, which may hold options that end the list ([`remove_options`] takes those
/// away). Its length has to be a multiple of four. `None`, with nothing changed, when there is no room: in the header,
/// or in the packet.
pub fn put_option(frame: &mut Frame, packet: &Packet, option: &[u8]) -> Option<Packet> {
    let header = header_of(packet)?;
    if !option.len().is_multiple_of(4) || header.len() + option.len() > MAX_HEADER {
        return None;
    }
    resize(frame, packet, header.end..header.end, option, option.len() as isize)
}

/// Replaces bytes, of which `header` more (or less, below 0) belong to the TCP header afterwards.
fn resize(
    frame: &mut Frame,
    packet: &Packet,
    range: Range<usize>,
    with: &[u8],
    header: isize,
) -> Option<Packet> {
    let total_len = (packet.total_len + with.len()).checked_sub(range.len())?;
    if range.end > packet.total_len || range.start > range.end || total_len > MAX_PACKET {
        return None;
    }
    let partial = packet.is_partial(&frame.offload);
    let l4 = packet.l4_offset;
    let (old_len, new_len) = ((packet.total_len - l4) as u16, (total_len - l4) as u16);
    // Summing a super-packet would cost more than forwarding it; its checksum is always partial.
    let old = if partial { 0 } else { checksum::sum(&frame.packet()[l4..packet.total_len]) };
    frame.splice(packet.total_len, range, with);
    let hdr_len = &mut frame.offload.hdr_len;
    if *hdr_len != 0 {
        *hdr_len = hdr_len.saturating_add_signed(header as i16);
    }
    let bytes = frame.packet_mut();
    match packet.family {
        Family::V4 => {
            put16(bytes, 2, total_len as u16);
            edit::update_v4_header(bytes, Delta::default().word(packet.total_len as u16, total_len as u16));
        }
        Family::V6 => put16(bytes, 4, (total_len - V6_HEADER) as u16),
    }
    let segment = &mut bytes[l4..];
    // The data offset counts words in its upper half byte.
    segment[12] = segment[12].wrapping_add_signed((header * 4) as i8);
    let length = Delta::default().word(old_len, new_len);
    let field = get16(segment, 16);
    let field = if partial {
        length.apply_partial(field)
    } else {
        length.word(old, checksum::sum(segment)).apply(field)
    };
    put16(segment, 16, field);
    Packet::parse(frame.packet()).ok()
}

/// A packet like the one in the frame, options included, but with other data: it has `payload` at `seq`, the flags ACK
/// and PSH, and a complete checksum. `None` when the frame has no TCP segment, or the packet would be too long.
pub fn sibling(frame: &Frame, packet: &Packet, seq: u32, payload: &[u8]) -> Option<Vec<u8>> {
    let header = header_of(packet)?;
    let total_len = header.end + payload.len();
    if total_len > MAX_PACKET {
        return None;
    }
    let mut bytes = Vec::with_capacity(total_len);
    bytes.extend_from_slice(&frame.packet()[..header.end]);
    bytes.extend_from_slice(payload);
    match packet.family {
        Family::V4 => {
            put16(&mut bytes, 2, total_len as u16);
            put16(&mut bytes, 10, 0);
            let sum = checksum::sum(&bytes[..usize::from(bytes[0] & 0xf) * 4]);
            put16(&mut bytes, 10, !sum);
        }
        Family::V6 => put16(&mut bytes, 4, (total_len - V6_HEADER) as u16),
    }
    let segment = &mut bytes[header.start..];
    put32(segment, 4, seq);
    segment[13] = (TcpFlags::ACK | TcpFlags::PSH).0;
    put16(segment, 16, 0);
    // No urgent data.
    put16(segment, 18, 0);
    let sibling = Packet::parse(&bytes).ok()?;
    let segment = &mut bytes[header.start..];
    let sum = checksum::add(checksum::sum(segment), checksum::pseudo(&sibling));
    put16(segment, 16, !sum);
    Some(bytes)
}

/// Where the TCP header is in the packet, if it has one that may be edited.
fn header_of(packet: &Packet) -> Option<Range<usize>> {
    match packet.l4 {
        L4::Tcp { header_len, .. } if packet.fragment == Fragment::None => {
            Some(packet.l4_offset..packet.l4_offset + usize::from(header_len))
        }
        _ => None,
    }
}

/// Lends a part of the transport header, that begins at an even place and has an even length, to be changed.
fn keeping_checksum(frame: &mut Frame, packet: &Packet, part: Range<usize>, change: impl FnOnce(&mut [u8])) {
    let partial = packet.is_partial(&frame.offload);
    let bytes = frame.packet_mut();
    let old = checksum::sum(&bytes[part.clone()]);
    change(&mut bytes[part.clone()]);
    if !partial {
        let new = checksum::sum(&bytes[part]);
        let at = packet.l4_offset + 16;
        let field = get16(bytes, at);
        put16(bytes, at, Delta::default().word(old, new).apply(field));
    }
}

#[cfg(test)]
mod tests;
