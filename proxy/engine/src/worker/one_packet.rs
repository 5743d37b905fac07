//! One-packet scheduling (`-o`): each datagram gets a server of its own, and no connection remembers it.

use std::net::SocketAddr;
use std::sync::Arc;

use sched::{Direction, Proto};
use wire::edit;
use wire::frame::Frame;
use wire::packet::{Fragment, Packet};

use super::begin::{Choice, Request};
use super::step::Step;
use crate::conn::{Birth, Legs};
use crate::fragments::Way;
use crate::verdict::{DropReason, Egress, Verdict};
use crate::watch::{Note, Watch};

impl<W: Watch> Step<'_, W> {
    /// Sends a datagram to the server that was chosen for it alone.
    pub(super) fn one_packet(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        request: &Request<'_>,
        choice: Choice,
    ) -> Verdict {
        let Birth { between, client, template, .. } = match self.birth(request, choice) {
            Ok(birth) => birth,
            Err(reason) => return Verdict::Drop(reason),
        };
        self.watch.note(|| Note::OnePacket);
        if let Some(template) = template {
            template.leave();
        }
        if packet.fragment == Fragment::None {
            return self.single(frame, packet, &Legs::new(&between, client));
        }
        let between = Arc::new(between);
        self.way = Some(Way::Single(Arc::clone(&between), client));
        self.single(frame, packet, &Legs::new(&between, client))
    }

    /// A datagram, or a fragment of one, on to its server.
    pub(super) fn single(&mut self, frame: &mut Frame, packet: &Packet, legs: &Legs<'_>) -> Verdict {
        if !legs.dest.is_available() {
            return Verdict::Drop(DropReason::DestRemoved);
        }
        // The first fragment went to it while it seemed alive.
        if packet.fragment == Fragment::Later && legs.dest.is_down() {
            return Verdict::Drop(DropReason::DestDown);
        }
        if let Some(refused) = self.too_big(frame, packet, legs) {
            return refused;
        }
        if packet.fragment != Fragment::Later {
            legs.service.stats.count_conn();
            legs.dest.stats.count_conn();
        }
        self.count(frame, packet, &legs.service, &legs.dest, Direction::In);
        self.request(frame, packet, legs)
    }

    /// What a server says to a client that it has no connection with, as far as it may be the answer to a single
    /// datagram: it comes from the VIP. (IPVS lets it go as it is, from somebody that the client has never heard of.)
    pub(super) fn one_packet_reply(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        proto: Proto,
        server: SocketAddr,
    ) -> Option<Verdict> {
        if proto != Proto::Udp || !self.knobs.ops_replies {
            return None;
        }
        let (service, dest, vip) = self.table.one_packet_source(server)?;
        self.watch.note(|| Note::AnswersOne);
        if packet.fragment == Fragment::First {
            let (service, dest) = (Arc::clone(&service.live), Arc::clone(&dest.live));
            self.way = Some(Way::SingleReply { service, dest, vip: vip.ip() });
        }
        self.count(frame, packet, &service.live, &dest.live, Direction::Out);
        edit::set_source(frame, packet, vip.ip(), vip.port());
        self.credit(frame, packet, self.both_hops(packet.src, packet.dst));
        Some(Verdict::Transmit(Egress::Route))
    }
}
