//! The words that rows are written in: what passes between a client and a server, and what a director of any method makes
//! of it.

use std::net::SocketAddr;

use engine::Egress;
use sched::{Family, ForwardMethod, Proto, TunnelChecksum, TunnelKind};
use wire::build::{self, Build};
use wire::encap::{Encap, EncapKind, GueChecksum};

use crate::case::{Leg, Move, Step, frame};
use crate::net::Net;

/// In what form a port hands packets over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// As on the wire.
    Whole,
    /// The transport checksum left to the sender.
    Partial,
    /// Three packets in one.
    Super,
}

/// Payload of a segment of super-packets.
pub(super) const SEGMENT: usize = 1400;

/// One client that speaks with the first server of a service.
#[derive(Clone, Copy)]
pub(super) struct Talk<'a> {
    pub(super) net: &'a Net,
    pub(super) proto: Proto,
    pub(super) load: Load,
}

/// A packet whose ends are not given yet.
pub(super) type Shape = fn(SocketAddr, SocketAddr) -> Build;

impl Talk<'_> {
    pub(super) fn client(&self) -> SocketAddr {
        self.net.client()
    }

    /// What the client speaks to.
    pub(super) fn service(&self) -> SocketAddr {
        self.leg().0
    }

    pub(super) fn server(&self) -> SocketAddr {
        self.leg().1
    }

    /// Whom the server speaks to.
    pub(super) fn peer(&self) -> SocketAddr {
        if self.net.method == ForwardMethod::FullNat { self.net.lip() } else { self.client() }
    }

    pub(super) fn leg(&self) -> Leg {
        let net = self.net;
        match self.proto {
            Proto::Tcp => net.w1(),
            Proto::Udp => net.u1(),
            Proto::Sctp => Leg(net.signals(), net.g1()),
        }
    }

    /// The server that is next.
    pub(super) fn second(&self) -> Leg {
        let net = self.net;
        match self.proto {
            Proto::Tcp => net.w2(),
            Proto::Udp => net.u2(),
            Proto::Sctp => Leg(net.signals(), net.g2()),
        }
    }

    /// Which way requests leave.
    pub(super) fn egress(&self) -> Egress {
        match self.net.method {
            ForwardMethod::Route => Egress::Neighbour { device: 3, next_hop: self.net.router() },
            _ => Egress::Route,
        }
    }

    /// What is left of so many hops when a request leaves: whoever routes it takes another one.
    pub(super) fn hops(&self, ttl: u8) -> u8 {
        if self.net.method.changes_port() { ttl + 1 } else { ttl }
    }

    /// What begins a connection.
    pub(super) fn first(&self) -> Shape {
        match self.proto {
            Proto::Tcp => |from, to| build::tcp(from, to).syn().seq(100),
            Proto::Udp => |from, to| build::udp(from, to).payload_len(33),
            Proto::Sctp => |from, to| build::sctp(from, to).chunk(1, &[7; 16]),
        }
    }

    /// So many bytes on their way, in the form of the row.
    pub(super) fn data(&self, len: usize) -> impl Fn(SocketAddr, SocketAddr) -> Build {
        let (proto, load) = (self.proto, self.load);
        move |from, to| {
            let build = match proto {
                Proto::Tcp => build::tcp(from, to).seq(101).ack(901).payload_len(len),
                Proto::Udp => build::udp(from, to).payload_len(len),
                // The chunk has four bytes of its own.
                Proto::Sctp => build::sctp(from, to).tag(7).chunk(0, &vec![9; len - 4]),
            };
            match load {
                Load::Whole => build,
                Load::Partial => build.partial(),
                Load::Super => build.gso(SEGMENT as u16),
            }
        }
    }

    /// Bytes of headers of each packet.
    pub(super) fn headers(&self) -> usize {
        let transport = match self.proto {
            Proto::Tcp => 20,
            Proto::Udp => 8,
            Proto::Sctp => 12,
        };
        self.net.ip() as usize + transport
    }

    /// A usual length of data.
    pub(super) fn usual(&self) -> usize {
        match (self.proto, self.load) {
            (_, Load::Super) => 3 * SEGMENT,
            (Proto::Sctp, _) => 500,
            _ => 501,
        }
    }

    /// The counters that so much data from the client moves.
    pub(super) fn counted_in(&self, len: usize) -> Vec<Move> {
        let packets = if self.load == Load::Super { len.div_ceil(SEGMENT) } else { 1 };
        let moved = Move::In(self.leg(), packets as u64, (len + packets * self.headers()) as u64);
        if self.load == Load::Super { vec![Move::Super, moved] } else { vec![moved] }
    }

    /// The same from the server.
    pub(super) fn counted_out(&self, len: usize) -> Vec<Move> {
        let turned = |moved| match moved {
            Move::In(leg, packets, bytes) => Move::Out(leg, packets, bytes),
            other => other,
        };
        self.counted_in(len).into_iter().map(turned).collect()
    }

    /// The client's packet reaches the server, and these counters move.
    pub(super) fn up(&self, shape: impl Fn(SocketAddr, SocketAddr) -> Build, moves: &[Move]) -> Step {
        self.up_to(self.leg(), self.client(), shape, moves)
    }

    /// The same from another port of the client, to one of the servers.
    pub(super) fn up_to(
        &self,
        leg: Leg,
        client: SocketAddr,
        shape: impl Fn(SocketAddr, SocketAddr) -> Build,
        moves: &[Move],
    ) -> Step {
        let (arrives, leaves) = (shape(client, leg.0), self.rewritten(leg, client, &shape));
        let outer = self.outer(leg, &arrives.bytes());
        frame(arrives).leaves_by(self.egress(), leaves.ttl(self.hops(64)), moves).inside(outer)
    }

    /// The packet around one that goes through a tunnel. What nobody can foretell of it is zero: the identification, and
    /// the port that stands for the flow (see `director::Tunnels`).
    pub(super) fn outer(&self, leg: Leg, arrives: &[u8]) -> Option<Encap> {
        let ForwardMethod::Tunnel(tunnel) = self.net.method else { return None };
        let (class, ttl, dont_fragment) = match arrives[0] >> 4 {
            4 => (arrives[1], arrives[8], arrives[6] & 0x40 != 0),
            _ => (arrives[0] << 4 | arrives[1] >> 4, arrives[7], false),
        };
        let congested = class & 3 == 3;
        let kind = match tunnel.kind {
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
        };
        Some(Encap {
            kind,
            src: self.net.lip().ip(),
            dst: leg.1.ip(),
            class: if congested { class - 1 } else { class },
            // The host's stack takes a hop of it again.
            ttl: ttl.saturating_add(1),
            dont_fragment,
            id: 0,
            mtu: 0,
        })
    }

    /// Bytes that the way to the server adds to a packet.
    pub(super) fn overhead(&self) -> u32 {
        let ForwardMethod::Tunnel(tunnel) = self.net.method else { return 0 };
        let ip = if self.net.outer == Family::Ipv4 { 20 } else { 40 };
        ip + match (tunnel.kind, tunnel.checksum) {
            (TunnelKind::Ipip, _) => 0,
            (TunnelKind::Gre, TunnelChecksum::None) => 4,
            (TunnelKind::Gre, _) => 8,
            (TunnelKind::Gue, TunnelChecksum::Remote) => 20,
            (TunnelKind::Gue, _) => 12,
        }
    }

    /// A client's packet with the addresses that the server gets it with.
    pub(super) fn rewritten(
        &self,
        Leg(service, server): Leg,
        client: SocketAddr,
        shape: impl Fn(SocketAddr, SocketAddr) -> Build,
    ) -> Build {
        match self.net.method {
            ForwardMethod::Masq => self.edited(shape(client, server)),
            ForwardMethod::FullNat => self.edited(shape(self.net.lip(), server)),
            ForwardMethod::Route | ForwardMethod::Tunnel(_) => shape(client, service),
        }
    }

    /// Nobody behind us can finish the checksum of SCTP: where ports change, that is done here.
    fn edited(&self, build: Build) -> Build {
        if (self.proto, self.load) == (Proto::Sctp, Load::Partial) { build.complete() } else { build }
    }

    /// The server's packet reaches the client. Only where answers come back through the director.
    pub(super) fn down(
        &self,
        shape: impl Fn(SocketAddr, SocketAddr) -> Build,
        moves: &[Move],
    ) -> Option<Step> {
        self.net.method.sees_replies().then(|| {
            let (arrives, leaves) = (shape(self.server(), self.peer()), shape(self.service(), self.client()));
            frame(arrives).leaves_as(self.edited(leaves).ttl(65), moves)
        })
    }

    /// The first packet of a connection goes to the first server.
    pub(super) fn begins(&self) -> Step {
        self.up(self.first(), &self.counted_first(self.leg()))
    }

    /// What the first packet of a connection moves.
    pub(super) fn counted_first(&self, leg: Leg) -> Vec<Move> {
        let len = self.net.ip()
            + match self.proto {
                Proto::Tcp => 20,
                Proto::Udp => 8 + 33,
                Proto::Sctp => 12 + 20,
            };
        let load = if self.proto == Proto::Tcp { Move::Active(leg, 1) } else { Move::Inactive(leg, 1) };
        vec![Move::New(leg), load, Move::In(leg, 1, len)]
    }
}
