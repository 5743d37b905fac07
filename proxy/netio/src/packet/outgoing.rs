//! Sending straight from where packets lie, many with one system call, and past the queueing disciplines of the devices. For
//! super-packets that way is open only where a device cuts them itself: where it cannot, the kernel drops them there. Such
//! a device gets everything by its queueing discipline, before which the kernel cuts.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use wire::frame::{Frame, GsoKind};

use super::BATCH;
use crate::sys::packet::{Batch, hasten, open};

/// A packet that is to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) slot: usize,
    /// Bytes before it.
    pub(super) prefix: usize,
    pub(super) device: u32,
    pub(super) ethertype: u16,
}

pub(super) struct Outgoing {
    waiting: Vec<Packet>,
    direct: OwnedFd,
    queued: OwnedFd,
    /// Devices that do not cut super-packets, as far as is known.
    plain: Vec<u32>,
    batch: Batch,
}

impl Outgoing {
    pub(super) fn open() -> io::Result<Self> {
        let (direct, queued) = (open()?, open()?);
        hasten(&direct)?;
        let waiting = Vec::with_capacity(BATCH);
        Ok(Self { waiting, direct, queued, plain: Vec::new(), batch: Batch::new(BATCH) })
    }

    pub(super) fn push(&mut self, packet: Packet) {
        self.waiting.push(packet);
    }

    /// Sends them all, which are in these frames. Says how many the kernel would not take.
    pub(super) fn flush(&mut self, frames: &[Frame]) -> u64 {
        let (mut gone, mut refused) = (0, 0);
        while let Some(&Packet { slot, device, .. }) = self.waiting.get(gone) {
            let is_plain = self.plain.contains(&device);
            let socket = if is_plain { &self.queued } else { &self.direct };
            let in_turn =
                self.waiting[gone..].iter().take_while(|p| self.plain.contains(&p.device) == is_plain);
            let sent = in_turn.map(|p| (frames[p.slot].prefixed(p.prefix), p.device, p.ethertype));
            match self.batch.send(socket, sent) {
                Ok(sent) => gone += sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if !is_plain
                        && frames[slot].offload.gso != GsoKind::None
                        && error.raw_os_error() == Some(Errno::ENOBUFS as i32) =>
                {
                    self.plain.push(device);
                }
                Err(_) => {
                    refused += 1;
                    gone += 1;
                }
            }
        }
        self.waiting.clear();
        refused
    }
}
