//! The forwarding methods. To add one: a file here, a variant of [`ForwardMethod`]; the matches point at the rest.

mod bypass;
mod fullnat;
mod local;
mod nat;
mod route;
mod tunnel;

use sched::ForwardMethod;
use wire::frame::Frame;
use wire::gso::Lengths;
use wire::packet::{Family, Packet};

use crate::conn::{Legs, Millis};
use crate::host::HostView;
use crate::ids::Ids;
use crate::verdict::{DropReason, Egress};

/// What there is besides the packet and its connection.
pub(crate) struct Means<'a> {
    pub(crate) host: &'a HostView,
    pub(crate) ids: &'a Ids,
    pub(crate) pmtu_disc: bool,
    pub(crate) now: Millis,
}

/// Turns a client's packet into the one that goes to the server, and says which way it goes.
#[inline(always)]
pub(crate) fn request(
    frame: &mut Frame,
    packet: &Packet,
    legs: &Legs<'_>,
    means: &Means<'_>,
) -> Result<Egress, DropReason> {
    match legs.method {
        _ if legs.bypass => Ok(bypass::request()),
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
        _ => send(frame, &Inner::of(packet), legs, means),
    }
}

/// What has to be known of a packet that stays as it is.
pub(crate) struct Inner {
    pub(crate) family: Family,
    pub(crate) ttl: u8,
    pub(crate) dont_fragment: bool,
    pub(crate) lengths: Lengths,
}

impl Inner {
    #[inline]
    fn of(packet: &Packet) -> Self {
        let &Packet { family, ttl, dont_fragment, .. } = packet;
        Self { family, ttl, dont_fragment, lengths: Lengths::of(packet) }
    }
}

/// The same by a method that leaves the packet as it is.
#[inline]
pub(crate) fn send(
    frame: &mut Frame,
    inner: &Inner,
    legs: &Legs<'_>,
    means: &Means<'_>,
) -> Result<Egress, DropReason> {
    match legs.method {
        _ if legs.is_here(means.host) => local::request(legs, means.host),
        ForwardMethod::Tunnel(tunnel) => tunnel::request(frame, inner, legs, tunnel, means),
        _ => route::request(legs),
    }
}

/// The longest packet of a family in bytes that gets to the server as it should; 0 while unknown.
#[inline(always)]
pub(crate) fn mtu(legs: &Legs<'_>, family: Family, now: Millis) -> u32 {
    match legs.method {
        ForwardMethod::Tunnel(tunnel) => tunnel::mtu(legs, tunnel, family, now),
        _ => legs.dest.path_mtu(now),
    }
}

/// Turns a server's packet into the one that goes to the client.
#[inline]
pub(crate) fn reply(method: ForwardMethod, frame: &mut Frame, packet: &Packet, legs: &Legs<'_>) {
    match method {
        ForwardMethod::Masq => nat::reply(frame, packet, legs),
        ForwardMethod::FullNat => fullnat::reply(frame, packet, legs),
        ForwardMethod::Route | ForwardMethod::Tunnel(_) => {}
    }
}
