//! Packets for tests, in one line: `build::tcp("10.0.0.1:1024", "10.0.0.2:80").syn().seq(7).frame()`.
//!
//! Checksums are right unless told otherwise. The builders panic on what cannot be (text that is no address, two
//! address families, too long): they are for tests.

use std::net::{IpAddr, SocketAddr};

use crate::bytes::{put16, put32};
use crate::checksum;
use crate::frame::{Checksum, Frame, GsoKind, MAX_PACKET, Offload};
use crate::packet::TcpFlags;
use crate::sctp;

/// An address with a port, or the text of one.
pub trait Endpoint {
    /// The address.
    fn endpoint(self) -> SocketAddr;
}

impl Endpoint for SocketAddr {
    fn endpoint(self) -> SocketAddr {
        self
    }
}

impl Endpoint for &str {
    fn endpoint(self) -> SocketAddr {
        self.parse().unwrap_or_else(|_| panic!("{self:?} is no address with a port"))
    }
}

impl<A: Host> Endpoint for (A, u16) {
    fn endpoint(self) -> SocketAddr {
        SocketAddr::new(self.0.host(), self.1)
    }
}

/// An address, or the text of one.
pub trait Host {
    /// The address.
    fn host(self) -> IpAddr;
}

impl Host for IpAddr {
    fn host(self) -> IpAddr {
        self
    }
}

impl Host for &str {
    fn host(self) -> IpAddr {
        self.parse().unwrap_or_else(|_| panic!("{self:?} is no address"))
    }
}

/// A TCP segment: flags none, ttl 64, window 65535.
pub fn tcp(src: impl Endpoint, dst: impl Endpoint) -> Build {
    let (src, dst) = (src.endpoint(), dst.endpoint());
    let mut header = vec![0; 20];
    put16(&mut header, 0, src.port());
    put16(&mut header, 2, dst.port());
    put16(&mut header, 14, 0xffff);
    Build::new(src.ip(), dst.ip(), 6, header)
}

/// A UDP datagram.
pub fn udp(src: impl Endpoint, dst: impl Endpoint) -> Build {
    let (src, dst) = (src.endpoint(), dst.endpoint());
    let mut header = vec![0; 8];
    put16(&mut header, 0, src.port());
    put16(&mut header, 2, dst.port());
    Build::new(src.ip(), dst.ip(), 17, header)
}

/// An SCTP packet without a chunk yet: add one.
pub fn sctp(src: impl Endpoint, dst: impl Endpoint) -> Build {
    let (src, dst) = (src.endpoint(), dst.endpoint());
    let mut header = vec![0; 12];
    put16(&mut header, 0, src.port());
    put16(&mut header, 2, dst.port());
    Build::new(src.ip(), dst.ip(), 132, header)
}

/// An echo request with some payload, of the family of the addresses.
pub fn ping(src: impl Host, dst: impl Host, id: u16, seq: u16) -> Build {
    let (src, dst) = (src.host(), dst.host());
    let kind = if src.is_ipv4() { 8 } else { 128 };
    icmp(src, dst, kind, 0, u32::from(id) << 16 | u32::from(seq)).payload(b"0123456789abcdef")
}

/// Any ICMP or ICMPv6 message; `rest` is the second word of its header.
pub fn icmp(src: impl Host, dst: impl Host, kind: u8, code: u8, rest: u32) -> Build {
    let (src, dst) = (src.host(), dst.host());
    let mut header = vec![kind, code, 0, 0, 0, 0, 0, 0];
    put32(&mut header, 4, rest);
    Build::new(src, dst, if src.is_ipv4() { 1 } else { 58 }, header)
}

/// A router or host tells `to` that its packet met a closed port; quotes all of `quote`.
pub fn unreachable_port(from: impl Host, to: impl Host, quote: &[u8]) -> Build {
    let from = from.host();
    let (kind, code) = if from.is_ipv4() { (3, 3) } else { (1, 4) };
    icmp(from, to, kind, code, 0).payload(quote)
}

/// A router tells `to` that its packet is longer than `mtu`.
pub fn too_big(from: impl Host, to: impl Host, mtu: u32, quote: &[u8]) -> Build {
    let from = from.host();
    let (kind, code) = if from.is_ipv4() { (3, 4) } else { (2, 0) };
    icmp(from, to, kind, code, mtu).payload(quote)
}

/// A router tells `to` that its packet's time to live is used up.
pub fn time_exceeded(from: impl Host, to: impl Host, quote: &[u8]) -> Build {
    let from = from.host();
    icmp(from, to, if from.is_ipv4() { 11 } else { 3 }, 0, 0).payload(quote)
}

/// A packet of any other protocol: no transport header, no transport checksum.
pub fn raw(src: impl Host, dst: impl Host, protocol: u8) -> Build {
    Build::new(src.host(), dst.host(), protocol, Vec::new())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sum {
    Complete,
    Partial,
    None,
    Wrong,
}

/// A packet to be.
#[derive(Clone, Debug)]
pub struct Build {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    ttl: u8,
    class: u8,
    id: u16,
    dont_fragment: bool,
    ip_options: Vec<u8>,
    extensions: Vec<(u8, Vec<u8>)>,
    header: Vec<u8>,
    payload: Vec<u8>,
    sum: Sum,
    gso: u16,
}

impl Build {
    fn new(src: IpAddr, dst: IpAddr, protocol: u8, header: Vec<u8>) -> Self {
        assert_eq!(src.is_ipv4(), dst.is_ipv4(), "both addresses of one family");
        Self {
            src,
            dst,
            protocol,
            ttl: 64,
            class: 0,
            id: 0,
            dont_fragment: true,
            ip_options: Vec::new(),
            extensions: Vec::new(),
            header,
            payload: Vec::new(),
            sum: Sum::Complete,
            gso: 0,
        }
    }

    /// Time to live, hop limit.
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// Type of service, traffic class.
    pub fn class(mut self, class: u8) -> Self {
        self.class = class;
        self
    }

    /// IPv4: identification.
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// IPv4: may be fragmented (the default is not).
    pub fn may_fragment(mut self) -> Self {
        self.dont_fragment = false;
        self
    }

    /// IPv4: options, padded to four bytes.
    pub fn ipv4_options(mut self, options: &[u8]) -> Self {
        assert!(self.src.is_ipv4() && options.len() <= 40, "at most 40 bytes of IPv4 options");
        self.ip_options = padded(options, 4);
        self
    }

    /// IPv6: one more extension header of this protocol number; `body` is what stands behind its first two bytes,
    /// padded to eight.
    pub fn extension(mut self, number: u8, body: &[u8]) -> Self {
        assert!(self.src.is_ipv6(), "extension headers are for IPv6");
        let mut header = vec![0; 2];
        header.extend_from_slice(body);
        let mut header = padded(&header, 8);
        header[1] = u8::try_from(header.len() / 8 - 1).expect("an extension header has at most 2048 bytes");
        self.extensions.push((number, header));
        self
    }

    /// TCP: sets these flags as well.
    pub fn flags(mut self, flags: TcpFlags) -> Self {
        self.tcp_header()[13] |= flags.0;
        self
    }

    /// TCP: SYN.
    pub fn syn(self) -> Self {
        self.flags(TcpFlags::SYN)
    }

    /// TCP: FIN.
    pub fn fin(self) -> Self {
        self.flags(TcpFlags::FIN)
    }

    /// TCP: RST.
    pub fn rst(self) -> Self {
        self.flags(TcpFlags::RST)
    }

    /// TCP: ACK with this number.
    pub fn ack(self, number: u32) -> Self {
        let mut build = self.flags(TcpFlags::ACK);
        put32(build.tcp_header(), 8, number);
        build
    }

    /// TCP: sequence number.
    pub fn seq(mut self, number: u32) -> Self {
        put32(self.tcp_header(), 4, number);
        self
    }

    /// TCP: window, not scaled.
    pub fn window(mut self, window: u16) -> Self {
        put16(self.tcp_header(), 14, window);
        self
    }

    /// TCP: options, padded to four bytes.
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        assert!(options.len() <= 40, "at most 40 bytes of TCP options");
        self.tcp_header().truncate(20);
        self.header.extend(padded(options, 4));
        self
    }

    /// SCTP: verification tag.
    pub fn tag(mut self, tag: u32) -> Self {
        assert_eq!(self.protocol, 132, "SCTP alone has that");
        put32(&mut self.header, 4, tag);
        self
    }

    /// SCTP: one more chunk of this type, with this behind its header, padded.
    pub fn chunk(mut self, kind: u8, value: &[u8]) -> Self {
        assert_eq!(self.protocol, 132, "SCTP alone has that");
        let mut chunk = vec![kind, 0, 0, 0];
        put16(&mut chunk, 2, (4 + value.len()) as u16);
        chunk.extend_from_slice(value);
        self.payload.extend(padded(&chunk, 4));
        self
    }

    /// Bytes behind the transport header.
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// So many bytes, all different from their neighbours.
    pub fn payload_len(mut self, len: usize) -> Self {
        self.payload = (0..len).map(|at| (at * 7 + at / 256) as u8).collect();
        self
    }

    /// UDP: no checksum.
    pub fn no_checksum(mut self) -> Self {
        assert_eq!(self.protocol, 17, "UDP alone may go without a checksum");
        self.sum = Sum::None;
        self
    }

    /// The transport checksum is wrong.
    pub fn wrong_checksum(mut self) -> Self {
        self.sum = Sum::Wrong;
        self
    }

    /// The transport checksum is left to whoever sends the frame. [`Build::bytes`] alone does not say so.
    pub fn partial(mut self) -> Self {
        self.sum = Sum::Partial;
        self
    }

    /// The transport checksum is finished and right (the default).
    pub fn complete(mut self) -> Self {
        self.sum = Sum::Complete;
        self
    }

    /// A super-packet to be cut into segments of `size` bytes of payload, its checksum partial; 0 for none.
    pub fn gso(mut self, size: u16) -> Self {
        assert!(matches!(self.protocol, 6 | 17), "super-packets are TCP or UDP");
        self.gso = size;
        if size == 0 { self } else { self.partial() }
    }

    /// The packet.
    pub fn bytes(&self) -> Vec<u8> {
        let transport = self.transport();
        let mut packet = self.network(transport.len(), 0, false, false);
        packet.extend(transport);
        assert!(packet.len() <= MAX_PACKET, "a packet has at most {MAX_PACKET} bytes");
        packet
    }

    /// The packet with its offload metadata.
    pub fn frame(&self) -> Frame {
        let mut frame = Frame::from_packet(&self.bytes());
        frame.offload = self.offload();
        frame
    }

    /// The datagram in fragments, each with at most `size` bytes (rounded down to a multiple of eight) of transport.
    pub fn fragments(&self, size: usize) -> Vec<Vec<u8>> {
        let (transport, size) = (self.transport(), size / 8 * 8);
        assert!(size > 0, "a fragment has at least eight bytes");
        let last = transport.len().div_ceil(size).max(1) - 1;
        transport
            .chunks(size)
            .enumerate()
            .map(|(index, piece)| {
                let mut packet = self.network(piece.len(), index * size, index < last, true);
                packet.extend_from_slice(piece);
                packet
            })
            .collect()
    }

    fn offload(&self) -> Offload {
        let headers = self.network(0, 0, false, false).len();
        let mut offload = Offload::default();
        if self.sum == Sum::Partial {
            offload.checksum = Checksum::Partial { start: headers as u16, offset: self.checksum_at() as u16 };
            offload.hdr_len = (headers + self.header.len()) as u16;
        }
        if self.gso != 0 {
            offload.gso_size = self.gso;
            offload.gso = match (self.protocol, self.src.is_ipv4()) {
                (17, _) => GsoKind::Udp,
                (_, true) => GsoKind::TcpV4,
                (_, false) => GsoKind::TcpV6,
            };
        }
        offload
    }

    fn tcp_header(&mut self) -> &mut Vec<u8> {
        assert_eq!(self.protocol, 6, "TCP alone has that");
        &mut self.header
    }

    fn checksum_at(&self) -> usize {
        match self.protocol {
            6 => 16,
            17 => 6,
            132 => 8,
            _ => 2,
        }
    }

    /// Transport header and payload.
    fn transport(&self) -> Vec<u8> {
        let mut bytes = self.header.clone();
        match self.protocol {
            6 => bytes[12] = ((self.header.len() / 4) as u8) << 4,
            17 => put16(&mut bytes, 4, (8 + self.payload.len()) as u16),
            _ => {}
        }
        bytes.extend_from_slice(&self.payload);
        if self.header.is_empty() {
            return bytes;
        }
        let pseudo = match self.protocol {
            1 => 0,
            _ => checksum::pseudo_header(self.src, self.dst, self.protocol, bytes.len() as u32),
        };
        if self.protocol == 132 {
            let crc = match self.sum {
                Sum::Complete => sctp::crc(&bytes),
                Sum::Wrong => !sctp::crc(&bytes),
                Sum::Partial | Sum::None => 0,
            };
            bytes[8..12].copy_from_slice(&crc.to_le_bytes());
            return bytes;
        }
        let complete = match !checksum::add(checksum::sum(&bytes), pseudo) {
            0 if self.protocol == 17 => 0xffff,
            sum => sum,
        };
        let field = match self.sum {
            Sum::Complete => complete,
            Sum::Partial => pseudo,
            Sum::None => 0,
            // Neither the right one, nor the other zero, nor UDP's none.
            Sum::Wrong => complete ^ 0x5555,
        };
        put16(&mut bytes, self.checksum_at(), field);
        bytes
    }

    fn network(&self, transport: usize, offset: usize, more: bool, fragment: bool) -> Vec<u8> {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let header = 20 + self.ip_options.len();
                let mut bytes = vec![0; 20];
                bytes[0] = 0x40 | (header / 4) as u8;
                bytes[1] = self.class;
                put16(&mut bytes, 2, (header + transport) as u16);
                put16(&mut bytes, 4, self.id);
                let dont = u16::from(self.dont_fragment && !fragment) << 14;
                put16(&mut bytes, 6, dont | u16::from(more) << 13 | (offset / 8) as u16);
                bytes[8] = self.ttl;
                bytes[9] = self.protocol;
                bytes[12..16].copy_from_slice(&src.octets());
                bytes[16..20].copy_from_slice(&dst.octets());
                bytes.extend_from_slice(&self.ip_options);
                let sum = !checksum::sum(&bytes);
                put16(&mut bytes, 10, sum);
                bytes
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let mut chain = self.extensions.clone();
                if fragment {
                    let mut header = vec![0; 8];
                    put16(&mut header, 2, offset as u16 | u16::from(more));
                    put32(&mut header, 4, u32::from(self.id));
                    chain.push((44, header));
                }
                let length: usize = chain.iter().map(|(_, header)| header.len()).sum();
                let mut bytes = vec![0; 40];
                put32(&mut bytes, 0, 6 << 28 | u32::from(self.class) << 20);
                put16(&mut bytes, 4, (length + transport) as u16);
                bytes[6] = chain.first().map_or(self.protocol, |(number, _)| *number);
                bytes[7] = self.ttl;
                bytes[8..24].copy_from_slice(&src.octets());
                bytes[24..40].copy_from_slice(&dst.octets());
                let next = chain.iter().skip(1).map(|(number, _)| *number).chain([self.protocol]);
                for ((_, header), next) in chain.iter().zip(next) {
                    bytes.push(next);
                    bytes.extend_from_slice(&header[1..]);
                }
                bytes
            }
            _ => unreachable!("checked when the build began"),
        }
    }
}

fn padded(bytes: &[u8], to: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(to), 0);
    bytes
}
