//! How frames leave a worker.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use engine::Egress;
use netio::link::{LinkHeader, LinkSocket, NextHop, Way, Ways};
use netio::packet::Port;
use netio::tun::Queue;
use wire::encap::{Encap, Wrapper};
use wire::frame::{Arrival, Frame, Tagged};
use wire::packet::{Family, Packet};
use wire::{edit, gso};

use super::PortErrors;
use super::held::Held;

/// Sends a worker's frames, each the way that the engine has said.
pub(super) struct Sender {
    pub(super) errors: Arc<PortErrors>,
    /// Not everybody may have one.
    pub(super) link: Option<LinkSocket>,
    pub(super) ways: Ways,
    pub(super) held: Held,
    pub(super) wrapper: Wrapper,
    /// What is made here leaves by link as well where its way is known: there are rings beside a queue.
    past: bool,
    /// What its sender is to be told: a packet was too long.
    pub(super) note: Option<Box<Frame>>,
}

impl Sender {
    pub(super) fn new(errors: Arc<PortErrors>, link: Option<LinkSocket>, ways: Ways, past: bool) -> Self {
        Self { errors, link, ways, held: Held::default(), wrapper: Wrapper::default(), past, note: None }
    }

    /// Whether the host has a device for this VLAN: then its routes say how to answer.
    pub(super) fn knows(&mut self, way: &Tagged) -> bool {
        self.ways.know(way)
    }

    /// Sends what the worker or one of its fronts has to say.
    pub(super) fn send_own(&mut self, queue: Option<&Queue>, frame: &mut Frame, egress: Egress) {
        let made_here = frame.arrival == Arrival::Link && frame.encap.is_none();
        if self.past
            && made_here
            && egress == Egress::Route
            && let Some(link) = &self.link
            && let Some((family, way)) = past_the_stack(&mut self.ways, frame)
        {
            if link.send(frame, family, way.device, &way.header).is_err() {
                self.errors.unsent.fetch_add(1, Relaxed);
            }
            return;
        }
        self.send(queue, frame, egress);
    }

    /// Without a queue it is all ours: there is no host's stack to do it.
    pub(super) fn send(&mut self, queue: Option<&Queue>, frame: &mut Frame, egress: Egress) {
        let sent = match egress {
            Egress::Route => match (frame.encap.take(), queue) {
                (None, Some(queue)) => queue.send(frame).is_ok(),
                (Some(encap), Some(queue)) => return self.wrapped(queue, frame, &encap),
                (encap, None) => return self.alone(frame, encap),
            },
            Egress::Neighbour { device, next_hop } => self.by_link(frame, (device, next_hop)),
            Egress::Back(way) => self.back(frame, &way),
        };
        if !sent {
            self.errors.unsent.fetch_add(1, Relaxed);
        }
    }

    /// Sends the packet in a slot of a ring, which came from a link, straight out of a device. False where that cannot be:
    /// then [`Self::send`] is to have it, by the host's stack where there is a queue to it.
    pub(super) fn straight(&mut self, port: &mut Port, slot: usize, egress: Egress) -> bool {
        let frame = port.frame(slot);
        // What replaces a packet has not come from a link, and has no hop to lose by us.
        if frame.arrival != Arrival::Link || frame.encap.is_some() {
            return false;
        }
        let way = match egress {
            Egress::Route => {
                past_the_stack(&mut self.ways, frame).map(|(family, way)| (family, way.device, way.header))
            }
            Egress::Neighbour { device, next_hop } => self
                .ways
                .neighbour((device, next_hop))
                .and_then(|header| Some((family(frame)?, device, header))),
            Egress::Back(way) => family(frame).map(|family| (family, way.device, LinkHeader::back(&way))),
        };
        let Some((family, device, header)) = way else { return false };
        if self.held.precedes(port.frame(slot).packet())
            && let Some(link) = &self.link
        {
            // What is to be sent with others came before what waits.
            self.errors.unsent.fetch_add(port.flush(), Relaxed);
            release(&mut self.held, &mut self.ways, link, &self.errors);
        }
        port.send(slot, family, device, &header);
        true
    }

    /// The outer packets find their way by the host's routing, those of a packet that came from a link past its stack.
    fn wrapped(&mut self, queue: &Queue, frame: &mut Frame, encap: &Encap) {
        let mut unsent = 0;
        let Self { link, ways, wrapper, .. } = self;
        let link = link.as_ref().filter(|_| frame.arrival == Arrival::Link);
        let wrapped = wrapper.wrap(frame, encap, |outer| {
            let sent = match link.and_then(|link| Some((link, past_the_stack(ways, outer)?))) {
                Some((link, (family, way))) => link.send(outer, family, way.device, &way.header),
                None => queue.send(outer),
            };
            if sent.is_err() {
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
            Some(header) => {
                if self.held.precedes(frame.packet()) {
                    release(&mut self.held, &mut self.ways, link, &self.errors);
                }
                link.send(frame, family, hop.0, &header).is_ok()
            }
            None => self.held.hold(hop, family, frame, Instant::now()),
        }
    }

    /// The way that a VLAN's packet has come. Whether it was sent.
    fn back(&self, frame: &mut Frame, way: &Tagged) -> bool {
        let Some((link, family)) = self.link.as_ref().zip(family(frame)) else { return false };
        link.send(frame, family, way.device, &LinkHeader::back(way)).is_ok()
    }

    /// When to call [`Self::release`] though nobody has called.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.next_due()
    }

    /// Sends what has waited for its neighbour.
    pub(super) fn release(&mut self, now: Instant) {
        let Some(link) = self.link.as_ref().filter(|_| !self.held.is_empty()) else { return };
        release(&mut self.held, &mut self.ways, link, &self.errors);
        self.errors.unresolved.fetch_add(self.held.expire(now) as u64, Relaxed);
    }
}

/// Sends what has waited for its neighbour, as far as that has answered.
pub(super) fn release(held: &mut Held, ways: &mut Ways, link: &LinkSocket, errors: &PortErrors) {
    let way = |hop| ways.neighbour(hop);
    held.release(way, |frame, family, device, header| {
        if link.send(frame, family, device, &header).is_err() {
            errors.unsent.fetch_add(1, Relaxed);
        }
    });
}

/// The way that the host's stack would send the packet, and the hop taken that it would take. None where that is for the
/// stack itself, which then finds the packet as it was.
fn past_the_stack(ways: &mut Ways, frame: &mut Frame) -> Option<(Family, Way)> {
    let family = family(frame)?;
    let way = ways.way(frame.packet())?;
    (fits(frame, way.mtu) && edit::take_hop(frame)).then_some((family, way))
}

/// Whether each packet that the frame becomes is short enough.
pub(super) fn fits(frame: &Frame, mtu: u32) -> bool {
    frame.len() <= mtu as usize
        || frame.offload.gso_size > 0
            && Packet::parse(frame.packet()).is_ok_and(|packet| gso::largest(frame, &packet) <= mtu as usize)
}

pub(super) fn family(frame: &Frame) -> Option<Family> {
    match frame.packet().first()? >> 4 {
        4 => Some(Family::V4),
        6 => Some(Family::V6),
        _ => None,
    }
}
