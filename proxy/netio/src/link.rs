//! Sending to a neighbour by its link address, past the host's routing: what DR needs, and what is fastest where the
//! way is known.

mod announce;
mod cache;
mod hops;
mod keeper;
mod neighbour;
mod responder;
mod view;
mod ways;

use std::io;
use std::os::fd::OwnedFd;

use wire::frame::{Checksum, Frame, Offload, Tagged};
use wire::packet::Family;
use wire::vnet;

use crate::sys;

pub(crate) use announce::{Announcement, Announcer};
pub use hops::NextHop;
pub use keeper::Keeper;
pub(crate) use responder::Responder;
pub use ways::{Onward, Way, Ways};

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;
/// Bytes of a VLAN tag in it.
const TAG: usize = 4;
/// Bytes at most that a packet socket wants before a packet.
pub(crate) const PREFIX: usize = vnet::LEN + ETHERNET + TAG;

/// What goes before a packet to a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkHeader {
    /// Ethernet: destination, source.
    Ethernet([u8; 12]),
    /// The same and a VLAN tag.
    Tagged([u8; 12 + TAG]),
    /// Nothing: a link with one neighbour at most.
    None,
}

impl LinkHeader {
    /// From a link address of ours to another.
    #[inline]
    pub(crate) const fn between(ours: [u8; 6], theirs: [u8; 6]) -> Self {
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (theirs, ours);
        Self::Ethernet([a, b, c, d, e, f, g, h, i, j, k, l])
    }

    /// The way back of what has come like this.
    pub fn back(way: &Tagged) -> Self {
        let mut bytes = [0; 12 + TAG];
        bytes[..6].copy_from_slice(&way.theirs);
        bytes[6..12].copy_from_slice(&way.ours);
        bytes[12..].copy_from_slice(&way.tag);
        Self::Tagged(bytes)
    }

    /// Writes it with the type of what follows, and says how many bytes it has, and the type that is first in it.
    fn put(&self, ethertype: u16, bytes: &mut [u8]) -> (usize, u16) {
        let (start, first): (&[u8], _) = match self {
            Self::Ethernet(addresses) => (addresses, ethertype),
            Self::Tagged(bytes) => (bytes, u16::from_be_bytes([bytes[12], bytes[13]])),
            Self::None => return (0, ethertype),
        };
        bytes[..start.len()].copy_from_slice(start);
        bytes[start.len()..start.len() + 2].copy_from_slice(&ethertype.to_be_bytes());
        (start.len() + 2, first)
    }
}

/// A socket of one worker. Needs `CAP_NET_RAW`.
#[derive(Debug)]
pub struct LinkSocket {
    socket: OwnedFd,
}

impl LinkSocket {
    /// A socket in the network namespace of the calling thread; any thread may use it.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`; `EAFNOSUPPORT` in a kernel without packet sockets.
    pub fn open() -> io::Result<Self> {
        sys::packet::open().map(|socket| Self { socket })
    }

    /// Sends the packet out of the device; a super-packet goes whole, and is cut where the device cannot. The frame's
    /// packet and metadata stay as they are.
    ///
    /// # Errors
    /// `EMSGSIZE` for a packet over the device's MTU, `ENETDOWN` and `ENXIO` for a device that is down or gone,
    /// `ENOBUFS` for a full queue.
    pub fn send(
        &self,
        frame: &mut Frame,
        family: Family,
        device: u32,
        header: &LinkHeader,
    ) -> io::Result<()> {
        let mut prefix = [0; PREFIX];
        let (prefix, ethertype) = self::prefix(&frame.offload, family, header, &mut prefix);
        sys::packet::send(&self.socket, frame.with_prefix(prefix), device, ethertype)
    }

    /// Sends what is short and no packet of traffic; `ethertype` says what it is.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) fn send_bytes(
        &self,
        bytes: &[u8],
        ethertype: u16,
        device: u32,
        header: &LinkHeader,
    ) -> io::Result<()> {
        let mut frame = vec![0; PREFIX];
        let (len, ethertype) = header.put(ethertype, &mut frame[vnet::LEN..]);
        frame.truncate(vnet::LEN + len);
        frame.extend_from_slice(bytes);
        sys::packet::send(&self.socket, &frame, device, ethertype)
    }
}

/// What a packet socket wants before a packet, and the first ethertype in it.
pub(crate) fn prefix<'a>(
    offload: &Offload,
    family: Family,
    header: &LinkHeader,
    room: &'a mut [u8; PREFIX],
) -> (&'a [u8], u16) {
    let ethertype = match family {
        Family::V4 => libc::ETH_P_IP,
        Family::V6 => libc::ETH_P_IPV6,
    } as u16;
    let (len, ethertype) = header.put(ethertype, &mut room[vnet::LEN..]);
    room[..vnet::LEN].copy_from_slice(&vnet::emit(&behind(offload, len as u16)));
    (&room[..vnet::LEN + len], ethertype)
}

/// The same metadata for a packet with `len` bytes before it.
fn behind(offload: &Offload, len: u16) -> Offload {
    let checksum = match offload.checksum {
        Checksum::Complete => Checksum::Complete,
        Checksum::Partial { start, offset } => Checksum::Partial { start: start + len, offset },
    };
    let hdr_len = if offload.hdr_len == 0 { 0 } else { offload.hdr_len + len };
    Offload { checksum, hdr_len, ..*offload }
}

/// The metadata of a packet whose Ethernet header is taken off. None where they are about that header.
pub(crate) fn without_link(offload: Offload) -> Option<Offload> {
    let checksum = match offload.checksum {
        Checksum::Complete => Checksum::Complete,
        Checksum::Partial { start, offset } => {
            Checksum::Partial { start: start.checked_sub(ETHERNET as u16)?, offset }
        }
    };
    Some(Offload { checksum, hdr_len: offload.hdr_len.saturating_sub(ETHERNET as u16), ..offload })
}

#[cfg(test)]
mod tests;
