//! Cutting super-packets into what they become on the wire, for ways out that cannot.
//!
//! Each segment repeats the headers. What differs (RFC 9293, RFC 3168 section 6.1.2; as the kernel's segmentation
//! does it): lengths; the IPv4 identification counts up; the sequence number advances; FIN and PSH stay with the last
//! segment, CWR with the first.

use crate::bytes::{get16, put16, put32};
use crate::checksum::{self, Delta};
use crate::edit;
use crate::frame::{Checksum, Frame, GsoKind, Offload};
use crate::packet::parse::V6_HEADER;
use crate::packet::{Family, Fragment, L4, Packet, TcpFlags};

/// What is left of a super-packet.
#[derive(Debug)]
pub struct Segments<'a> {
    bytes: &'a [u8],
    packet: Packet,
    size: usize,
    /// Payload bytes cut so far.
    done: usize,
    index: u16,
    /// All segments are cut. One without payload has been cut though nothing is left.
    over: bool,
    finish: bool,
}

impl<'a> Segments<'a> {
    /// The segments of a super-packet; `packet` is the parse of the frame. With `finish` their transport checksums are
    /// complete, without they are partial. `None` for a frame that is no super-packet, or whose metadata are not
    /// those of its packet.
    pub fn of(frame: &'a Frame, packet: &Packet, finish: bool) -> Option<Self> {
        let right = match (frame.offload.gso, packet.l4, packet.family) {
            (GsoKind::TcpV4, L4::Tcp { .. }, Family::V4) | (GsoKind::TcpV6, L4::Tcp { .. }, Family::V6) => {
                true
            }
            (GsoKind::Udp, L4::Udp { len, .. }, _) => usize::from(len) == packet.total_len - packet.l4_offset,
            _ => false,
        };
        let whole = packet.fragment == Fragment::None && frame.offload.gso_size != 0;
        (right && whole).then(|| Self {
            bytes: frame.packet(),
            packet: *packet,
            size: usize::from(frame.offload.gso_size),
            done: 0,
            index: 0,
            over: false,
            finish,
        })
    }

    /// Makes `out` the next segment; `false` when there is none.
    pub fn next_into(&mut self, out: &mut Frame) -> bool {
        if self.over {
            return false;
        }
        let (packet, headers) = (&self.packet, self.packet.header_len());
        let take = self.size.min(packet.payload_len() - self.done);
        let (first, last) = (self.done == 0, self.done + take == packet.payload_len());
        let segment = out.reset(headers + take);
        segment[..headers].copy_from_slice(&self.bytes[..headers]);
        segment[headers..].copy_from_slice(&self.bytes[headers + self.done..][..take]);

        match packet.family {
            Family::V4 => {
                let (len, id) = (get16(segment, 2), get16(segment, 4));
                let (new_len, new_id) = (segment.len() as u16, id.wrapping_add(self.index));
                put16(segment, 2, new_len);
                put16(segment, 4, new_id);
                edit::update_v4_header(segment, Delta::default().word(len, new_len).word(id, new_id));
            }
            Family::V6 => {
                let len = segment.len() - V6_HEADER;
                put16(segment, 4, len as u16);
            }
        }
        let transport = &mut segment[packet.l4_offset..];
        let len = transport.len();
        if let L4::Tcp { seq, mut flags, .. } = packet.l4 {
            if !first {
                flags.0 &= !TcpFlags::CWR.0;
            }
            if !last {
                flags.0 &= !(TcpFlags::FIN | TcpFlags::PSH).0;
            }
            put32(transport, 4, seq.wrapping_add(self.done as u32));
            transport[13] = flags.0;
        } else {
            put16(transport, 4, len as u16);
        }
        let at = packet.checksum_offset().unwrap_or_default();
        put16(transport, at, checksum::pseudo_header(packet.src, packet.dst, packet.protocol, len as u32));
        if self.finish {
            // The field is part of the sum: it holds the pseudo-header's.
            let sum = !checksum::sum(transport);
            let is_udp = packet.protocol == UDP;
            put16(transport, at, if is_udp && sum == 0 { 0xffff } else { sum });
        } else {
            let checksum = Checksum::Partial { start: packet.l4_offset as u16, offset: at as u16 };
            out.offload = Offload { checksum, hdr_len: headers as u16, ..Offload::default() };
        }
        self.done += take;
        self.index = self.index.wrapping_add(1);
        self.over = last;
        true
    }
}

const UDP: u8 = 17;

#[cfg(test)]
mod tests;
