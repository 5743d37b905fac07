//! ICMP errors: about requests, about answers, and about the packets of tunnels.

use std::net::{IpAddr, SocketAddr};

use engine::{DropReason, Egress, Verdict};
use sched::{Direction, ForwardMethod};
use wire::encap::Wrapper;
use wire::packet::TcpFlags;

use crate::cast::{router, some_flow};
use crate::check::Done;
use crate::model::{FlowKey, Model};
use crate::packets::{Says, Segment, Shape};
use crate::traffic::segment;
use crate::way::Parcel;
use crate::world::World;

/// An ICMP error as it came in.
pub(crate) struct IcmpError<'a> {
    pub(crate) says: Says,
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) quoted: &'a Segment,
    /// Bytes of the quote.
    pub(crate) len: usize,
}

pub(crate) fn check(model: &mut Model, error: &IcmpError<'_>, done: &Done<'_>) {
    let IcmpError { says, from, to, quoted, len } = *error;
    let bytes = if from.is_ipv4() { 28 } else { 48 } + len as u64;
    let build = |from: IpAddr, to: IpAddr, quoted: &Segment, ttl: u8| {
        says.build(from, to, &quoted.first_on_wire()[..len]).ttl(ttl).frame()
    };
    let routed = Verdict::Transmit(Egress::Route);
    // About a request that we sent: from the server's side.
    if let Some(key) = model.replies.get(&(quoted.proto, quoted.dst, quoted.src)).copied() {
        let (client, vip) = (key.1, key.2);
        if !model.flows[&key].way.method.sees_replies() {
            // It quotes what the client has sent.
            model.happened("error about a request past us");
            return done.passes(model, from, to, &build(from, to, quoted, model.ttl(64, from, to)));
        }
        model.happened("error about a request");
        model.count(key, Direction::Out, (1, bytes));
        if says == Says::PortUnreachable {
            model.finds_nobody(key);
        }
        let ttl = model.ttl(64, from, client.ip());
        return done.is(routed, &build(vip.ip(), client.ip(), &quoted.between(client, vip), ttl));
    }
    // About a reply that we sent, or the server itself: from the client's side.
    let key = (quoted.proto, quoted.dst, quoted.src);
    if let Some(mut way) = model.flows.get(&key).map(|flow| flow.way.clone()) {
        model.count(key, Direction::In, (1, bytes));
        if !way.method.sees_replies() {
            model.happened("error about an answer past us");
            let whole = |ttl| build(from, to, quoted, ttl);
            let parcel = Parcel {
                vip: to,
                whole: &whole,
                ttl: 64,
                class: 0,
                largest: bytes as usize,
                dont_fragment: from.is_ipv4(),
            };
            way.goes_as_it_is(model, &parcel, done);
            model.flows.get_mut(&key).expect("the flow").way = way;
            return;
        }
        model.happened("error about a reply");
        let ttl = model.ttl(64, from, way.server.ip());
        // By FullNAT the server knows nobody but us.
        let teller = if way.peer == key.1 { from } else { way.peer.ip() };
        return done.is(routed, &build(teller, way.server.ip(), &quoted.between(way.server, way.peer), ttl));
    }
    if model.is_our_vip(to) {
        return done.dropped(DropReason::IcmpUnrelated);
    }
    done.passes(model, from, to, &build(from, to, quoted, model.ttl(64, from, to)));
}

fn send(world: &mut World, key: FlowKey, from: IpAddr, to: IpAddr, src: SocketAddr, dst: SocketAddr) {
    let quoted = Segment { ttl: 61, ..segment(world, key.0, src, dst, TcpFlags::ACK) };
    let packet = quoted.first_on_wire();
    let short = if from.is_ipv4() { 28 } else { 48 };
    let len = if world.rng.one_in(2) { short } else { packet.len().min(548) };
    let says = says(world, &[1280, 1400]);
    let frame = says.build(from, to, &packet[..len]).frame();
    let error = IcmpError { says, from, to, quoted: &quoted, len };
    world.process(frame, |model, done| check(model, &error, done));
}

fn says(world: &mut World, mtus: &[u32]) -> Says {
    let mtu = *world.rng.pick(mtus);
    *world.rng.pick(&[Says::PortUnreachable, Says::TooBig(mtu), Says::TimeExceeded])
}

pub(crate) fn error_about_request(world: &mut World) {
    let Some(key) = some_flow(world) else { return };
    let way = &world.model.flows[&key].way;
    let (server, peer) = way.back(key.1, key.2);
    let host = if way.method.sees_replies() { server.ip() } else { router(server.is_ipv4()) };
    let from = if world.rng.one_in(2) { host } else { router(server.is_ipv4()) };
    send(world, key, from, peer.ip(), peer, server);
}

pub(crate) fn error_about_reply(world: &mut World) {
    let Some(key) = some_flow(world) else { return };
    let (client, vip) = (key.1, key.2);
    let from = if world.rng.one_in(2) { client.ip() } else { router(client.is_ipv4()) };
    send(world, key, from, vip.ip(), vip, client);
}

/// A router on the way to the server has something to say about the packet around a client's.
pub(crate) fn error_about_tunnel(world: &mut World) {
    let Some(key) = some_flow(world) else { return };
    let way = world.model.flows[&key].way.clone();
    let sent = segment(world, key.0, key.1, key.2, TcpFlags::ACK);
    let sent = Segment { shape: Shape::Complete, ..sent };
    let says = says(world, &[40, 600, 1280, 1350, 1450]);
    let ForwardMethod::Tunnel(_) = way.method else { return };
    let Some(own) = world.model.dests[way.dest].path.and_then(|path| path.source) else { return };
    let mut encap = way.encap(own);
    (encap.ttl, encap.mtu) = (60, 0);
    let mut outer = Vec::new();
    let mut frame = sent.frame();
    let inner = frame.len();
    Wrapper::default()
        .wrap(&mut frame, &encap, |frame| outer.extend_from_slice(frame.packet()))
        .expect("wraps");
    let inside = outer.len() - inner;
    outer.truncate(500);
    let (from, error) = (router(own.is_ipv4()), says.build(router(own.is_ipv4()), own, &outer));
    world.process(error.frame(), |model, done| {
        model.happened("error about a tunnel");
        model.count(key, Direction::Out, (1, error.bytes().len() as u64));
        if says == Says::PortUnreachable {
            model.finds_nobody(key);
        }
        let mut told = says;
        if let Says::TooBig(mtu) = says {
            model.narrow(way.dest, mtu.max(if from.is_ipv4() { 68 } else { 1280 }));
            let fits = model.mtu_of(way.method, way.dest, sent.is_v4());
            if sent.is_v4() && sent.may_fragment || inner <= fits as usize {
                return done.dropped(DropReason::IcmpHeeded);
            }
            told = Says::TooBig(fits);
        }
        done.refused(model, &sent, || told.own(key.2.ip(), key.1.ip(), &outer[inside..]));
    });
}

pub(crate) fn error_about_nothing(world: &mut World) {
    use crate::cast::{client, service_at};
    use sched::Proto;
    let v4 = world.rng.one_in(2);
    let (client, vip) = (SocketAddr::new(client(world, v4).ip(), 9), service_at(world, Proto::Tcp, v4));
    send(world, (Proto::Tcp, client, vip), client.ip(), vip.ip(), vip, client);
}
