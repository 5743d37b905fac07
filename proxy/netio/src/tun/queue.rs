//! One queue of a TUN device: a packet per system call, straight into and out of a [`Frame`].

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use tun_tap::Iface;
use wire::frame::{Checksum, Frame, GsoKind, Offload};
use wire::vnet;

use crate::sys;

/// One queue of a TUN device, for one worker. Nothing blocks: wait with [`crate::poll`] or register the descriptor.
#[derive(Debug)]
pub struct Queue {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Each packet has a `virtio_net_hdr` before it.
    Offload(File),
    /// Bare, finished packets.
    Plain(Iface),
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A packet is in the frame.
    Frame,
    /// No packet is waiting. The frame's content is unspecified.
    Empty,
    /// A packet was taken from the queue that we cannot describe; it is gone. The frame's content is unspecified.
    Unreadable(Unreadable),
}

/// Why a received packet could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its `virtio_net_hdr` names a GSO type that we do not know.
    UnknownGso(u8),
    /// It is shorter than the `virtio_net_hdr`.
    Short,
}

impl Queue {
    pub(super) fn offload(file: File) -> Self {
        Self { kind: Kind::Offload(file) }
    }

    pub(super) fn plain(iface: Iface) -> Self {
        Self { kind: Kind::Plain(iface) }
    }

    /// Whether frames with a partial checksum and super-packets may pass, in both directions.
    pub fn offloads(&self) -> bool {
        matches!(self.kind, Kind::Offload(_))
    }

    /// Takes the next packet, if there is one, with one system call.
    ///
    /// # Errors
    /// `EBADFD` when the device is gone; anything else is the kernel's.
    pub fn recv(&self, frame: &mut Frame) -> io::Result<Received> {
        match &self.kind {
            Kind::Offload(file) => {
                let area = frame.receive_area(vnet::LEN);
                let Some(read) = unless_empty(nix::unistd::read(file, area).map_err(io::Error::from))? else {
                    return Ok(Received::Empty);
                };
                let (Some(header), Some(len)) = (area.first_chunk(), read.checked_sub(vnet::LEN)) else {
                    return Ok(Received::Unreadable(Unreadable::Short));
                };
                match vnet::parse(header) {
                    Ok(offload) => frame.filled(len, offload),
                    Err(vnet::UnknownGso(gso)) => {
                        return Ok(Received::Unreadable(Unreadable::UnknownGso(gso)));
                    }
                }
            }
            Kind::Plain(iface) => match unless_empty(iface.recv(frame.receive_area(0)))? {
                Some(len) => frame.filled(len, Offload::default()),
                None => return Ok(Received::Empty),
            },
        }
        Ok(Received::Frame)
    }

    /// Gives the packet to the kernel, as one that arrived on the device, with one system call. The kernel tells
    /// IPv4 from IPv6 by the version in the first byte. The frame's packet and metadata stay as they are.
    ///
    /// # Errors
    /// `InvalidInput` for a frame that a plain queue cannot carry (partial checksum, super-packet): finish it first.
    /// `EINVAL` when the kernel rejects the packet or its metadata, `EIO` while the device is down, `EBADFD` when it
    /// is gone; anything else is the kernel's.
    pub fn send(&self, frame: &mut Frame) -> io::Result<()> {
        match &self.kind {
            Kind::Offload(file) => {
                let header = vnet::emit(&frame.offload);
                nix::unistd::write(file, frame.with_prefix(&header)).map(drop).map_err(io::Error::from)
            }
            Kind::Plain(iface) => {
                if frame.offload.checksum != Checksum::Complete || frame.offload.gso != GsoKind::None {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                iface.send(frame.packet()).map(drop)
            }
        }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Offload(file) => file.as_fd(),
            Kind::Plain(iface) => sys::tun::descriptor(iface),
        }
    }
}

fn unless_empty(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(read) => Ok(Some(read)),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(e) => Err(e),
    }
}
