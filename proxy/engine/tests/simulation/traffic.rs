//! Frames that come in.

use std::net::SocketAddr;

use engine::{DropReason, Verdict};
use sched::Proto;
use wire::build;
use wire::frame::Frame;
use wire::packet::TcpFlags;

use crate::cast::{client, lip, server, service_at, some_flow, vip};
use crate::check;
use crate::model::BURST;
use crate::packets::{Segment, Shape};
use crate::sctp;
use crate::world::World;

pub(crate) fn segment(
    world: &mut World,
    proto: Proto,
    src: SocketAddr,
    dst: SocketAddr,
    flags: TcpFlags,
) -> Segment {
    let rng = &mut world.rng;
    let shape = match rng.below(8) {
        _ if proto == Proto::Sctp => Shape::Complete,
        0..4 => Shape::Complete,
        4..6 => Shape::Partial,
        6 if proto == Proto::Udp && src.is_ipv4() => Shape::NoChecksum,
        7 if proto == Proto::Udp || !flags.syn() => Shape::Gso(200 + rng.below(1300) as u16),
        _ => Shape::Complete,
    };
    let payload = match shape {
        Shape::Gso(_) => rng.below(6000),
        _ if flags.syn() => 0,
        _ if proto == Proto::Sctp => 4 * rng.below(300),
        _ => *rng.pick(&[0, 1, 33, 500, 1400]),
    };
    Segment {
        proto,
        src,
        dst,
        flags,
        seq: rng.next() as u32,
        ack: rng.next() as u32,
        chunk: rng.pick(&sctp::CHUNKS).0,
        payload: payload as usize,
        shape,
        ttl: if rng.one_in(60) { 0 } else { *rng.pick(&[1, 63, 64, 254, 255]) },
        class: *rng.pick(&[0, 0, 0xb8, 2, 3]),
        may_fragment: rng.one_in(4),
    }
}

pub(crate) fn send(world: &mut World, segment: &Segment) {
    world.process(segment.frame(), |model, done| check::segment(model, segment, done));
}

fn talk(world: &mut World, proto: Proto, src: SocketAddr, dst: SocketAddr, answers: bool) {
    use TcpFlags as F;
    let flags = match world.rng.below(20) {
        0..11 => F::ACK,
        11 => F::ACK | F::PSH,
        12..15 if answers => F::SYN | F::ACK,
        15..18 => F::FIN | F::ACK,
        18 => F::RST,
        19 => *world.rng.pick(&[F(0), F::FIN, F::RST | F::ACK, F::SYN | F::FIN, F(0xff), F::SYN]),
        _ => F::ACK,
    };
    let segment = segment(world, proto, src, dst, flags);
    send(world, &segment);
}

pub(crate) fn client_talks(world: &mut World) {
    let Some((proto, client, vip)) = some_flow(world) else { return client_opens(world) };
    talk(world, proto, client, vip, false);
}

pub(crate) fn server_talks(world: &mut World) {
    let Some(key) = some_flow(world) else { return client_opens(world) };
    let (from, to) = world.model.flows[&key].way.back(key.1, key.2);
    talk(world, key.0, from, to, true);
}

pub(crate) fn client_opens(world: &mut World) {
    if world.rng.one_in(4)
        && let Some((Proto::Tcp, client, vip)) = some_flow(world)
    {
        let segment = segment(world, Proto::Tcp, client, vip, TcpFlags::SYN);
        return send(world, &segment);
    }
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), service_at(world, Proto::Tcp, v4));
    let segment = segment(world, Proto::Tcp, client, vip, TcpFlags::SYN);
    send(world, &segment);
}

/// From where nobody is: addresses of no host, of another VIP, of the very VIP.
pub(crate) fn martian(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let to = service_at(world, Proto::Tcp, v4);
    let texts = if v4 {
        ["0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255"]
    } else {
        ["::", "::1", "ff02::1", "::ffff:10.1.0.1"]
    };
    let from = match world.rng.below(3) {
        0 => to.ip(),
        1 => vip(world, v4),
        _ => world.rng.pick(&texts).parse().expect("an address"),
    };
    let port = *world.rng.pick(&[to.port(), 1000]);
    let segment = segment(world, Proto::Tcp, SocketAddr::new(from, port), to, TcpFlags::SYN);
    send(world, &segment);
}

pub(crate) fn datagram(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), service_at(world, Proto::Udp, v4));
    let segment = segment(world, Proto::Udp, client, vip, TcpFlags(0));
    send(world, &segment);
}

pub(crate) fn association(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), service_at(world, Proto::Sctp, v4));
    let chunk = if world.rng.one_in(4) { world.rng.pick(&sctp::CHUNKS).0 } else { sctp::INIT };
    let segment = Segment { chunk, ..segment(world, Proto::Sctp, client, vip, TcpFlags(0)) };
    let segment = if world.rng.one_in(10) {
        Segment { shape: Shape::First, payload: 1400, may_fragment: true, ..segment }
    } else {
        segment
    };
    send(world, &segment);
}

/// To any port, from the middle of a connection or out of the blue.
pub(crate) fn stray_from_client(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), vip(world, v4));
    let to = SocketAddr::new(vip, *world.rng.pick(&[80, 443, 53, 81, 3868, 20, 21, 2000]));
    let proto = *world.rng.pick(&[Proto::Tcp, Proto::Tcp, Proto::Udp, Proto::Sctp]);
    talk(world, proto, client, to, true);
}

pub(crate) fn stray_from_server(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (server, client) = (server(world, v4), client(world, v4));
    let client = if world.rng.one_in(4) { SocketAddr::new(lip(world, v4), 7000) } else { client };
    let proto = *world.rng.pick(&[Proto::Tcp, Proto::Udp, Proto::Sctp]);
    talk(world, proto, server, client, true);
}

/// More packets of nothing than one worker refuses.
pub(crate) fn flood(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), SocketAddr::new(vip(world, v4), 81));
    if !world.rng.one_in(8) || !world.model.is_our_vip(vip.ip()) {
        return;
    }
    let stray = segment(world, Proto::Tcp, client, vip, TcpFlags::ACK);
    let stray = Segment { shape: Shape::Complete, payload: 0, ..stray };
    for _ in 0..BURST + 20 {
        world.process_by(0, stray.frame(), |model, done| check::segment(model, &stray, done));
    }
}

pub(crate) fn ping(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (from, to) = (client(world, v4).ip(), vip(world, v4));
    let id = world.rng.next() as u16;
    world.process(build::ping(from, to, id, 1).frame(), |model, done| {
        if model.is_our_vip(to) {
            let kind = if v4 { 0 } else { 129 };
            let pong = build::icmp(to, from, kind, 0, u32::from(id) << 16 | 1).payload(b"0123456789abcdef");
            model.happened("pong");
            done.is(Verdict::Reply, &pong.frame());
        } else {
            let ping = build::ping(from, to, id, 1).ttl(model.ttl(64, from, to));
            done.passes(model, from, to, &ping.frame());
        }
    });
}

/// A datagram in two pieces, to a service or past it. The second one follows the first, or gets lost: that of another
/// one may come without the first.
pub(crate) fn fragments(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), service_at(world, Proto::Udp, v4));
    let to = SocketAddr::new(vip.ip(), *world.rng.pick(&[53, 54]));
    let whole = segment(world, Proto::Udp, client, to, TcpFlags(0));
    let id = world.rng.below(1 << 16) as u32;
    let whole = Segment { ttl: whole.ttl.max(1), ..whole };
    let of = |shape| Segment { shape, seq: id, payload: 1400, may_fragment: true, ..whole.clone() };
    let (first, rest) = (of(Shape::First), of(Shape::Rest));
    if world.rng.one_in(8) {
        return world.process(rest.frame(), check::waits);
    }
    let mut went = None;
    world.process(first.frame(), |model, done| {
        check::segment(model, &first, done);
        went = Some((done.verdict, done.frame.clone()));
    });
    if world.rng.one_in(6) {
        world.process(first.frame(), |_, done| done.dropped(DropReason::FragmentOverlap));
    }
    let Some((verdict, sent)) = went.filter(|_| !world.rng.one_in(8)) else { return };
    world.process(rest.frame(), |model, done| check::follows(model, &rest, verdict, &sent, done));
}

pub(crate) fn other_protocol(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (from, to) = (client(world, v4).ip(), vip(world, v4));
    let build = |ttl| build::raw(from, to, 47).payload_len(30).ttl(ttl).frame();
    world.process(build(64), |model, done| {
        if model.is_our_vip(to) {
            done.dropped(DropReason::UnknownProtocol);
        } else {
            done.passes(model, from, to, &build(model.ttl(64, from, to)));
        }
    });
}

pub(crate) fn garbage(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), service_at(world, Proto::Tcp, v4));
    let mut bytes = build::tcp(client, vip).syn().bytes();
    let transport = if v4 { 20 } else { 40 };
    let reason = match world.rng.below(5) {
        0 => {
            bytes[0] ^= 0x30;
            DropReason::BadVersion
        }
        1 => {
            bytes[transport + 12] = 0x40;
            DropReason::BadHeaderLength
        }
        2 => {
            bytes = build::udp(client, vip).bytes();
            bytes[transport + 5] = 7;
            DropReason::BadLength
        }
        3 if !v4 => {
            bytes = build::tcp(client, vip).syn().extension(60, &[]).extension(0, &[]).bytes();
            DropReason::BadExtension
        }
        _ => {
            bytes.truncate(world.rng.below(bytes.len() as u64) as usize);
            DropReason::Truncated
        }
    };
    world.process(Frame::from_packet(&bytes), |_, done| done.dropped(reason));
}
