//! Who there is: few enough that they meet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sched::Proto;

use crate::model::FlowKey;
use crate::world::World;

pub(crate) fn host(v4: bool, net: u8, n: u64) -> IpAddr {
    if v4 {
        Ipv4Addr::new(10, net, 0, n as u8).into()
    } else {
        Ipv6Addr::new(0xfd00, net.into(), 0, 0, 0, 0, 0, n as u16).into()
    }
}

pub(crate) fn client(world: &mut World, v4: bool) -> SocketAddr {
    SocketAddr::new(host(v4, 1, 1 + world.rng.below(4)), 1000 + world.rng.below(3) as u16)
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
        Proto::Tcp => &[80, 443],
        Proto::Udp => &[53],
        Proto::Sctp => &[3868],
    };
    SocketAddr::new(vip(world, v4), *world.rng.pick(ports))
}

pub(crate) fn router(v4: bool) -> IpAddr {
    host(v4, 9, 1)
}

pub(crate) fn some_flow(world: &mut World) -> Option<FlowKey> {
    let n = world.model.flows.len() as u64;
    (n > 0).then(|| world.rng.below(n) as usize).and_then(|i| world.model.flows.keys().nth(i).copied())
}
