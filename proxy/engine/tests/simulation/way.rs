//! How packets get to their servers, as the shadow has it: by which method, and through what.

use std::net::{IpAddr, SocketAddr};

use engine::{DropReason, Egress, Verdict};
use sched::{ForwardMethod, Proto, ServiceKey, Tunnel, TunnelChecksum, TunnelKind};
use wire::encap::{Encap, EncapKind, GueChecksum};
use wire::frame::Frame;

use crate::check::Done;
use crate::model::{FlowKey, Leaves, Model, credited};
use crate::packets::{Segment, Shape};

/// What a packet of a client's needs to get to a server.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) dest: usize,
    pub(crate) method: ForwardMethod,
    pub(crate) server: SocketAddr,
    /// Who the server believes to speak with.
    pub(crate) peer: SocketAddr,
    pub(crate) hop_credit: bool,
    /// The port that stands for the flow outside of a tunnel of GUE, once it is known.
    pub(crate) outer_port: Option<u16>,
}

/// A packet that goes as it is, as far as it matters on the way.
pub(crate) struct Parcel<'a> {
    pub(crate) vip: IpAddr,
    /// With so many hops left.
    pub(crate) whole: &'a dyn Fn(u8) -> Frame,
    pub(crate) ttl: u8,
    pub(crate) class: u8,
    pub(crate) largest: usize,
    pub(crate) dont_fragment: bool,
}

impl Way {
    /// Where the server's answers come from, and go to, if they come by here.
    pub(crate) fn back(&self, client: SocketAddr, vip: SocketAddr) -> (SocketAddr, SocketAddr) {
        if self.method.sees_replies() { (self.server, self.peer) } else { (vip, client) }
    }

    /// A piece of a packet whose checksum changes, and is one over all of it.
    pub(crate) fn sums_all(&self, segment: &Segment, (proto, client, vip): FlowKey) -> bool {
        let ports_change = vip.port() != self.server.port() || client.port() != self.peer.port();
        segment.shape == Shape::First && proto == Proto::Sctp && self.method.changes_port() && ports_change
    }

    /// Which way a packet of our own in the client's name takes, if there is one.
    pub(crate) fn leaves(&self, model: &Model, vip: SocketAddr) -> Option<Leaves> {
        let (server, path) = (self.server.ip(), model.dests[self.dest].path);
        if server.is_loopback() || model.local.contains(&server) {
            return model.local.contains(&vip.ip()).then_some(Leaves::Routed);
        }
        match self.method {
            ForwardMethod::Tunnel(_) => path?.source.map(|_| Leaves::Inside(server)),
            _ => Some(Leaves::To(path?.next_hop)),
        }
    }

    /// A packet sets out, and what has come out is what should have.
    pub(crate) fn goes(&mut self, model: &Model, segment: &Segment, done: &Done<'_>) {
        if self.method.changes_port() {
            if self.server.ip().is_loopback() {
                return done.dropped(DropReason::LoopbackServer);
            }
            let request = segment.between(self.peer, self.server);
            let request = request.with_ttl(credited(segment.ttl, self.hop_credit));
            return done.is(Verdict::Transmit(Egress::Route), &request.frame());
        }
        let parcel = Parcel {
            vip: segment.dst.ip(),
            whole: &|ttl| segment.with_ttl(ttl).frame(),
            ttl: segment.ttl,
            class: segment.class,
            largest: segment.largest(),
            dont_fragment: segment.is_v4() && !segment.may_fragment,
        };
        self.goes_as_it_is(model, &parcel, done);
    }

    /// The same of one that stays as it is.
    pub(crate) fn goes_as_it_is(&mut self, model: &Model, parcel: &Parcel<'_>, done: &Done<'_>) {
        let (server, path) = (self.server.ip(), model.dests[self.dest].path);
        let routed = Verdict::Transmit(Egress::Route);
        if server.is_loopback() || model.local.contains(&server) {
            if model.local.contains(&parcel.vip) {
                return done.is(routed, &(parcel.whole)(credited(parcel.ttl, self.hop_credit)));
            }
            return done.dropped(DropReason::VipNotLocal);
        }
        let Some(path) = path else { return done.dropped(DropReason::NoRoute) };
        let mut frame = (parcel.whole)(parcel.ttl);
        let ForwardMethod::Tunnel(tunnel) = self.method else {
            let way = Egress::Neighbour { device: path.device, next_hop: path.next_hop };
            return done.is(Verdict::Transmit(way), &frame);
        };
        let Some(own) = path.source else { return done.dropped(DropReason::NoLocalAddress) };
        let mtu = model.path_mtu(self.dest);
        let fits = mtu == 0 || parcel.largest + overhead(tunnel, server) <= mtu as usize;
        let congested = parcel.class & 3 == 3;
        let mut encap = Encap {
            class: if congested { parcel.class - 1 } else { parcel.class },
            ttl: credited(parcel.ttl, self.hop_credit),
            dont_fragment: model.knobs.pmtu_disc && fits && parcel.dont_fragment,
            mtu,
            ..self.encap(own)
        };
        if let Some(is) = &done.frame.encap {
            self.foretell(is, &mut encap);
        }
        frame.encap = Some(encap);
        done.is(routed, &frame);
    }

    /// What is around all packets of a tunnel.
    pub(crate) fn encap(&self, own: IpAddr) -> Encap {
        let ForwardMethod::Tunnel(tunnel) = self.method else { panic!("no tunnel: {self:?}") };
        let (kind, dst) = (kind(tunnel), self.server.ip());
        Encap { kind, src: own, dst, class: 0, ttl: 0, dont_fragment: false, id: 0, mtu: 0 }
    }

    /// Fills in what is left to chance.
    fn foretell(&mut self, is: &Encap, should: &mut Encap) {
        if !should.dont_fragment {
            should.id = is.id;
        }
        if let (EncapKind::Gue { source_port: is, .. }, EncapKind::Gue { source_port: should, .. }) =
            (is.kind, &mut should.kind)
        {
            assert!(is >= 49_152, "{is} is no port for that");
            *should = *self.outer_port.get_or_insert(is);
        }
    }
}

impl Model {
    /// How a server of a service is reached by a client that it would answer past us.
    pub(crate) fn method_for(
        &self,
        at: ServiceKey,
        dest: usize,
        method: ForwardMethod,
        client: IpAddr,
    ) -> ForwardMethod {
        let (server, path) = (self.dests[dest].addr.ip(), self.dests[dest].path);
        let net = |addr: IpAddr| match addr {
            IpAddr::V4(addr) => u128::from(addr.to_bits() >> 8),
            IpAddr::V6(addr) => addr.to_bits() >> 64,
        };
        let behind_router = path.is_some_and(|path| path.next_hop != server);
        let past_us = client == server || behind_router && net(client) == net(server);
        let own = !self.lips_of(at).is_empty() || path.is_some_and(|path| path.source.is_some());
        if self.knobs.hairpin
            && method == ForwardMethod::Masq
            && self.both_hops(client, server)
            && past_us
            && own
        {
            return ForwardMethod::FullNat;
        }
        method
    }

    /// The longest packet that gets to a server, as the host knows it or the network has said lately; 0 for any.
    pub(crate) fn path_mtu(&self, dest: usize) -> u32 {
        let dest = &self.dests[dest];
        let learned = dest.learned.filter(|(_, until)| *until > self.now).map(|(mtu, _)| mtu);
        learned.into_iter().chain([dest.mtu]).filter(|mtu| *mtu != 0).min().unwrap_or(0)
    }

    /// The network says that no longer packet gets there.
    pub(crate) fn narrow(&mut self, dest: usize, mtu: u32) {
        let known = self.path_mtu(dest);
        if known == 0 || mtu < known {
            self.dests[dest].learned = Some((mtu, self.now + 600_000));
            self.happened("narrowed a path");
        }
    }

    /// The longest packet that a way takes whole; 0 for any.
    pub(crate) fn mtu_of(&self, method: ForwardMethod, dest: usize, v4: bool) -> u32 {
        let (mtu, addr) = (self.path_mtu(dest), self.dests[dest].addr);
        match method {
            ForwardMethod::Tunnel(tunnel) if mtu != 0 => {
                let least = if v4 { 68 } else { 1280 };
                mtu.saturating_sub(overhead(tunnel, addr.ip()) as u32).max(least)
            }
            _ => mtu,
        }
    }

    /// Whether a segment is refused on the way to a server.
    pub(crate) fn is_too_big(&self, segment: &Segment, method: ForwardMethod, dest: usize) -> bool {
        let mtu = self.mtu_of(method, dest, segment.is_v4());
        let keeps_whole = !segment.is_v4() || !segment.may_fragment;
        let cut = segment.is_v4() && !self.knobs.pmtu_disc && matches!(method, ForwardMethod::Tunnel(_));
        mtu != 0 && keeps_whole && !cut && segment.largest() > mtu as usize
    }
}

/// Bytes that a tunnel to there adds to a packet.
fn overhead(tunnel: Tunnel, server: IpAddr) -> usize {
    let ip = if server.is_ipv4() { 20 } else { 40 };
    ip + match (tunnel.kind, tunnel.checksum) {
        (TunnelKind::Ipip, _) => 0,
        (TunnelKind::Gre, TunnelChecksum::None) => 4,
        (TunnelKind::Gre, _) => 8,
        (TunnelKind::Gue, TunnelChecksum::Remote) => 20,
        (TunnelKind::Gue, _) => 12,
    }
}

fn kind(tunnel: Tunnel) -> EncapKind {
    match tunnel.kind {
        TunnelKind::Ipip => EncapKind::Ipip,
        TunnelKind::Gre => EncapKind::Gre { checksum: tunnel.checksum == TunnelChecksum::Full },
        TunnelKind::Gue => EncapKind::Gue {
            port: tunnel.port,
            source_port: 0,
            checksum: match tunnel.checksum {
                TunnelChecksum::None => GueChecksum::None,
                TunnelChecksum::Full => GueChecksum::Full,
                TunnelChecksum::Remote => GueChecksum::Remote,
            },
        },
    }
}
