//! Packets that no well-behaved host or router sends. What becomes of each, at a VIP:
//!
//! | what | becomes of it |
//! |---|---|
//! | shorter than its headers say: cut, IP total length or TCP header beyond the end, no room for the ports | dropped, `truncated` |
//! | longer than its IP header says | goes on; what is behind the end is nobody's |
//! | neither IPv4 nor IPv6 | dropped, `bad-version` |
//! | IPv4 or TCP header length below 20 | dropped, `bad-header-length` |
//! | IPv4 total length below its header's, UDP length below 8 or beyond the end | dropped, `bad-length` |
//! | UDP length short of the end | goes on as it is |
//! | IPv6 payload length 0 (no jumbograms here) | dropped, `truncated` |
//! | IPv4 header checksum wrong, of no connection | dropped, `bad-header-checksum` |
//! | the same on a connection | goes on and stays wrong: whoever takes it next drops it |
//! | transport checksum wrong | goes on and stays wrong |
//! | the same where it would be answered by us | dropped, `bad-checksum` |
//! | TTL or hop limit 0 | dropped, `hops-used-up`; for the host itself: passed |
//! | TTL or hop limit 1 | goes on: the host has taken its hop before us, or nobody does |
//! | IPv4 options | stay |
//! | IPv4 options that cannot be read, reserved flag | stay |
//! | loose or strict source route, of no connection | dropped, `source-route` (and by most hosts before us) |
//! | IPv6 hop-by-hop and destination options, routing header that is used up, of any type | stay |
//! | IPv6 routing header with hops to visit | dropped, `source-route`; where the VIP is the host's: passed |
//! | more than 8 extension headers, hop-by-hop options that are not first | dropped, `bad-extension` |
//! | IPv6 fragment header of a whole packet ("atomic") | stays; the packet is whole |
//! | AH, ESP, no next header | dropped, `unknown-protocol`; where the VIP is the host's: passed |
//! | from 0.0.0.0/8, 127.0.0.0/8, multicast, broadcast, `::`, `::1`, an IPv4 address mapped to IPv6 | dropped, `martian-source` |
//! | from an address of this host's own, or one of the above, and by a link | dropped, `martian-source`, whoever it is for (see `links.rs`) |
//! | from a VIP that is nobody's address | dropped, `martian-source`: its answers would end here |
//! | from the very VIP that it is for | dropped, `land`; of the host's own VIP only from the very port as well |
//! | from the server that gets it | as from any client; behind NAT by FullNAT (see `fullnat.rs`) |
//! | from or to port 0 | like any port |
//!
//! Sources, source routes and header checksums are looked at in what belongs to no connection: of one that was there
//! before, the first packet has been.

mod headers;
mod lengths;
mod sources;
mod sums;

use engine::{DropReason, Egress};
use wire::build::{Build, ping, tcp, udp};
use wire::checksum;

use super::case::{Case, Move::*, Step, bytes};
use super::net::Net;

pub(crate) use sources::impossible;

pub(crate) fn cases() -> Vec<Case> {
    [lengths::cases(), sums::cases(), headers::cases(), sources::cases()].into_iter().flatten().collect()
}

/// A packet with some bytes of its header changed, and with a header checksum that is right all the same.
fn changed(build: &Build, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut packet = build.bytes();
    change(&mut packet);
    if packet[0] >> 4 == 4 {
        packet[10..12].fill(0);
        let len = (usize::from(packet[0] & 0xf).max(5) * 4).min(packet.len());
        let sum = !checksum::sum(&packet[..len]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// A SYN of this shape to the web service begins a connection and goes on in the same shape.
fn begins(n: &Net, shape: impl Fn(Build) -> Vec<u8>) -> Step {
    let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
    let (arrives, leaves) = (shape(tcp(c, v).syn().seq(100)), shape(tcp(c, s).syn().seq(100).ttl(65)));
    let moves = [New(leg), Active(leg, 1), In(leg, 1, arrives.len() as u64)];
    bytes(&arrives).leaves_as_bytes(Egress::Route, &leaves, &moves)
}

/// A segment of this shape on an established connection goes on in the same shape.
fn goes_on(n: &Net, shape: impl Fn(Build) -> Vec<u8>) -> Step {
    let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
    let of = |to, ttl| shape(tcp(c, to).seq(101).ack(901).payload_len(5).ttl(ttl));
    let arrives = of(v, 64);
    let moves = [In(leg, 1, arrives.len() as u64)];
    bytes(&arrives).leaves_as_bytes(Egress::Route, &of(s, 65), &moves)
}

fn drops(packet: &[u8], reason: DropReason) -> Step {
    bytes(packet).drops(reason, &[])
}

/// Whatever could begin something or be answered by us: a SYN, a datagram, a segment of nothing, a datagram for nobody, a
/// ping.
fn all(n: &Net, shape: impl Fn(Build) -> Vec<u8>) -> Vec<Vec<u8>> {
    let c = n.client();
    let builds = [
        tcp(c, n.web()).syn(),
        udp(c, n.dns()).payload_len(9),
        tcp(c, n.web()).seq(7).ack(9),
        udp(c, n.vip_port(54)).payload_len(9),
        ping(c.ip(), n.vip(), 1, 1),
    ];
    builds.into_iter().map(shape).collect()
}

fn all_drop(n: &Net, reason: DropReason, shape: impl Fn(Build) -> Vec<u8>) -> Vec<Step> {
    all(n, shape).iter().map(|packet| drops(packet, reason)).collect()
}
