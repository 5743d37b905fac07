//! ICMP errors about the packets of tunnels, which say something about the path to a server: the client, whose packet was
//! inside, is told as if the service had said it.

use std::net::SocketAddr;

use sched::{Direction, ForwardMethod, Proto};
use wire::frame::Frame;
use wire::icmp::{self, Tunnelled};
use wire::packet::{Family, Packet};

use super::step::Step;
use crate::conn::{Conn, FlowKey, Legs, Millis};
use crate::forward;
use crate::verdict::{DropReason, Verdict};
use crate::watch::Watch;

/// How long a path is believed to be as narrow as somebody has said: as Linux does (`mtu_expires`).
const BELIEVED_MS: Millis = 600_000;
/// What every link carries (RFC 791, RFC 8200 section 5): nobody is believed who says less.
const LEAST: [u32; 2] = [68, 1280];

impl<W: Watch> Step<'_, W> {
    /// `None` for what is no error about a tunnel of ours.
    pub(super) fn tunnel_error(&mut self, frame: &mut Frame, packet: &Packet) -> Option<Verdict> {
        let tunnelled = icmp::tunnelled(frame.packet(), packet)?;
        let inner = &tunnelled.inner;
        let proto = Proto::ALL.into_iter().find(|proto| proto.number() == inner.protocol)?;
        let client = SocketAddr::new(inner.src, inner.src_port);
        let vip = SocketAddr::new(inner.dst, inner.dst_port);
        let (conn, direction) = self.find(&FlowKey::new(proto, client, vip))?;
        if direction != Direction::In || !is_of(&tunnelled, &conn) {
            return None;
        }
        let legs = &conn.legs;
        self.count(frame, packet, &legs.service, &legs.dest, Direction::Out);
        if icmp::is_unreachable(packet) {
            conn.is_refused();
        }
        let fits = tunnelled.mtu.map(|mtu| self.heed(legs, mtu, inner.family));
        if fits.is_some_and(|fits| !tunnelled.dont_fragment || tunnelled.len <= fits) {
            return Some(Verdict::Drop(DropReason::IcmpHeeded));
        }
        Some(self.refuse(frame, |frame| icmp::tell_sender(frame, packet, &tunnelled, vip.ip(), fits)))
    }

    /// Nothing longer gets to the server for now. Says how long packets of this family may be.
    fn heed(&self, legs: &Legs<'_>, mtu: u32, inner: Family) -> u32 {
        let mtu = mtu.max(LEAST[Family::from(legs.server.ip()) as usize]);
        let known = legs.dest.path_mtu(self.now);
        if known == 0 || mtu < known {
            legs.dest.learn_mtu(mtu, self.now + BELIEVED_MS);
        }
        forward::mtu(legs, inner, self.now)
    }
}

/// Whether the error is about the tunnel that the connection goes through: who does not know its ends is not believed.
fn is_of(tunnelled: &Tunnelled, conn: &Conn<'_>) -> bool {
    let legs = &conn.legs;
    let source = legs.dest.path().and_then(|path| path.source);
    matches!(legs.method, ForwardMethod::Tunnel(_))
        && legs.server.ip() == tunnelled.dst
        && source == Some(tunnelled.src)
}
