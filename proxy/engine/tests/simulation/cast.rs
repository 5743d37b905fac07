//! Who there is: few enough that they meet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sched::{Family, Proto, ServiceKey};

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
    SocketAddr::new(host(v4, 1, 1 + world.rng.below(4)), port)
}

pub(crate) fn vip(world: &mut World, v4: bool) -> IpAddr {
    host(v4, 2, 1 + world.rng.below(2))
}

pub(crate) fn server(world: &mut World, v4: bool) -> SocketAddr {
    SocketAddr::new(host(v4, 3, 1 + world.rng.below(2)), 8000 + world.rng.below(2) as u16)
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
    let server = server(world, key.family() == Family::Ipv4);
    match key.l4_port() {
        None => SocketAddr::new(server.ip(), 8000),
        Some(0) => SocketAddr::new(server.ip(), 0),
        Some(21) => SocketAddr::new(server.ip(), 2121),
        Some(_) => server,
    }
}

pub(crate) fn router(v4: bool) -> IpAddr {
    host(v4, 9, 1)
}

pub(crate) fn some_flow(world: &mut World) -> Option<FlowKey> {
    let n = world.model.flows.len() as u64;
    (n > 0).then(|| world.rng.below(n) as usize).and_then(|i| world.model.flows.keys().nth(i).copied())
}
