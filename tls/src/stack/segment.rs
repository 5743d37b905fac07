//! TCP segments as they come and go: what one says, and how one is written (RFC 9293 section 3.1, options of RFC 2018
//! and RFC 7323).

use std::net::{IpAddr, SocketAddr};

use wire::checksum;
use wire::frame::{Checksum, Frame, GsoKind, MAX_PACKET, Offload};
use wire::packet::{Fragment, L4, Packet, TcpFlags};
use wire::tcp;

const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const TCP: u8 = 6;
const TTL: u8 = 64;

const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const NOP: u8 = 1;

/// The headers of an IPv4 packet without options: no packet has shorter ones.
pub(super) const BARE: usize = V4_HEADER + TCP_HEADER;

/// Bytes that timestamps take in the options.
pub(super) const TIMESTAMPS_LEN: usize = 12;

/// Most blocks of data that one segment reports as received.
const MAX_BLOCKS: usize = 4;

/// Received data behind a gap, by sequence numbers: from, and up to but without.
pub(super) type Block = (u32, u32);

/// Blocks of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blocks {
    blocks: [Block; MAX_BLOCKS],
    len: u8,
}

impl Blocks {
    pub(super) fn push(&mut self, block: Block) {
        if let Some(slot) = self.blocks.get_mut(usize::from(self.len)) {
            *slot = block;
            self.len += 1;
        }
    }

    pub(super) fn as_slice(&self) -> &[Block] {
        &self.blocks[..usize::from(self.len)]
    }
}

/// What a segment says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: TcpFlags,
    /// As it stands in the header.
    pub(super) window: u16,
    pub(super) mss: Option<u16>,
    pub(super) scale: Option<u8>,
    pub(super) sack_permitted: bool,
    /// Value and echo.
    pub(super) timestamps: Option<(u32, u32)>,
    pub(super) blocks: Blocks,
    /// Where the payload is in the packet.
    pub(super) payload_at: usize,
    pub(super) payload_len: usize,
}

impl Segment {
    /// Takes a frame apart. `None` for what is no whole TCP segment between two hosts, or is damaged. The checksum of a
    /// super-packet is the affair of who made it.
    pub(super) fn parse(frame: &Frame) -> Option<Self> {
        let packet = Packet::parse(frame.packet()).ok()?;
        let L4::Tcp { src_port, dst_port, seq, ack, flags, .. } = packet.l4 else { return None };
        let whole = packet.fragment == Fragment::None;
        let intact = frame.offload.gso != GsoKind::None || checksum::verify_frame(frame).is_ok();
        let named = src_port != 0 && dst_port != 0 && is_host(packet.src) && is_host(packet.dst);
        if !whole || !intact || !named {
            return None;
        }
        let mut segment = Self {
            from: SocketAddr::new(packet.src, src_port),
            to: SocketAddr::new(packet.dst, dst_port),
            seq,
            ack,
            flags,
            window: tcp::numbers(frame, &packet)?.window,
            mss: None,
            scale: None,
            sack_permitted: false,
            timestamps: None,
            blocks: Blocks::default(),
            payload_at: packet.header_len(),
            payload_len: packet.payload_len(),
        };
        for option in tcp::options(frame, &packet) {
            match (option.kind, option.data) {
                (MSS, [high, low]) => segment.mss = Some(u16::from_be_bytes([*high, *low])),
                (WINDOW_SCALE, [scale]) => segment.scale = Some((*scale).min(14)),
                (SACK_PERMITTED, []) => segment.sack_permitted = true,
                (TIMESTAMPS, data) if data.len() == 8 => {
                    segment.timestamps = Some((get32(data, 0), get32(data, 4)));
                }
                (SACK, data) => {
                    data.chunks_exact(8).for_each(|b| segment.blocks.push((get32(b, 0), get32(b, 4))));
                }
                _ => {}
            }
        }
        Some(segment)
    }

    /// Sequence numbers that it takes.
    pub(super) fn len(&self) -> u32 {
        self.payload_len as u32 + u32::from(self.flags.syn()) + u32::from(self.flags.fin())
    }

    /// The reset that tells its sender that there is no such connection (RFC 9293 section 3.10.7.1).
    pub(super) fn reset(&self) -> Header {
        let header = Header::new(self.to, self.from);
        if self.flags.ack() {
            Header { seq: self.ack, flags: TcpFlags::RST, ..header }
        } else {
            let ack = self.seq.wrapping_add(self.len());
            Header { ack, flags: TcpFlags::RST | TcpFlags::ACK, ..header }
        }
    }
}

/// The headers of a segment to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: TcpFlags,
    /// As it stands in the header.
    pub(super) window: u16,
    pub(super) mss: Option<u16>,
    pub(super) scale: Option<u8>,
    pub(super) sack_permitted: bool,
    pub(super) timestamps: Option<(u32, u32)>,
    pub(super) blocks: Blocks,
}

impl Header {
    /// With nothing in it.
    pub(super) fn new(from: SocketAddr, to: SocketAddr) -> Self {
        Self {
            from,
            to,
            seq: 0,
            ack: 0,
            flags: TcpFlags::default(),
            window: 0,
            mss: None,
            scale: None,
            sack_permitted: false,
            timestamps: None,
            blocks: Blocks::default(),
        }
    }

    /// Makes `out` the segment with this header and payload. If that is longer than `mss` it is a super-packet. Its
    /// checksum is partial.
    pub(super) fn write(&self, out: &mut Frame, payload: [&[u8]; 2], mss: usize) {
        let (options, options_len) = self.options();
        let options = &options[..options_len];
        let is_v4 = self.from.is_ipv4();
        let l4 = if is_v4 { V4_HEADER } else { V6_HEADER };
        let headers = l4 + TCP_HEADER + options.len();
        let payload_len = payload[0].len() + payload[1].len();
        let bytes = out.reset(headers + payload_len);
        let (head, body) = bytes.split_at_mut(headers);
        body[..payload[0].len()].copy_from_slice(payload[0]);
        body[payload[0].len()..].copy_from_slice(payload[1]);
        self.write_network(&mut head[..l4], headers + payload_len);
        self.write_transport(&mut head[l4..], payload_len, options);

        let cut = payload_len > mss;
        out.offload = Offload {
            checksum: Checksum::Partial { start: l4 as u16, offset: 16 },
            gso: match (cut, is_v4) {
                (false, _) => GsoKind::None,
                (true, true) => GsoKind::TcpV4,
                (true, false) => GsoKind::TcpV6,
            },
            gso_size: if cut { mss as u16 } else { 0 },
            hdr_len: headers as u16,
            ecn: false,
        };
    }

    /// Makes the 40 bytes in front of the payload the headers of an IPv4 packet without options, its checksum partial.
    pub(super) fn write_bare(&self, bytes: &mut [u8]) {
        let (len, l4) = (bytes.len(), V4_HEADER);
        self.write_network(&mut bytes[..l4], len);
        self.write_transport(&mut bytes[l4..BARE], len - BARE, &[]);
    }

    fn write_transport(&self, header: &mut [u8], payload_len: usize, options: &[u8]) {
        put16(header, 0, self.from.port());
        put16(header, 2, self.to.port());
        header[4..8].copy_from_slice(&self.seq.to_be_bytes());
        header[8..12].copy_from_slice(&self.ack.to_be_bytes());
        header[12] = ((header.len() / 4) << 4) as u8;
        header[13] = self.flags.0;
        put16(header, 14, self.window);
        let len = (header.len() + payload_len) as u32;
        put16(header, 16, checksum::pseudo_header(self.from.ip(), self.to.ip(), TCP, len));
        put16(header, 18, 0);
        header[TCP_HEADER..].copy_from_slice(options);
    }

    /// IPv4 with "don't fragment", and therefore without an identification (RFC 6864 section 4.1), or IPv6.
    fn write_network(&self, header: &mut [u8], total: usize) {
        header.fill(0);
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                header[0] = 0x45;
                put16(header, 2, total as u16);
                header[6] = 0x40;
                header[8] = TTL;
                header[9] = TCP;
                header[12..16].copy_from_slice(&from.octets());
                header[16..20].copy_from_slice(&to.octets());
                let sum = checksum::sum(header);
                put16(header, 10, !sum);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                header[0] = 0x60;
                put16(header, 4, (total - V6_HEADER) as u16);
                header[6] = TCP;
                header[7] = TTL;
                header[8..24].copy_from_slice(&from.octets());
                header[24..40].copy_from_slice(&to.octets());
            }
            // Connections between two families are refused when they are made.
            _ => {}
        }
    }

    fn options(&self) -> ([u8; 40], usize) {
        let mut options = Options { bytes: [0; 40], len: 0 };
        if let Some(mss) = self.mss {
            let [high, low] = mss.to_be_bytes();
            options.put(&[MSS, 4, high, low]);
        }
        if let Some(scale) = self.scale {
            options.put(&[NOP, WINDOW_SCALE, 3, scale]);
        }
        if self.sack_permitted {
            options.put(&[NOP, NOP, SACK_PERMITTED, 2]);
        }
        if let Some((value, echo)) = self.timestamps {
            options.put(&[NOP, NOP, TIMESTAMPS, 10]);
            options.put(&value.to_be_bytes());
            options.put(&echo.to_be_bytes());
        }
        let room = (options.bytes.len() - options.len).saturating_sub(4) / 8;
        let blocks = self.blocks.as_slice();
        let blocks = &blocks[..blocks.len().min(room)];
        if !blocks.is_empty() {
            options.put(&[NOP, NOP, SACK, 2 + 8 * blocks.len() as u8]);
            for (left, right) in blocks {
                options.put(&left.to_be_bytes());
                options.put(&right.to_be_bytes());
            }
        }
        (options.bytes, options.len)
    }
}

struct Options {
    bytes: [u8; 40],
    len: usize,
}

impl Options {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// The most payload that one packet takes, whatever the options.
pub(super) const MAX_PAYLOAD: usize = MAX_PACKET - V6_HEADER - tcp::MAX_HEADER;

/// The largest segment that fits into packets of so many bytes, options not counted.
pub(super) fn mss_of(mtu: u16, addr: IpAddr) -> u16 {
    let headers = TCP_HEADER + if addr.is_ipv4() { V4_HEADER } else { V6_HEADER };
    mtu.saturating_sub(headers as u16)
}

/// One host, whose packets may be answered.
fn is_host(addr: IpAddr) -> bool {
    !addr.is_unspecified() && !addr.is_multicast() && addr != IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

fn get32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
