//! NAT (masquerading): the destination is rewritten on the way in, the source on the way out. The client's address
//! is never touched, so the server's way back must pass the director.

use sched::Direction;
use wire::edit;
use wire::frame::Frame;
use wire::packet::Packet;

use crate::conn::Legs;

#[inline]
pub(super) fn request(frame: &mut Frame, packet: &Packet, legs: &Legs<'_>) {
    match legs.rewrite(Direction::In) {
        Some(rewrite) => rewrite.apply(frame, packet),
        None => edit::set_destination(frame, packet, legs.server.ip(), legs.server.port()),
    }
}

#[inline]
pub(super) fn reply(frame: &mut Frame, packet: &Packet, legs: &Legs<'_>) {
    match legs.rewrite(Direction::Out) {
        Some(rewrite) => rewrite.apply(frame, packet),
        None => edit::set_source(frame, packet, legs.vip.ip(), legs.vip.port()),
    }
}
