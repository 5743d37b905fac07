//! A packet on its way through the engine: bytes with headroom, and the offload metadata beside them.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};

use serde::{Deserialize, Serialize};

use crate::encap::Encap;

/// Room kept before a packet for headers that a forwarding method or a port may push.
pub const HEADROOM: usize = 128;

/// How much of it an edit of the packet may take.
const MAX_SPLICE: usize = 32;

/// The largest packet: an IPv4 total length.
pub const MAX_PACKET: usize = 65_535;

/// The least room that a frame has for a packet: that of any that is written in place of another one. Errors of ICMP have at
/// most 1280 bytes (RFC 4443 section 2.4).
pub const MIN_ROOM: usize = 2048;

/// State of the transport checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// The field holds the finished checksum (or, for UDP over IPv4, zero for "none").
    #[default]
    Complete,
    /// The field holds the uncomplemented pseudo-header sum; whoever sends the packet last sums from `start` and
    /// stores at `start + offset` (virtio `NEEDS_CSUM`).
    Partial {
        /// Where summing starts, from the start of the IP header.
        start: u16,
        /// Where the checksum field is, from `start`.
        offset: u16,
    },
}

/// What kind of super-packet this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GsoKind {
    /// One packet as it goes on the wire.
    #[default]
    None,
    /// TCP over IPv4, to be cut by `gso_size`.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP over either, cut into datagrams.
    Udp,
}

/// Offload metadata: the `virtio_net_hdr` of a frame, in our words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Transport checksum.
    pub checksum: Checksum,
    /// Super-packet kind.
    pub gso: GsoKind,
    /// Transport payload bytes of each segment, 0 without GSO.
    pub gso_size: u16,
    /// Header bytes (network and transport) in front of the payload, as the kernel hinted it.
    pub hdr_len: u16,
    /// ECN flag of the TCP GSO type.
    pub ecn: bool,
}

/// How a packet has come to the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrival {
    /// The host's kernel has routed it, and has taken a hop from it unless it is the host's own.
    #[default]
    Routed,
    /// Straight from a link: all its hops are left.
    Link,
}

/// The way of a packet with a VLAN tag (IEEE 802.1Q section 9) that the host has no device for: its answers go back by it,
/// as no route leads there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagged {
    /// Index of the device that the packet came by.
    pub device: u32,
    /// The link address that it was sent to,
    pub ours: [u8; 6],
    /// and from.
    pub theirs: [u8; 6],
    /// Type and contents of the tag.
    pub tag: [u8; 4],
}

impl Tagged {
    /// Which VLAN, and of which kind: without the priority, in which the packets of a flow may differ.
    pub const fn vlan(&self) -> [u8; 4] {
        let [a, b, c, d] = self.tag;
        [a, b, c & 0x0f, d]
    }
}

/// Where the bytes are.
enum Buffer {
    Own(Box<[u8]>),
    /// Of a ring that a port shares with the kernel, and never gives up.
    Lent(&'static mut [u8]),
}

/// One packet. The buffer is allocated once and used again for each packet of a worker.
#[derive(Clone, Debug)]
pub struct Frame {
    buf: Buffer,
    start: usize,
    end: usize,
    /// Metadata of the bytes in [`Frame::packet`].
    pub offload: Offload,
    /// The packet is to travel inside another one, which whoever sends it makes (see [`crate::encap`]).
    pub encap: Option<Encap>,
    /// How the packet in it has come here. What replaces the packet has not come by a link.
    pub arrival: Arrival,
    /// The way that it has come, if that is a VLAN's.
    pub tagged: Option<Tagged>,
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Frame {
    /// An empty frame with room for the largest packet.
    pub fn new() -> Self {
        Self { buf: Buffer::Own(vec![0; HEADROOM + MAX_PACKET].into_boxed_slice()), ..Self::lent(&mut []) }
    }

    /// An empty frame in the memory of a port, to be told with [`Frame::filled`] what is in it. Where that has less room than
    /// the largest packet takes, the port sees to it that there is some behind what it has received. Panics when there
    /// is less than [`MIN_ROOM`].
    pub fn in_memory(memory: &'static mut [u8]) -> Self {
        assert!(memory.len() >= HEADROOM + MIN_ROOM, "a frame has room for any answer of ours");
        Self::lent(memory)
    }

    fn lent(memory: &'static mut [u8]) -> Self {
        Self {
            buf: Buffer::Lent(memory),
            start: HEADROOM,
            end: HEADROOM,
            offload: Offload::default(),
            encap: None,
            arrival: Arrival::Routed,
            tagged: None,
        }
    }

    /// A frame that holds `packet`, with no offload in play. Panics when it is longer than [`MAX_PACKET`].
    pub fn from_packet(packet: &[u8]) -> Self {
        let mut frame = Self::new();
        frame.set_packet(packet);
        frame
    }

    /// The packet, from the IP header on.
    #[inline]
    pub fn packet(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    /// The packet, to be edited in place.
    #[inline]
    pub fn packet_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.start..self.end]
    }

    /// Bytes in the packet.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// No packet in it.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Replaces the packet and clears the metadata. Panics when it is longer than [`MAX_PACKET`].
    pub fn set_packet(&mut self, packet: &[u8]) {
        self.reset(packet.len()).copy_from_slice(packet);
    }

    /// Makes room for a packet of `len` bytes of unspecified content, clears the metadata and lends the room out to
    /// be written. Panics when `len` is over [`MAX_PACKET`].
    pub fn reset(&mut self, len: usize) -> &mut [u8] {
        assert!(len <= MAX_PACKET, "a packet has at most {MAX_PACKET} bytes");
        self.start = HEADROOM;
        self.end = HEADROOM + len;
        self.offload = Offload::default();
        self.encap = None;
        self.arrival = Arrival::Routed;
        self.tagged = None;
        &mut self.buf[HEADROOM..HEADROOM + len]
    }

    /// Makes the packet `len` bytes long, cut off or continued with bytes of unspecified content. The metadata stays.
    /// Panics when `len` is over [`MAX_PACKET`].
    pub fn resize(&mut self, len: usize) {
        assert!(len <= MAX_PACKET, "a packet has at most {MAX_PACKET} bytes");
        self.end = self.start + len;
    }

    /// Puts `with` in the place of the bytes in `range`, and drops what is behind the first `len` bytes. What stands
    /// before the range moves where that is less than what stands behind it, if enough of the headroom remains.
    /// Panics when the packet gets longer than [`MAX_PACKET`].
    pub(crate) fn splice(&mut self, len: usize, range: Range<usize>, with: &[u8]) {
        let (start, end) = (self.start, self.start + len);
        let to = (start + range.len()).checked_sub(with.len());
        let to = to.filter(|to| (HEADROOM - MAX_SPLICE..=HEADROOM).contains(to));
        match to.filter(|_| range.start < len - range.end) {
            Some(to) => {
                self.buf.copy_within(start..start + range.start, to);
                (self.start, self.end) = (to, end);
            }
            None => {
                let behind = start + range.start + with.len();
                self.buf.copy_within(start + range.end..end, behind);
                self.end = behind + len - range.end;
            }
        }
        let at = self.start + range.start;
        self.buf[at..at + with.len()].copy_from_slice(with);
    }

    /// For a port that reads: the area from `prefix` bytes before the packet's place to the end of the buffer.
    /// Follow it with [`Frame::filled`]. Panics when `prefix` is over [`HEADROOM`].
    pub fn receive_area(&mut self, prefix: usize) -> &mut [u8] {
        &mut self.buf[HEADROOM - prefix..]
    }

    /// For a port that has read `len` bytes of packet behind its prefix. Panics when `len` is over [`MAX_PACKET`].
    pub fn filled(&mut self, len: usize, offload: Offload) {
        assert!(len <= MAX_PACKET, "a packet has at most {MAX_PACKET} bytes");
        self.start = HEADROOM;
        self.end = HEADROOM + len;
        self.offload = offload;
        self.encap = None;
        self.arrival = Arrival::Routed;
        self.tagged = None;
    }

    /// Makes the packet longer at its front and lends all of it out; the new bytes have unspecified content. Metadata
    /// stay as they are. Panics when the headroom that is left is shorter.
    pub(crate) fn grow_front(&mut self, len: usize) -> &mut [u8] {
        self.start -= len;
        self.packet_mut()
    }

    /// For a port that writes: `header` placed directly before the packet, and both as one slice. Panics when the
    /// header does not fit in the headroom that is left.
    pub fn with_prefix(&mut self, header: &[u8]) -> &[u8] {
        let from = self.start - header.len();
        self.buf[from..self.start].copy_from_slice(header);
        &self.buf[from..self.end]
    }

    /// The packet with so many bytes before it, which [`Frame::with_prefix`] has placed. Panics when there are not so many.
    pub fn prefixed(&self, len: usize) -> &[u8] {
        &self.buf[self.start - len..self.end]
    }

    /// Whether this is where its memory begins.
    pub fn is_at(&self, place: usize) -> bool {
        self.buf.as_ptr().addr() == place
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Lent(bytes) => bytes,
        }
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Lent(bytes) => bytes,
        }
    }
}

/// What is lent stays where it is: a copy has a buffer of its own.
impl Clone for Buffer {
    fn clone(&self) -> Self {
        Self::Own((**self).into())
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_in_lent_memory_is_edited_in_place_and_copied_out_of_it() {
        let memory: &'static mut [u8] = vec![0; HEADROOM + MAX_PACKET].leak();
        let place = memory.as_ptr_range();
        let mut frame = Frame::in_memory(memory);
        frame.receive_area(0)[..4].copy_from_slice(b"data");
        frame.filled(4, Offload::default());
        frame.arrival = Arrival::Link;
        frame.splice(4, 0..1, b"big d");
        assert_eq!(frame.with_prefix(b"a "), b"a big data");
        assert_eq!(frame.prefixed(2), b"a big data");
        assert!(frame.is_at(place.start.addr()) && place.contains(&frame.packet().as_ptr()));
        let copy = frame.clone();
        assert_eq!((copy.packet(), copy.arrival), (&b"big data"[..], Arrival::Link));
        assert!(!copy.is_at(place.start.addr()) && !place.contains(&copy.packet().as_ptr()));
        frame.set_packet(b"an answer");
        assert_eq!((frame.packet(), frame.arrival), (&b"an answer"[..], Arrival::Routed));
        assert_eq!(copy.packet(), b"big data");
    }

    #[test]
    #[should_panic = "room for any answer"]
    fn memory_that_is_too_small_is_refused() {
        let _ = Frame::in_memory(vec![0; HEADROOM].leak());
    }

    #[test]
    fn a_port_reads_and_writes_around_the_packet() {
        let mut frame = Frame::new();
        assert!(frame.is_empty());
        frame.receive_area(2)[..5].copy_from_slice(b"hdabc");
        let offload = Offload { gso_size: 7, ..Offload::default() };
        frame.filled(3, offload);
        assert_eq!((frame.packet(), frame.len(), frame.offload), (&b"abc"[..], 3, offload));
        assert_eq!(frame.with_prefix(b"head"), b"headabc");
        assert_eq!(frame.packet(), b"abc");
        frame.set_packet(b"other");
        assert_eq!((frame.packet(), frame.offload), (&b"other"[..], Offload::default()));
    }

    #[test]
    fn bytes_are_replaced_from_either_end() {
        let mut frame = Frame::from_packet(b"head and a long tail, padding");
        frame.splice(20, 4..8, b"+");
        assert_eq!(frame.packet(), b"head+ a long tail".as_slice());
        frame.splice(17, 0..1, b"forehe");
        assert_eq!(frame.packet(), b"foreheead+ a long tail".as_slice());
        frame.splice(22, 18..22, b"story");
        assert_eq!(frame.packet(), b"foreheead+ a long story".as_slice());
        frame.splice(23, 1..1, &[b'-'; 2 * MAX_SPLICE]);
        assert_eq!(frame.len(), 23 + 2 * MAX_SPLICE);
        assert!(frame.packet().ends_with(b"-oreheead+ a long story") && frame.packet().starts_with(b"f--"));
        let mut frame = Frame::from_packet(&[1; 1000]);
        frame.splice(1000, 0..100, &[2; 200]);
        assert_eq!((frame.len(), &frame.packet()[198..202]), (1100, &[2, 2, 1, 1][..]));
        let mut longest = Frame::from_packet(&[7; MAX_PACKET]);
        longest.splice(MAX_PACKET, 0..20, &[1; 20]);
        longest.splice(MAX_PACKET, 60_000..60_002, &[2; 2]);
        assert_eq!((longest.packet()[19], longest.packet()[20], longest.packet()[60_001]), (1, 7, 2));
        assert_eq!(longest.len(), MAX_PACKET);
    }

    #[test]
    fn the_largest_packet_fits() {
        let mut frame = Frame::from_packet(&[1; MAX_PACKET]);
        assert_eq!(frame.len(), MAX_PACKET);
        assert_eq!(frame.receive_area(HEADROOM).len(), HEADROOM + MAX_PACKET);
    }
}
