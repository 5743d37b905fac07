//! TCP options (RFC 9293 section 3.1): a list of kinds, most with a length and data, up to an end or the header's.

use super::{HEADER, header_of, keeping_checksum};
use crate::bytes::{get16, get32, put16, put32};
use crate::frame::Frame;
use crate::packet::Packet;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK: u8 = 5;

/// Largest shift of a window (RFC 7323 section 2.3).
const MAX_SCALE: u8 = 14;

/// One option; those without a length are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOption<'a> {
    /// Its number.
    pub kind: u8,
    /// Where it begins, from the beginning of the options.
    pub at: usize,
    /// What stands behind kind and length.
    pub data: &'a [u8],
}

/// The options of a segment, in their order.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    area: &'a [u8],
    at: usize,
}

/// The options of a segment; none for what is no TCP. The list ends where its end is, or where it makes no sense.
pub fn options<'a>(frame: &'a Frame, packet: &Packet) -> Options<'a> {
    let area = header_of(packet).map_or(&[][..], |header| &frame.packet()[header][HEADER..]);
    Options { area, at: 0 }
}

impl<'a> Iterator for Options<'a> {
    type Item = TcpOption<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.area.get(self.at) == Some(&NOP) {
            self.at += 1;
        }
        let (at, kind) = (self.at, *self.area.get(self.at)?);
        let len = usize::from(*self.area.get(at + 1)?);
        if kind == END || len < 2 {
            return None;
        }
        let data = self.area.get(at + 2..at + len)?;
        self.at = at + len;
        Some(TcpOption { kind, at, data })
    }
}

/// Lends the options out to be changed in place, if there are any.
pub fn edit_options(frame: &mut Frame, packet: &Packet, change: impl FnOnce(&mut [u8])) {
    let Some(header) = header_of(packet) else { return };
    let area = header.start + HEADER..header.end;
    if !area.is_empty() {
        keeping_checksum(frame, packet, area, change);
    }
}

/// By how many bits this end's windows are shifted, as its SYN says (RFC 7323 section 2).
pub fn window_scale(frame: &Frame, packet: &Packet) -> Option<u8> {
    let option = options(frame, packet).find(|option| option.kind == WINDOW_SCALE)?;
    option.data.first().map(|scale| (*scale).min(MAX_SCALE))
}

/// The largest segment that the sender of this SYN invites (RFC 9293 section 3.7.1).
pub fn mss(frame: &Frame, packet: &Packet) -> Option<u16> {
    let option = options(frame, packet).find(|option| option.kind == MSS && option.data.len() == 2)?;
    Some(get16(option.data, 0))
}

/// Lowers the largest segment that the sender of this SYN invites (RFC 9293 section 3.7.1) to `mss` bytes. One that is
/// lower, or not told, stays.
pub fn clamp_mss(frame: &mut Frame, packet: &Packet, mss: u16) {
    let found = options(frame, packet).find(|option| option.kind == MSS && option.data.len() == 2);
    if let Some(at) = found.filter(|option| get16(option.data, 0) > mss).map(|option| option.at) {
        edit_options(frame, packet, |area| put16(area, at + 2, mss));
    }
}

/// Writes the blocks of data that are reported as received (RFC 2018) as `map` says, and leaves out those of which it
/// makes nothing.
pub fn map_sack(frame: &mut Frame, packet: &Packet, map: impl Fn(u32, u32) -> Option<(u32, u32)>) {
    let Some((at, len)) = options(frame, packet)
        .find(|option| option.kind == SACK && !option.data.is_empty())
        .map(|option| (option.at, option.data.len() / 8 * 8))
    else {
        return;
    };
    edit_options(frame, packet, |area| {
        let blocks = &mut area[at + 2..at + 2 + len];
        let mut kept = 0;
        for read in (0..len).step_by(8) {
            if let Some((left, right)) = map(get32(blocks, read), get32(blocks, read + 4)) {
                put32(blocks, kept, left);
                put32(blocks, kept + 4, right);
                kept += 8;
            }
        }
        blocks[kept..].fill(NOP);
        if kept == 0 {
            area[at..at + 2].fill(NOP);
        } else {
            area[at + 1] = 2 + kept as u8;
        }
    });
}

/// Turns every option of these kinds into nothing.
pub fn remove_options(frame: &mut Frame, packet: &Packet, unwanted: impl Fn(&TcpOption<'_>) -> bool) {
    while let Some((at, len)) =
        options(frame, packet).find(&unwanted).map(|option| (option.at, 2 + option.data.len()))
    {
        edit_options(frame, packet, |area| area[at..at + len].fill(NOP));
    }
}
