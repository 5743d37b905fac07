//! Cutting outer packets, which have neither IPv4 options nor IPv6 extension headers (RFC 791 section 3.2, RFC 8200
//! section 4.5).

use super::header::{V4, V6};
use crate::bytes::{put16, put32};
use crate::checksum;
use crate::frame::Frame;

const FRAGMENT_HEADER: usize = 8;

/// What is left of a packet.
#[derive(Debug)]
pub(super) struct Fragments<'a> {
    bytes: &'a [u8],
    /// Bytes of IP header.
    header: usize,
    id: u32,
    /// Payload bytes of each fragment but the last.
    size: usize,
    done: usize,
}

impl<'a> Fragments<'a> {
    /// The fragments of a packet, none longer than `mtu` bytes, which is no less than each link can carry (68, 1280).
    pub(super) fn of(frame: &'a Frame, id: u32, mtu: usize) -> Self {
        let bytes = frame.packet();
        let (header, each, least) =
            if bytes[0] >> 4 == 4 { (V4, V4, 68) } else { (V6, V6 + FRAGMENT_HEADER, 1280) };
        Self { bytes, header, id, size: (mtu.max(least) - each) / 8 * 8, done: 0 }
    }

    /// Makes `out` the next fragment; `false` when there is none.
    pub(super) fn next_into(&mut self, out: &mut Frame) -> bool {
        let payload = &self.bytes[self.header..][self.done..];
        if payload.is_empty() {
            return false;
        }
        let take = payload.len().min(self.size);
        let more = take < payload.len();
        if self.header == V4 {
            const MORE: u16 = 0x2000;
            let bytes = out.reset(V4 + take);
            bytes[..V4].copy_from_slice(&self.bytes[..V4]);
            bytes[V4..].copy_from_slice(&payload[..take]);
            put16(bytes, 2, (V4 + take) as u16);
            put16(bytes, 6, (self.done / 8) as u16 | if more { MORE } else { 0 });
            put16(bytes, 10, 0);
            let sum = checksum::sum(&bytes[..V4]);
            put16(bytes, 10, !sum);
        } else {
            const FRAGMENT: u8 = 44;
            let start = V6 + FRAGMENT_HEADER;
            let bytes = out.reset(start + take);
            bytes[..V6].copy_from_slice(&self.bytes[..V6]);
            put16(bytes, 4, (FRAGMENT_HEADER + take) as u16);
            bytes[6] = FRAGMENT;
            bytes[V6] = self.bytes[6];
            bytes[V6 + 1] = 0;
            put16(bytes, V6 + 2, self.done as u16 | u16::from(more));
            put32(bytes, V6 + 4, self.id);
            bytes[start..].copy_from_slice(&payload[..take]);
        }
        self.done += take;
        true
    }
}
