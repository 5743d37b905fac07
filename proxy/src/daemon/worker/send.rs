//! How frames leave a worker.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use engine::Egress;
use netio::link::{LinkSocket, NextHop, Ways};
use netio::tun::Queue;
use wire::encap::{Encap, Wrapper};
use wire::frame::Frame;
use wire::packet::Family;

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

fn family(frame: &Frame) -> Option<Family> {
    match frame.packet().first()? >> 4 {
        4 => Some(Family::V4),
        6 => Some(Family::V6),
        _ => None,
    }
}
