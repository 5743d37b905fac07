//! The forwarding methods. To add one: a file here, a variant of [`ForwardMethod`]; the matches point at the rest.

mod fullnat;
mod local;
mod nat;
mod route;

use sched::ForwardMethod;
use wire::frame::Frame;
use wire::packet::Packet;

use crate::conn::Legs;
use crate::host::HostView;
use crate::verdict::{DropReason, Egress};

/// Turns a client's packet into the one that goes to the server, and says which way it goes.
pub(crate) fn request(
    frame: &mut Frame,
    packet: &Packet,
    legs: &Legs,
    host: &HostView,
) -> Result<Egress, DropReason> {
    match legs.method {
        // The host's stack takes nothing to a loopback address from a device, nor answers from one.
        _ if legs.method.changes_port() && legs.server.ip().is_loopback() => Err(DropReason::LoopbackServer),
        ForwardMethod::Masq => {
            nat::request(frame, packet, legs);
            Ok(Egress::Route)
        }
        ForwardMethod::FullNat => {
            fullnat::request(frame, packet, legs);
            Ok(Egress::Route)
        }
        _ if local::is_here(legs.server.ip(), host) => local::request(legs, host),
        ForwardMethod::Route => route::request(legs),
        ForwardMethod::Tunnel(_) => Err(DropReason::MethodUnavailable),
    }
}

/// Turns a server's packet into the one that goes to the client.
pub(crate) fn reply(method: ForwardMethod, frame: &mut Frame, packet: &Packet, legs: &Legs) {
    match method {
        ForwardMethod::Masq => nat::reply(frame, packet, legs),
        ForwardMethod::FullNat => fullnat::reply(frame, packet, legs),
        ForwardMethod::Route | ForwardMethod::Tunnel(_) => {}
    }
}
