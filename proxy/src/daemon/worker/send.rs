//! How frames leave a worker.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use engine::Egress;
use netio::link::{LinkSocket, NextHop, Ways};
use netio::packet::Port;
use netio::tun::Queue;
use wire::encap::{Encap, Wrapper};
use wire::frame::{Arrival, Frame};
use wire::packet::{Family, Packet};
use wire::{edit, gso};

use super::PortErrors;
use super::held::Held;

/// Sends a worker's frames, each the way that the engine has said.
pub(super) struct Sender {
    errors: Arc<PortErrors>,
    /// Not everybody may have one.
    link: Option<LinkSocket>,
    ways: Ways,
    held: Held,
    wrapper: Wrapper,
}

impl Sender {
    pub(super) fn new(errors: Arc<PortErrors>, link: Option<LinkSocket>, ways: Ways) -> Self {
        Self { errors, link, ways, held: Held::default(), wrapper: Wrapper::default() }
    }

    pub(super) fn send(&mut self, queue: &Queue, frame: &mut Frame, egress: Egress) {
        let sent = match egress {
            Egress::Route => match frame.encap.take() {
                None => queue.send(frame).is_ok(),
                Some(encap) => return self.wrapped(queue, frame, &encap),
            },
            Egress::Neighbour { device, next_hop } => self.by_link(frame, (device, next_hop)),
        };
        if !sent {
            self.errors.unsent.fetch_add(1, Relaxed);
        }
    }

    /// Sends the packet in a slot of a ring, which came from a link, straight out of a device. False where that cannot be:
    /// then the host's stack is to have it, which knows what to do, or what to say about it.
    pub(super) fn straight(&mut self, port: &mut Port, slot: usize, egress: Egress) -> bool {
        let frame = port.frame(slot);
        // What replaces a packet has not come from a link, and has no hop to lose by us.
        if frame.arrival != Arrival::Link || frame.encap.is_some() {
            return false;
        }
        let Some(family) = family(frame) else { return false };
        let (device, header) = match egress {
            Egress::Route => match self.ways.way(frame.packet()) {
                Some(way) if fits(frame, way.mtu) && edit::take_hop(frame) => (way.device, way.header),
                _ => return false,
            },
            Egress::Neighbour { device, next_hop } => match self.ways.neighbour((device, next_hop)) {
                Some(header) => (device, header),
                None => return false,
            },
        };
        port.send(slot, family, device, &header);
        true
    }

    /// The outer packets find their way by the host's routing.
    fn wrapped(&mut self, queue: &Queue, frame: &mut Frame, encap: &Encap) {
        let mut unsent = 0;
        let wrapped = self.wrapper.wrap(frame, encap, |outer| {
            if queue.send(outer).is_err() {
                unsent += 1;
            }
        });
        if wrapped.is_err() {
            unsent += 1;
        }
        if unsent > 0 {
            self.errors.unsent.fetch_add(unsent, Relaxed);
        }
    }

    /// Whether it was sent, or waits to be.
    fn by_link(&mut self, frame: &mut Frame, hop: NextHop) -> bool {
        let Some(link) = &self.link else { return false };
        let Some(family) = family(frame) else { return false };
        match self.ways.neighbour(hop) {
            Some(header) => link.send(frame, family, hop.0, &header).is_ok(),
            None => self.held.hold(hop, family, frame, Instant::now()),
        }
    }

    /// When to call [`Self::release`] though nobody has called.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.next_due()
    }

    /// Sends what has waited for its neighbour. `frame` is one to make others in.
    pub(super) fn release(&mut self, frame: &mut Frame, now: Instant) {
        let Some(link) = self.link.as_ref().filter(|_| !self.held.is_empty()) else { return };
        let (ways, errors) = (&mut self.ways, &self.errors);
        let way = |hop| ways.neighbour(hop);
        self.held.release(frame, way, |frame, family, device, header| {
            if link.send(frame, family, device, &header).is_err() {
                errors.unsent.fetch_add(1, Relaxed);
            }
        });
        errors.unresolved.fetch_add(self.held.expire(now) as u64, Relaxed);
    }
}

/// Whether each packet that the frame becomes is short enough.
fn fits(frame: &Frame, mtu: u32) -> bool {
    frame.len() <= mtu as usize
        || frame.offload.gso_size > 0
            && Packet::parse(frame.packet()).is_ok_and(|packet| gso::largest(frame, &packet) <= mtu as usize)
}

fn family(frame: &Frame) -> Option<Family> {
    match frame.packet().first()? >> 4 {
        4 => Some(Family::V4),
        6 => Some(Family::V6),
        _ => None,
    }
}
