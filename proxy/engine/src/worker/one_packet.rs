//! One-packet scheduling (`-o`): each datagram gets a server of its own, and no connection remembers it.

use sched::Direction;
use wire::frame::Frame;
use wire::packet::Packet;

use super::begin::{Choice, Request};
use super::{Step, count};
use crate::verdict::{DropReason, Verdict};

impl Step<'_> {
    /// Sends a datagram to the server that was chosen for it alone.
    pub(super) fn one_packet(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        request: &Request<'_>,
        choice: Choice,
    ) -> Verdict {
        let legs = self.legs(request, choice);
        if let Some(template) = &legs.template {
            template.leave();
        }
        if !legs.dest.is_available() {
            return Verdict::Drop(DropReason::DestRemoved);
        }
        if let Some(refused) = self.too_big(frame, packet, &legs) {
            return refused;
        }
        legs.service.stats.count_conn();
        legs.dest.stats.count_conn();
        count(frame, packet, &legs, Direction::In);
        self.request(frame, packet, &legs)
    }
}
