//! What may happen, and how often.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use engine::{DropReason, Verdict};
use sched::{DestSpec, ForwardMethod, Op, Proto, ServiceKey, ServiceSpec, Weight};
use wire::build;
use wire::frame::Frame;
use wire::packet::TcpFlags;

use crate::check::{self, IcmpError};
use crate::model::FlowKey;
use crate::packets::{Says, Segment, Shape};
use crate::world::World;

type Action = fn(&mut World);

/// Out of about 600.
const ACTIONS: &[(u64, Action)] = &[
    (120, client_talks),
    (90, server_talks),
    (120, client_opens),
    (42, datagram),
    (24, stray_from_client),
    (12, stray_from_server),
    (18, error_about_request),
    (18, error_about_reply),
    (9, error_about_nothing),
    (12, ping),
    (12, fragments),
    (9, other_protocol),
    (9, garbage),
    (50, a_moment),
    (10, a_while),
    (1, an_age),
    (2, a_late_worker),
    (20, edit_dest),
    (5, edit_service),
    (2, host_changes),
    (4, path_changes),
];

const SCHEDULERS: &[&str] = &["rr", "wrr", "lc", "wlc"];

/// One step.
pub(crate) fn act(world: &mut World) {
    world.rng.weighted(ACTIONS)(world);
}

/// A few services to begin with.
pub(crate) fn begin(world: &mut World) {
    for _ in 0..4 {
        add_service(world);
    }
}

// ---- who there is: few enough that they meet

fn host(v4: bool, net: u8, n: u64) -> IpAddr {
    if v4 {
        Ipv4Addr::new(10, net, 0, n as u8).into()
    } else {
        Ipv6Addr::new(0xfd00, net.into(), 0, 0, 0, 0, 0, n as u16).into()
    }
}

fn client(world: &mut World, v4: bool) -> SocketAddr {
    SocketAddr::new(host(v4, 1, 1 + world.rng.below(4)), 1000 + world.rng.below(3) as u16)
}

fn vip(world: &mut World, v4: bool) -> IpAddr {
    host(v4, 2, 1 + world.rng.below(2))
}

fn server(world: &mut World, v4: bool) -> SocketAddr {
    SocketAddr::new(host(v4, 3, 1 + world.rng.below(2)), 8000 + world.rng.below(2) as u16)
}

/// Where a service is or may be.
fn service_at(world: &mut World, proto: Proto, v4: bool) -> SocketAddr {
    let ports: &[u16] = if proto == Proto::Tcp { &[80, 443] } else { &[53] };
    SocketAddr::new(vip(world, v4), *world.rng.pick(ports))
}

fn router(v4: bool) -> IpAddr {
    host(v4, 9, 1)
}

fn some_flow(world: &mut World) -> Option<FlowKey> {
    let n = world.model.flows.len() as u64;
    (n > 0).then(|| world.rng.below(n) as usize).and_then(|i| world.model.flows.keys().nth(i).copied())
}

// ---- packets

fn segment(world: &mut World, proto: Proto, src: SocketAddr, dst: SocketAddr, flags: TcpFlags) -> Segment {
    let rng = &mut world.rng;
    let shape = match rng.below(8) {
        0..4 => Shape::Complete,
        4..6 => Shape::Partial,
        6 if proto == Proto::Udp && src.is_ipv4() => Shape::NoChecksum,
        7 if proto == Proto::Udp || !flags.syn() => Shape::Gso(200 + rng.below(1300) as u16),
        _ => Shape::Complete,
    };
    let payload = match shape {
        Shape::Gso(_) => rng.below(6000),
        _ if flags.syn() => 0,
        _ => *rng.pick(&[0, 1, 33, 500, 1400]),
    };
    Segment {
        proto,
        src,
        dst,
        flags,
        seq: rng.next() as u32,
        payload: payload as usize,
        shape,
        ttl: *rng.pick(&[1, 63, 64, 254, 255]),
        may_fragment: rng.one_in(4),
    }
}

fn send(world: &mut World, segment: &Segment) {
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

fn client_talks(world: &mut World) {
    let Some((proto, client, vip)) = some_flow(world) else { return client_opens(world) };
    talk(world, proto, client, vip, false);
}

fn server_talks(world: &mut World) {
    let Some(key) = some_flow(world) else { return client_opens(world) };
    let server = world.model.flows[&key].server;
    talk(world, key.0, server, key.1, true);
}

fn client_opens(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), service_at(world, Proto::Tcp, v4));
    let segment = segment(world, Proto::Tcp, client, vip, TcpFlags::SYN);
    send(world, &segment);
}

fn datagram(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), service_at(world, Proto::Udp, v4));
    let segment = segment(world, Proto::Udp, client, vip, TcpFlags(0));
    send(world, &segment);
}

/// To any port, from the middle of a connection or out of the blue.
fn stray_from_client(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), vip(world, v4));
    let to = SocketAddr::new(vip, *world.rng.pick(&[80, 443, 53, 81]));
    let proto = *world.rng.pick(&[Proto::Tcp, Proto::Tcp, Proto::Udp]);
    talk(world, proto, client, to, true);
}

fn stray_from_server(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (server, client) = (server(world, v4), client(world, v4));
    let proto = *world.rng.pick(&[Proto::Tcp, Proto::Udp]);
    talk(world, proto, server, client, true);
}

// ---- ICMP

fn error(world: &mut World, from: IpAddr, to: IpAddr, proto: Proto, src: SocketAddr, dst: SocketAddr) {
    let quoted = Segment { ttl: 61, ..segment(world, proto, src, dst, TcpFlags::ACK) };
    let packet = quoted.first_on_wire();
    let short = if from.is_ipv4() { 28 } else { 48 };
    let len = if world.rng.one_in(2) { short } else { packet.len().min(548) };
    let mtu = 1280 + world.rng.below(200) as u32;
    let says = *world.rng.pick(&[Says::PortUnreachable, Says::TooBig(mtu), Says::TimeExceeded]);
    let frame = says.build(from, to, &packet[..len]).frame();
    let error = IcmpError { says, from, to, quoted: &quoted, len };
    world.process(frame, |model, done| check::icmp_error(model, &error, done));
}

fn error_about_request(world: &mut World) {
    let Some(key) = some_flow(world) else { return };
    let server = world.model.flows[&key].server;
    let from = if world.rng.one_in(2) { server.ip() } else { router(server.is_ipv4()) };
    error(world, from, key.1.ip(), key.0, key.1, server);
}

fn error_about_reply(world: &mut World) {
    let Some((proto, client, vip)) = some_flow(world) else { return };
    let from = if world.rng.one_in(2) { client.ip() } else { router(client.is_ipv4()) };
    error(world, from, vip.ip(), proto, vip, client);
}

fn error_about_nothing(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (SocketAddr::new(client(world, v4).ip(), 9), service_at(world, Proto::Tcp, v4));
    error(world, client.ip(), vip.ip(), Proto::Tcp, vip, client);
}

fn ping(world: &mut World) {
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
            done.is(Verdict::Pass, &build::ping(from, to, id, 1).ttl(model.ttl(64, from, to)).frame());
        }
    });
}

// ---- what is not for us

fn fragments(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), service_at(world, Proto::Udp, v4));
    let to = SocketAddr::new(vip.ip(), *world.rng.pick(&[53, 54]));
    let whole = segment(world, Proto::Udp, client, to, TcpFlags(0));
    let whole = Segment { shape: Shape::Complete, payload: 1400, ..whole };
    for (index, piece) in whole.fragments().iter().take(2).enumerate() {
        world.process(Frame::from_packet(piece), |model, done| check::fragment(model, &whole, index, done));
    }
}

fn other_protocol(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (from, to) = (client(world, v4).ip(), vip(world, v4));
    let build = |ttl| build::raw(from, to, 132).payload_len(30).ttl(ttl).frame();
    world.process(build(64), |model, done| {
        if model.is_our_vip(to) {
            done.dropped(DropReason::UnknownProtocol);
        } else {
            done.is(Verdict::Pass, &build(model.ttl(64, from, to)));
        }
    });
}

fn garbage(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let (client, vip) = (client(world, v4), service_at(world, Proto::Tcp, v4));
    let mut bytes = build::tcp(client, vip).syn().bytes();
    bytes.truncate(world.rng.below(bytes.len() as u64) as usize);
    world.process(Frame::from_packet(&bytes), |_, done| done.dropped(DropReason::Malformed));
}

// ---- time

fn a_moment(world: &mut World) {
    let millis = world.rng.below(2_000);
    world.advance(millis);
}

fn a_while(world: &mut World) {
    let millis = world.rng.below(130_000);
    world.advance(millis);
}

fn an_age(world: &mut World) {
    let millis = world.rng.below(3_000_000);
    world.advance(millis);
}

fn a_late_worker(world: &mut World) {
    let millis = world.rng.below(200_000);
    world.sleep(millis);
}

// ---- the operator

fn spec(world: &mut World, addr: SocketAddr) -> DestSpec {
    let weight = Weight(*world.rng.pick(&[0, 1, 1, 2, 3]));
    DestSpec { addr, method: ForwardMethod::Masq, weight }
}

fn some_service(world: &mut World) -> Option<ServiceKey> {
    let n = world.model.services.len() as u64;
    (n > 0).then(|| world.rng.below(n) as usize).and_then(|i| world.model.services.keys().nth(i).copied())
}

fn edit_dest(world: &mut World) {
    let Some(key) = some_service(world) else { return add_service(world) };
    let v4 = key.vip().is_some_and(|vip| vip.is_ipv4());
    let addr = server(world, v4);
    let there = world.model.services[&key].dests.iter().any(|dest| world.model.dests[*dest].addr == addr);
    let op = match (there, world.rng.below(5)) {
        (true, 0..2) => Op::DelDest { key, addr },
        (true, _) => Op::EditDest { key, dest: spec(world, addr) },
        (false, _) => Op::AddDest { key, dest: spec(world, addr) },
    };
    world.edit(&[op]);
}

fn edit_service(world: &mut World) {
    let Some(key) = some_service(world) else { return add_service(world) };
    let scheduler = (*world.rng.pick(SCHEDULERS)).to_owned();
    match world.rng.below(12) {
        0..2 => world.edit(&[Op::DelService { key }]),
        2..7 => add_service(world),
        7..9 => world.edit(&[Op::EditService { service: ServiceSpec { key, scheduler, dests: Vec::new() } }]),
        9 => world.edit(&[Op::Zero { key: None }]),
        10 => {
            // Removed and made anew in one go: what a restore of the same rules does.
            let dests = world.model.services[&key].dests.iter();
            let addrs: Vec<_> = dests.map(|dest| world.model.dests[*dest].addr).collect();
            let dests = addrs.into_iter().map(|addr| spec(world, addr)).collect();
            let service = ServiceSpec { key, scheduler, dests };
            world.edit(&[Op::DelService { key }, Op::AddService { service }]);
        }
        _ if world.rng.one_in(4) => world.edit(&[Op::Flush]),
        _ => {}
    }
}

fn add_service(world: &mut World) {
    let v4 = world.rng.one_in(2);
    let proto = *world.rng.pick(&[Proto::Tcp, Proto::Tcp, Proto::Udp]);
    let key = ServiceKey::addr(proto, service_at(world, proto, v4));
    if world.model.services.contains_key(&key) {
        return;
    }
    let mut dests: Vec<DestSpec> = Vec::new();
    for _ in 0..world.rng.below(4) {
        let addr = server(world, v4);
        if dests.iter().all(|dest| dest.addr != addr) {
            dests.push(spec(world, addr));
        }
    }
    let scheduler = (*world.rng.pick(SCHEDULERS)).to_owned();
    world.edit(&[Op::AddService { service: ServiceSpec { key, scheduler, dests } }]);
}

/// A VIP becomes an address of the host, or a client or a server runs on it.
fn host_changes(world: &mut World) {
    let mut local = Vec::new();
    for v4 in [true, false] {
        for (net, one_in) in [(1, 8), (2, 3), (3, 8)] {
            local.extend((1..5).map(|n| host(v4, net, n)).filter(|_| world.rng.one_in(one_in)));
        }
    }
    world.set_local(local);
}

fn path_changes(world: &mut World) {
    let n = world.model.dests.len() as u64;
    if n > 0 {
        let (dest, mtu) = (world.rng.below(n) as usize, *world.rng.pick(&[0, 0, 1280, 600]));
        world.set_mtu(dest, mtu);
    }
}
