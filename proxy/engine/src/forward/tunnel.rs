//! Tunnels: the packet stays as it is and travels inside another one, which goes to the server from the address that the
//! host itself would use. The server unwraps it, has the VIP too and answers the client itself.
//!
//! The outer header is the one of IPVS: time to live and class (see [`outer_class`]) are the packet's; so is IPv4's
//! "don't fragment", with `pmtu_disc`. Where that is clear, outer packets that are too long are cut. IPv6 inside has
//! only too-big messages to rely on, down to 1280 bytes; what those would have to say less is cut outside (RFC 2473
//! section 7.1; IPVS drops it).

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use sched::{Tunnel, TunnelChecksum, TunnelKind};
use wire::encap::{Encap, EncapKind, GueChecksum, outer_class};
use wire::frame::{Arrival, Frame};
use wire::packet::Family;

use super::{Inner, Means};
use crate::conn::{Legs, Millis};
use crate::verdict::{DropReason, Egress};

/// What every link carries (RFC 791, RFC 8200 section 5): nobody is told to send less.
const LEAST: [u32; 2] = [68, 1280];

pub(super) fn request(
    frame: &mut Frame,
    inner: &Inner,
    legs: &Legs<'_>,
    tunnel: Tunnel,
    means: &Means<'_>,
) -> Result<Egress, DropReason> {
    let path = legs.dest.path().ok_or(DropReason::NoRoute)?;
    let src = path.source.ok_or(DropReason::NoLocalAddress)?;
    let dst = legs.server.ip();
    let kind = kind(tunnel, || flow_port(legs));
    let mtu = legs.dest.path_mtu(means.now);
    let segments = inner.lengths.segments(&frame.offload);
    let largest = inner.lengths.largest(&frame.offload, segments);
    let fits = mtu == 0 || largest + kind.overhead(dst.into()) <= mtu as usize;
    let dont_fragment = means.pmtu_disc && fits && inner.family == Family::V4 && inner.dont_fragment;
    frame.encap = Some(Encap {
        kind,
        src,
        dst,
        class: outer_class(frame.packet()),
        ttl: inner.ttl.saturating_add(u8::from(legs.hop_credit && frame.arrival == Arrival::Routed)),
        dont_fragment,
        id: if dont_fragment { 0 } else { means.ids.take(dst, segments) },
        mtu,
    });
    Ok(Egress::Route)
}

/// The longest packet in bytes that goes through without the outer one being cut; 0 while unknown.
pub(super) fn mtu(legs: &Legs<'_>, tunnel: Tunnel, family: Family, now: Millis) -> u32 {
    match legs.dest.path_mtu(now) {
        0 => 0,
        path => {
            let overhead = kind(tunnel, || 0).overhead(legs.server.ip().into()) as u32;
            path.saturating_sub(overhead).max(LEAST[family as usize])
        }
    }
}

fn kind(tunnel: Tunnel, source_port: impl FnOnce() -> u16) -> EncapKind {
    match tunnel.kind {
        TunnelKind::Ipip => EncapKind::Ipip,
        TunnelKind::Gre => EncapKind::Gre { checksum: tunnel.checksum == TunnelChecksum::Full },
        TunnelKind::Gue => EncapKind::Gue {
            port: tunnel.port,
            source_port: source_port(),
            checksum: match tunnel.checksum {
                TunnelChecksum::None => GueChecksum::None,
                TunnelChecksum::Full => GueChecksum::Full,
                TunnelChecksum::Remote => GueChecksum::Remote,
            },
        },
    }
}

/// A port that stands for the flow, of the range for that (RFC 6335 section 6): who balances by ports keeps its
/// packets in order.
fn flow_port(legs: &Legs<'_>) -> u16 {
    const FIRST: u16 = 49_152;
    let hash = FixedState::default().hash_one((legs.proto, legs.client, legs.vip));
    FIRST | hash as u16
}
