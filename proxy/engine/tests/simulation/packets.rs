//! The packets that are thrown at the engine, and what can become of them.

use std::net::{IpAddr, SocketAddr};

use sched::Proto;
use wire::build::{self, Build};
use wire::frame::Frame;
use wire::packet::TcpFlags;

/// How the frame carries its checksum, and whether it is a super-packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Complete,
    Partial,
    /// UDP over IPv4 only.
    NoChecksum,
    Gso(u16),
    /// The first of two fragments; the sequence number is their identification.
    First,
    /// The second.
    Rest,
}

/// A TCP, UDP or SCTP packet.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) proto: Proto,
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) flags: TcpFlags,
    pub(crate) seq: u32,
    /// Counts where the flags say so.
    pub(crate) ack: u32,
    /// Type of the chunk of an SCTP packet.
    pub(crate) chunk: u8,
    /// Of SCTP: a multiple of four, behind the chunk's header.
    pub(crate) payload: usize,
    pub(crate) shape: Shape,
    pub(crate) ttl: u8,
    /// Type of service, traffic class.
    pub(crate) class: u8,
    pub(crate) may_fragment: bool,
}

impl Segment {
    /// The same packet on another leg.
    pub(crate) fn between(&self, src: SocketAddr, dst: SocketAddr) -> Self {
        Self { src, dst, ..self.clone() }
    }

    pub(crate) fn with_ttl(&self, ttl: u8) -> Self {
        Self { ttl, ..self.clone() }
    }

    pub(crate) fn frame(&self) -> Frame {
        match self.shape {
            Shape::Complete => self.plain(self.payload),
            Shape::Partial => self.plain(self.payload).partial(),
            Shape::NoChecksum => self.plain(self.payload).no_checksum(),
            Shape::Gso(size) => self.plain(self.payload).gso(size),
            Shape::First | Shape::Rest => return Frame::from_packet(&self.first_on_wire()),
        }
        .frame()
    }

    /// The first packet that this becomes on the wire.
    pub(crate) fn first_on_wire(&self) -> Vec<u8> {
        match self.shape {
            Shape::NoChecksum => self.plain(self.payload).no_checksum().bytes(),
            Shape::Gso(size) => self.plain(self.payload.min(size.into())).bytes(),
            Shape::Complete | Shape::Partial => self.plain(self.payload).bytes(),
            Shape::First => self.fragments().swap_remove(0),
            Shape::Rest => self.fragments().swap_remove(1),
        }
    }

    /// Packets and bytes on the wire.
    pub(crate) fn on_wire(&self) -> (u64, u64) {
        if matches!(self.shape, Shape::First | Shape::Rest) {
            return (1, self.largest() as u64);
        }
        let packets = match self.shape {
            Shape::Gso(size) => self.payload.div_ceil(size.into()).max(1) as u64,
            _ => 1,
        };
        (packets, packets * self.headers() as u64 + self.payload as u64)
    }

    /// Length of the largest packet on the wire.
    pub(crate) fn largest(&self) -> usize {
        match self.shape {
            Shape::Gso(size) => self.headers() + self.payload.min(size.into()),
            Shape::First | Shape::Rest => self.first_on_wire().len(),
            _ => self.headers() + self.payload,
        }
    }

    pub(crate) fn is_v4(&self) -> bool {
        self.src.is_ipv4()
    }

    fn fragments(&self) -> Vec<Vec<u8>> {
        self.plain(self.payload).id(self.seq as u16).fragments((self.headers() + self.payload) / 2)
    }

    fn headers(&self) -> usize {
        let network = if self.is_v4() { 20 } else { 40 };
        let transport = match self.proto {
            Proto::Tcp => 20,
            Proto::Udp => 8,
            Proto::Sctp => 12 + 4,
        };
        network + transport
    }

    fn plain(&self, payload: usize) -> Build {
        let build = match self.proto {
            Proto::Tcp => {
                let build = build::tcp(self.src, self.dst).flags(self.flags).seq(self.seq);
                if self.flags.ack() { build.ack(self.ack) } else { build }
            }
            Proto::Udp => build::udp(self.src, self.dst),
            Proto::Sctp => build::sctp(self.src, self.dst).tag(self.seq).chunk(self.chunk, &vec![7; payload]),
        };
        let build = build.ttl(self.ttl).class(self.class);
        let build = if self.proto == Proto::Sctp { build } else { build.payload_len(payload) };
        if self.may_fragment && self.is_v4() { build.may_fragment() } else { build }
    }
}

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    PortUnreachable,
    TooBig(u32),
    TimeExceeded,
}

impl Says {
    /// The error as `from` tells it to `to`.
    pub(crate) fn build(self, from: IpAddr, to: IpAddr, quote: &[u8]) -> Build {
        match self {
            Self::PortUnreachable => build::unreachable_port(from, to, quote),
            Self::TooBig(mtu) => build::too_big(from, to, mtu, quote),
            Self::TimeExceeded => build::time_exceeded(from, to, quote),
        }
    }

    /// The error as we tell it: with the precedence of network control, and no longer than any host takes.
    pub(crate) fn own(self, from: IpAddr, to: IpAddr, packet: &[u8]) -> Frame {
        let v4 = from.is_ipv4();
        let room = if v4 { 576 - 28 } else { 1280 - 48 };
        let build = self.build(from, to, &packet[..packet.len().min(room)]);
        if v4 { build.class(0xc0) } else { build }.frame()
    }
}
