//! FullNAT: the destination is rewritten as with NAT, and the client's address and port become ones of ours (a LIP), so
//! that the server answers us wherever it is.

use wire::edit;
use wire::frame::Frame;
use wire::packet::Packet;

use super::nat;
use crate::conn::Legs;

pub(super) fn request(frame: &mut Frame, packet: &Packet, legs: &Legs<'_>) {
    let peer = legs.peer();
    edit::set_source(frame, packet, peer.ip(), peer.port());
    nat::request(frame, packet, legs);
}

pub(super) fn reply(frame: &mut Frame, packet: &Packet, legs: &Legs<'_>) {
    edit::set_destination(frame, packet, legs.client.ip(), legs.client.port());
    nat::reply(frame, packet, legs);
}
