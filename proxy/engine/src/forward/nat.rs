//! NAT (masquerading): the destination is rewritten on the way in, the source on the way out. The client's address
//! is never touched, so the server's way back must pass the director.

use wire::edit;
use wire::frame::Frame;
use wire::packet::Packet;

use crate::conn::Legs;

pub(super) fn request(frame: &mut Frame, packet: &Packet, legs: &Legs<'_>) {
    edit::set_destination(frame, packet, legs.server.ip(), legs.server.port());
}

pub(super) fn reply(frame: &mut Frame, packet: &Packet, legs: &Legs<'_>) {
    edit::set_source(frame, packet, legs.vip.ip(), legs.vip.port());
}
