//! How frames leave where rings are all there is: no host's stack routes them, waits for their neighbours or says that they
//! are too long.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use engine::{Egress, Verdict};
use netio::link::{LinkSocket, Onward, Way, Ways};
use wire::encap::Encap;
use wire::frame::{Arrival, Frame};
use wire::packet::Packet;
use wire::{edit, reply};

use super::held::Held;
use super::send::{Sender, family, fits, release};
use super::{PortErrors, Worker};

impl Worker {
    /// Tells whom it concerns that a packet was too long. What was too long has the addresses that it leaves with: that is
    /// what the network would say, and the engine knows whom it means. It counts as a packet that has come, as it does where
    /// the host's stack says it.
    pub(super) fn send_note(&mut self, now: Instant) {
        let Some(mut note) = self.sender.note.take() else { return };
        let traced = self.decider.taps.are_on();
        let egress = match self.decider.decide(&mut note, None, now, traced) {
            Verdict::Transmit(egress) => Some(egress),
            Verdict::Divert(diverted) => {
                self.fronts.receive(diverted, &mut note, now).then_some(Egress::Route)
            }
            _ => None,
        };
        if let Some(egress) = egress {
            self.sender.send(None, &mut note, egress);
        }
    }
}

impl Sender {
    /// Sends it to its destination, in another packet if it is to travel in one.
    pub(super) fn alone(&mut self, frame: &mut Frame, encap: Option<Encap>) {
        let Self { link, ways, held, wrapper, note, errors, .. } = self;
        let mut unsent = 0;
        let mut send = |frame: &mut Frame| {
            unsent += u64::from(!onward(frame, link.as_ref(), ways, held, note, errors));
        };
        match encap {
            None => send(frame),
            Some(encap) => {
                let wrapped = wrapper.wrap(frame, &encap, send);
                unsent += u64::from(wrapped.is_err());
            }
        }
        if unsent > 0 {
            self.errors.unsent.fetch_add(unsent, Relaxed);
        }
    }
}

/// Whether it was sent, or waits to be.
fn onward(
    frame: &mut Frame,
    link: Option<&LinkSocket>,
    ways: &mut Ways,
    held: &mut Held,
    note: &mut Option<Box<Frame>>,
    errors: &PortErrors,
) -> bool {
    let Some((link, family)) = link.zip(family(frame)) else { return false };
    let onward = ways.onward(frame.packet());
    let (Onward::Now(Way { mtu, .. }) | Onward::Later(_, mtu)) = onward else { return false };
    if !fits(frame, mtu) {
        // One at a time is enough: the others of a flow are too long as well.
        if note.is_none() {
            *note = too_big(frame, mtu);
        }
        return false;
    }
    if frame.arrival == Arrival::Link && !edit::take_hop(frame) {
        return false;
    }
    match onward {
        Onward::Now(way) => {
            if held.precedes(frame.packet()) {
                release(held, ways, link, errors);
            }
            link.send(frame, family, way.device, &way.header).is_ok()
        }
        Onward::Later(hop, _) => held.hold(hop, family, frame, Instant::now()),
        Onward::Never => false,
    }
}

/// What a router would say about the packet, as if it were the host that the packet seems to come from.
fn too_big(frame: &Frame, mtu: u32) -> Option<Box<Frame>> {
    let packet = Packet::parse(frame.packet()).ok()?;
    let mut note = Box::new(frame.clone());
    reply::icmp_too_big(&mut note, &packet, packet.src, mtu).then_some(note)
}
