//! What mark rules look at in a packet.

use sched::{Marks, PacketFacts};
use wire::frame::Frame;
use wire::gso;
use wire::packet::Packet;

use crate::host::HostView;
use crate::watch::Supposed;

/// The facts of a packet. The device that it came in on is the one that leads back to its sender: a TUN does not say. Nor
/// does it say of marks.
#[inline(always)]
pub(crate) fn facts<'a>(
    marks: &Marks,
    host: &'a HostView,
    packet: &Packet,
    supposed: Option<&'a Supposed>,
) -> PacketFacts<'a> {
    let given = supposed.and_then(|supposed| supposed.input.as_deref());
    PacketFacts {
        src: packet.src,
        dst: packet.dst,
        protocol: packet.protocol,
        ports: packet.ports(),
        input: if given.is_some() {
            given
        } else if marks.ask_for_input() && !host.is_local(packet.src) {
            host.device_towards(packet.src)
        } else {
            None
        },
        mark: supposed.map_or(0, |supposed| supposed.mark),
    }
}

/// Counts a frame on the rules that match it.
#[inline]
pub(crate) fn count(marks: &Marks, host: &HostView, frame: &Frame, packet: &Packet) {
    if !marks.is_empty() {
        count_by_rules(marks, host, frame, packet);
    }
}

#[inline(never)]
fn count_by_rules(marks: &Marks, host: &HostView, frame: &Frame, packet: &Packet) {
    let (packets, bytes) = (u64::from(gso::segments(frame, packet)), gso::wire_bytes(frame, packet));
    marks.count(&facts(marks, host, packet, None), packets, bytes);
}
