//! Who there is: few enough that they meet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sched::{Family, ForwardMethod, Path, Proto, ServiceKey, Tunnel, TunnelChecksum, TunnelKind};

use crate::model::{FlowKey, mark_service};
use crate::world::World;

pub(crate) fn host(v4: bool, net: u8, n: u64) -> IpAddr {
    if v4 {
        Ipv4Addr::new(10, net, 0, n as u8).into()
    } else {
        Ipv6Addr::new(0xfd00, net.into(), 0, 0, 0, 0, 0, n as u16).into()
    }
}

pub(crate) fn client(world: &mut World, v4: bool) -> SocketAddr {
    let port = if world.rng.one_in(30) { 20 } else { 1000 + world.rng.below(3) as u16 };
    // One on the servers' link, perhaps one of them.
    let net = if world.rng.one_in(20) { 3 } else { 1 };
    SocketAddr::new(host(v4, net, 1 + world.rng.below(4)), port)
}

pub(crate) fn vip(world: &mut World, v4: bool) -> IpAddr {
    host(v4, 2, 1 + world.rng.below(2))
}

pub(crate) fn server(world: &mut World, v4: bool) -> SocketAddr {
    let loopback: IpAddr = if v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let ip = if world.rng.one_in(20) { loopback } else { host(v4, 3, 1 + world.rng.below(2)) };
    SocketAddr::new(ip, 8000 + world.rng.below(2) as u16)
}

/// Where a service is or may be.
pub(crate) fn service_at(world: &mut World, proto: Proto, v4: bool) -> SocketAddr {
    let ports: &[u16] = match proto {
        Proto::Tcp => &[80, 443, 443, 21, 2000, 20],
        Proto::Udp => &[53, 53, 54],
        Proto::Sctp => &[3868],
    };
    SocketAddr::new(vip(world, v4), *world.rng.pick(ports))
}

/// A service that there may be.
pub(crate) fn service_key(world: &mut World) -> ServiceKey {
    let v4 = world.rng.one_in(2);
    let (vip, family) = (vip(world, v4), if v4 { Family::Ipv4 } else { Family::Ipv6 });
    let (proto, ports): (_, &[u16]) = match world.rng.below(13) {
        0 => return mark_service(family),
        1..7 => (Proto::Tcp, &[80, 80, 443, 21, 0]),
        7..10 => (Proto::Sctp, &[3868, 3868, 0]),
        _ => (Proto::Udp, &[53, 53, 53, 0]),
    };
    ServiceKey::Addr { proto, vip, l4_port: *world.rng.pick(ports) }
}

/// A server that a service may have. Where its connections have various ports there, servers differ by address.
pub(crate) fn server_of(world: &mut World, key: ServiceKey) -> SocketAddr {
    // Of the other family: there is a tunnel to it.
    let v4 = (key.family() == Family::Ipv4) != world.rng.one_in(8);
    let server = server(world, v4);
    match key.l4_port() {
        None => SocketAddr::new(server.ip(), 8000),
        Some(0) => SocketAddr::new(server.ip(), 0),
        Some(21) => SocketAddr::new(server.ip(), 2121),
        Some(_) => server,
    }
}

/// A method by which a service may reach this server.
pub(crate) fn method(world: &mut World, key: ServiceKey, server: SocketAddr) -> ForwardMethod {
    use TunnelChecksum::{Full, None, Remote};
    use TunnelKind::{Gre, Gue, Ipip};
    let kinds = [(Ipip, None), (Gre, None), (Gre, Full), (Gue, None), (Gue, Full), (Gue, Remote)];
    let (kind, checksum) = *world.rng.pick(&kinds);
    let port = if kind == Gue { 6080 } else { 0 };
    match world.rng.below(10) {
        _ if (key.family() == Family::Ipv4) != server.is_ipv4() => {
            ForwardMethod::Tunnel(Tunnel { kind, port, checksum })
        }
        0..6 => ForwardMethod::Masq,
        6..8 => ForwardMethod::FullNat,
        8 => ForwardMethod::Route,
        _ => ForwardMethod::Tunnel(Tunnel { kind, port, checksum }),
    }
}

/// The address from which the host itself would speak to servers.
pub(crate) fn own_address(v4: bool) -> IpAddr {
    host(v4, 4, 1)
}

/// One that is nobody's but may be used towards servers.
pub(crate) fn lip(world: &mut World, v4: bool) -> IpAddr {
    host(v4, 4, 2 + world.rng.below(2))
}

/// The way to a server on a link of ours.
pub(crate) fn straight(server: IpAddr) -> Path {
    Path { device: 3, next_hop: server, source: Some(own_address(server.is_ipv4())) }
}

pub(crate) fn router(v4: bool) -> IpAddr {
    host(v4, 9, 1)
}

pub(crate) fn some_flow(world: &mut World) -> Option<FlowKey> {
    let n = world.model.flows.len() as u64;
    (n > 0).then(|| world.rng.below(n) as usize).and_then(|i| world.model.flows.keys().nth(i).copied())
}
