//! The forwarding methods. To add one: a file here, a variant of [`ForwardMethod`]; the matches point at the rest.

mod fullnat;
mod nat;

use sched::ForwardMethod;
use wire::frame::Frame;
use wire::packet::Packet;

use crate::conn::Legs;
use crate::verdict::{DropReason, Egress};

/// Turns a client's packet into the one that goes to the server, and says which way it goes.
pub(crate) fn request(
    method: ForwardMethod,
    frame: &mut Frame,
    packet: &Packet,
    legs: &Legs,
) -> Result<Egress, DropReason> {
    match method {
        ForwardMethod::Masq => nat::request(frame, packet, legs),
        ForwardMethod::FullNat => fullnat::request(frame, packet, legs),
        ForwardMethod::Route | ForwardMethod::Tunnel(_) => {
            return Err(DropReason::MethodUnavailable);
        }
    }
    Ok(Egress::Route)
}

/// Turns a server's packet into the one that goes to the client.
pub(crate) fn reply(method: ForwardMethod, frame: &mut Frame, packet: &Packet, legs: &Legs) {
    match method {
        ForwardMethod::Masq => nat::reply(frame, packet, legs),
        ForwardMethod::FullNat => fullnat::reply(frame, packet, legs),
        ForwardMethod::Route | ForwardMethod::Tunnel(_) => {}
    }
}
