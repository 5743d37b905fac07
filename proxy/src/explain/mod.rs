//! What becomes of a packet, and why, for people and for programs: `ulvs explain` and `ulvs trace` show the same.

mod hex;
mod story;

use std::net::SocketAddr;

use control::api::ExplainOrder;
use engine::{DropReason, Egress, Explanation, Note, Supposed, Verdict};
use serde::{Deserialize, Serialize};
use wire::checksum::{self, ChecksumError};
use wire::frame::{Arrival, Checksum, Frame, GsoKind};
use wire::packet::{L4, Packet};

pub(crate) use hex::{from_hex, to_hex};
pub(crate) use story::story;

/// One packet's story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Explained {
    /// The packet as it came.
    pub(crate) arrived: PacketView,
    /// The reasons of the verdict, in the order in which things happened.
    pub(crate) notes: Vec<Note>,
    pub(crate) verdict: Verdict,
    /// What a reason to drop it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dropped: Option<Dropped>,
    /// The packet as it leaves, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) leaves: Option<PacketView>,
    /// Packets of our own that leave before it, and behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) besides: Vec<PacketView>,
}

/// A packet's headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PacketView {
    /// In a line, like a capture's.
    pub(crate) summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) src: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dst: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<u8>,
    /// Bytes from the IP header on.
    pub(crate) len: usize,
    /// It stands for so many on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) segments: Option<u32>,
    /// The packet that it travels inside of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inside: Option<String>,
    /// Its beginning in hexadecimal digits, if bytes are wanted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) bytes: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dropped {
    pub(crate) reason: String,
    pub(crate) meaning: String,
    pub(crate) cause: String,
}

impl PacketView {
    /// With so many of its bytes.
    pub(crate) fn of(frame: &Frame, snaplen: usize) -> Self {
        let bytes = frame.packet();
        let snapped = to_hex(&bytes[..bytes.len().min(snaplen)]);
        let inside = frame.encap.map(|encap| {
            let (src, dst) = (encap.src, encap.dst);
            format!("{} {src} > {dst}, ttl {}", encap_name(&encap.kind), encap.ttl)
        });
        let Ok(packet) = Packet::parse(bytes) else {
            let summary = format!("{} bytes that are no packet", bytes.len());
            let (src, dst, ttl, segments) = (None, None, None, None);
            return Self { summary, src, dst, ttl, len: bytes.len(), segments, inside, bytes: snapped };
        };
        let (src, dst) = match packet.ports() {
            Some((from, to)) => {
                (SocketAddr::new(packet.src, from).to_string(), SocketAddr::new(packet.dst, to).to_string())
            }
            None => (packet.src.to_string(), packet.dst.to_string()),
        };
        let is_super = frame.offload.gso != GsoKind::None;
        // From a link no hop has been taken yet; what goes on by the host's routing is told of as it will be.
        Self {
            summary: packet.to_string(),
            src: Some(src),
            dst: Some(dst),
            ttl: Some(packet.ttl),
            len: packet.total_len,
            segments: is_super.then(|| wire::gso::segments(frame, &packet)),
            inside,
            bytes: snapped,
        }
    }
}

impl Explained {
    pub(crate) fn new(
        arrived: PacketView,
        frame: &Frame,
        (verdict, notes): (Verdict, Vec<Note>),
        snaplen: usize,
    ) -> Self {
        let leaves = match verdict {
            Verdict::Transmit(_) | Verdict::Reply | Verdict::Pass => Some(PacketView::of(frame, snaplen)),
            Verdict::Divert(_) | Verdict::Wait | Verdict::Drop(_) => None,
        };
        let dropped = match verdict {
            Verdict::Drop(reason) => Some(Dropped::of(reason)),
            _ => None,
        };
        Self { arrived, notes, verdict, dropped, leaves, besides: Vec::new() }
    }

    /// Of what a packet would become, by the explanation of a worker.
    pub(crate) fn of(
        worker: &engine::Worker,
        mut frame: Frame,
        now: std::time::Instant,
        supposed: Supposed,
    ) -> Self {
        let arrived = PacketView::of(&frame, 0);
        let Explanation { verdict, notes, own, behind } = worker.explain(&mut frame, now, supposed);
        let mut told = Self::new(arrived, &frame, (verdict, notes), 0);
        told.besides = own.iter().chain(&behind).map(|own| PacketView::of(&own.frame, 0)).collect();
        told
    }
}

impl Dropped {
    fn of(reason: DropReason) -> Self {
        let [reason, meaning, cause] = [reason.name(), reason.meaning(), reason.cause()].map(str::to_owned);
        Self { reason, meaning, cause }
    }
}

/// What an order supposes of its packet.
pub(crate) fn supposed(order: &ExplainOrder) -> Supposed {
    Supposed { input: order.device.as_ref().map(ToString::to_string), mark: order.mark }
}

/// A frame with this packet. One that was captured before its checksum was filled in comes with that left to do, as it came
/// to whoever captured it.
pub(crate) fn frame_of(bytes: &[u8], by_link: bool) -> Frame {
    let mut frame = Frame::from_packet(bytes);
    if checksum::verify_frame(&frame) == Err(ChecksumError::Transport) {
        frame.offload.checksum = unfinished(bytes).unwrap_or_default();
        if checksum::verify_frame(&frame).is_err() {
            frame.offload.checksum = Checksum::Complete;
        }
    }
    if by_link {
        frame.arrival = Arrival::Link;
    }
    frame
}

/// What would be said of the packet's checksum if it were the pseudo-header's sum alone.
fn unfinished(bytes: &[u8]) -> Option<Checksum> {
    let packet = Packet::parse(bytes).ok()?;
    let offset = match packet.l4 {
        L4::Tcp { .. } => 16,
        L4::Udp { .. } => 6,
        _ => return None,
    };
    Some(Checksum::Partial { start: packet.l4_offset.try_into().ok()?, offset })
}

/// Which way a packet leaves, in words.
pub(crate) fn way(egress: Egress) -> String {
    match egress {
        Egress::Route => "by the host's routing".into(),
        Egress::Neighbour { device, next_hop } => {
            format!("to the link address of {next_hop}, by device {device}")
        }
        Egress::Back(way) => {
            let id = u16::from_be_bytes([way.vlan()[2], way.vlan()[3]]);
            format!("back the way it came, in VLAN {id}, by device {}", way.device)
        }
    }
}

const fn encap_name(kind: &wire::encap::EncapKind) -> &'static str {
    match kind {
        wire::encap::EncapKind::Ipip => "IPIP",
        wire::encap::EncapKind::Gre { .. } => "GRE",
        wire::encap::EncapKind::Gue { .. } => "GUE",
    }
}
