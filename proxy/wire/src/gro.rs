//! Merging TCP segments that came one by one into super-packets, so that a stack takes them in at once: the reverse of
//! [`crate::segment`], whose rules say what belongs together.
//!
//! A segment is appended to the one before it if it continues it (the next sequence number, no longer than the first
//! and no larger in sum than a packet may be) and its headers say the same: all of them but lengths, checksums, the
//! sequence number, an IPv4 identification that counts up or, where nobody may cut the packet, never changes (RFC 6864
//! section 4.1). PSH, FIN and a shorter segment end a super-packet, CWR begins one. Only what has every checksum right
//! is merged; the rest goes on as it came, for the stack to refuse. Super-packets have partial checksums.
//!
//! Packets of a flow leave in the order in which they came. Nothing waits longer than until [`Gro::flush`], which is
//! for the end of each batch of packets, so that nothing is ever late.

use crate::bytes::{get16, get32, put16};
use crate::checksum::{self, Delta};
use crate::edit;
use crate::frame::{Checksum, Frame, GsoKind, MAX_PACKET, Offload};
use crate::packet::parse::V6_HEADER;
use crate::packet::{Family, Fragment, L4, Packet, TcpFlags};

/// Length of an IPv4 header without options.
const V4_HEADER: usize = 20;

/// Where things are in a TCP header.
const SEQ: usize = 4;
const FLAGS: usize = 13;
const CHECKSUM: usize = 16;

/// What may be merged, for some flows at a time. Its buffers are allocated once.
#[derive(Debug)]
pub struct Gro {
    flows: usize,
    /// The oldest first.
    held: Vec<Held>,
    /// One more than flows: for what does not wait.
    spare: Vec<Frame>,
}

/// A packet that waits for its continuation.
#[derive(Debug)]
struct Held {
    frame: Frame,
    /// The parse of the first segment, whose headers are the frame's.
    first: Packet,
    /// Payload bytes of each segment but the last.
    size: usize,
    segments: u16,
    /// Flags of the last segment that the whole has to show.
    last_flags: u8,
}

/// What came of trying to append.
enum Appended {
    No,
    Yes,
    /// Nothing may follow.
    Last,
}

impl Gro {
    /// Merges segments of up to so many flows at a time; 0 for none at all.
    pub fn new(flows: usize) -> Self {
        Self { flows, held: Vec::with_capacity(flows), spare: (0..=flows).map(|_| Frame::new()).collect() }
    }

    /// Takes a packet, which is the parse of `bytes`, and hands to `send` what does not wait. A checksum that the
    /// kernel of a sender nearby, or our own one merging on the way in, has left unfinished is told by its value: it is
    /// partial then, whatever `checksum` says.
    pub fn add(
        &mut self,
        bytes: &[u8],
        packet: &Packet,
        checksum: Checksum,
        mut send: impl FnMut(&mut Frame),
    ) {
        let bytes = &bytes[..packet.total_len];
        let settled = settle(bytes, packet, checksum);
        let mergeable = settled.is_some() && self.flows > 0 && is_mergeable(bytes, packet);
        if let Some(at) = self.held.iter().position(|held| same_flow(&held.first, packet)) {
            let appended = if mergeable { self.held[at].append(bytes, packet) } else { Appended::No };
            match appended {
                Appended::Yes => return,
                Appended::Last => return self.release(at, &mut send),
                Appended::No => self.release(at, &mut send),
            }
        }
        if packet.fragment == Fragment::Later {
            // It may be of any flow.
            self.flush(&mut send);
        }
        let hold = mergeable && !ends(bytes, packet);
        if hold && self.held.len() == self.flows {
            self.release(0, &mut send);
        }
        // There is one left: they are one more than flows.
        let mut frame = self.spare.pop().unwrap_or_default();
        frame.set_packet(bytes);
        frame.offload.checksum = settled.unwrap_or_default();
        if hold {
            let size = packet.payload_len();
            self.held.push(Held { frame, first: *packet, size, segments: 1, last_flags: 0 });
        } else {
            send(&mut frame);
            self.spare.push(frame);
        }
    }

    /// Hands out all that waits, in the order in which it came.
    pub fn flush(&mut self, mut send: impl FnMut(&mut Frame)) {
        for mut held in self.held.drain(..) {
            held.finish();
            send(&mut held.frame);
            self.spare.push(held.frame);
        }
    }

    fn release(&mut self, at: usize, send: &mut impl FnMut(&mut Frame)) {
        let mut held = self.held.remove(at);
        held.finish();
        send(&mut held.frame);
        self.spare.push(held.frame);
    }
}

impl Held {
    fn append(&mut self, bytes: &[u8], packet: &Packet) -> Appended {
        let headers = self.first.header_len();
        let (payload, whole) = (packet.payload_len(), self.frame.len());
        if payload > self.size || whole + payload > MAX_PACKET || !self.continues(bytes, packet) {
            return Appended::No;
        }
        self.frame.resize(whole + payload);
        self.frame.packet_mut()[whole..].copy_from_slice(&bytes[headers..]);
        self.segments += 1;
        self.last_flags = bytes[self.first.l4_offset + FLAGS];
        if payload < self.size || ends(bytes, packet) { Appended::Last } else { Appended::Yes }
    }

    /// Whether the headers of both say the same, and the numbers that follow.
    fn continues(&self, bytes: &[u8], packet: &Packet) -> bool {
        const MAY_DIFFER: u8 = TcpFlags::FIN.0 | TcpFlags::PSH.0 | TcpFlags::CWR.0;
        let first = self.frame.packet();
        let (l4, headers) = (self.first.l4_offset, self.first.header_len());
        if packet.l4_offset != l4 || packet.header_len() != headers {
            return false;
        }
        let network = match self.first.family {
            Family::V4 => {
                let (id, next) = (get16(first, 4), get16(bytes, 4));
                let counts = next == id.wrapping_add(self.segments);
                (counts || (packet.dont_fragment && next == id))
                    && first[..2] == bytes[..2]
                    && first[6..10] == bytes[6..10]
            }
            Family::V6 => first[..4] == bytes[..4] && first[6..8] == bytes[6..8],
        };
        let (first, next) = (&first[l4..headers], &bytes[l4..headers]);
        let flags = next[FLAGS];
        let done = self.frame.len() - headers;
        network
            && get32(next, SEQ) == get32(first, SEQ).wrapping_add(done as u32)
            && flags & TcpFlags::CWR.0 == 0
            && (flags ^ first[FLAGS]) & !MAY_DIFFER == 0
            && first[SEQ + 4..FLAGS] == next[SEQ + 4..FLAGS]
            && first[FLAGS + 1..CHECKSUM] == next[FLAGS + 1..CHECKSUM]
            && first[CHECKSUM + 2..] == next[CHECKSUM + 2..]
    }

    /// Makes the headers those of the whole. What stayed one segment stays as it came.
    fn finish(&mut self) {
        if self.segments == 1 {
            return;
        }
        let Packet { src, dst, protocol, l4_offset, family, total_len, .. } = self.first;
        let headers = self.first.header_len();
        let bytes = self.frame.packet_mut();
        let len = bytes.len();
        match family {
            Family::V4 => {
                put16(bytes, 2, len as u16);
                edit::update_v4_header(bytes, Delta::default().word(total_len as u16, len as u16));
            }
            Family::V6 => put16(bytes, 4, (len - V6_HEADER) as u16),
        }
        let segment = &mut bytes[l4_offset..];
        segment[FLAGS] |= self.last_flags;
        let pseudo = checksum::pseudo_header(src, dst, protocol, segment.len() as u32);
        put16(segment, CHECKSUM, pseudo);
        let ecn = segment[FLAGS] & TcpFlags::CWR.0 != 0;
        self.frame.offload = Offload {
            checksum: Checksum::Partial { start: l4_offset as u16, offset: CHECKSUM as u16 },
            gso: match family {
                Family::V4 => GsoKind::TcpV4,
                Family::V6 => GsoKind::TcpV6,
            },
            gso_size: self.size as u16,
            hdr_len: headers as u16,
            ecn,
        };
    }
}

fn same_flow(a: &Packet, b: &Packet) -> bool {
    a.protocol == b.protocol && a.ports() == b.ports() && a.src == b.src && a.dst == b.dst
}

/// The form that the transport checksum has if it is right. What cannot be seen passes for right.
fn settle(bytes: &[u8], packet: &Packet, checksum: Checksum) -> Option<Checksum> {
    if checksum == Checksum::Complete && checksum::transport(bytes, packet).is_ok() {
        return Some(checksum);
    }
    checksum::unfinished(bytes, packet)
}

/// Whether the packet may be a part of a super-packet, if its transport checksum is right.
fn is_mergeable(bytes: &[u8], packet: &Packet) -> bool {
    const ALLOWED: u8 =
        TcpFlags::ACK.0 | TcpFlags::PSH.0 | TcpFlags::FIN.0 | TcpFlags::ECE.0 | TcpFlags::CWR.0;
    let L4::Tcp { flags, .. } = packet.l4 else { return false };
    let plain = match packet.family {
        Family::V4 => packet.l4_offset == V4_HEADER && checksum::sum(&bytes[..V4_HEADER]) == 0xffff,
        Family::V6 => packet.l4_offset == V6_HEADER,
    };
    plain
        && packet.fragment == Fragment::None
        && flags.ack()
        && flags.0 & !ALLOWED == 0
        && packet.payload_len() > 0
}

/// Whether the segment's flags let nothing follow it.
fn ends(bytes: &[u8], packet: &Packet) -> bool {
    bytes[packet.l4_offset + FLAGS] & (TcpFlags::PSH.0 | TcpFlags::FIN.0) != 0
}

#[cfg(test)]
mod tests;
