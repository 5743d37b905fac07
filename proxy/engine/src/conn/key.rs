//! The key of one direction of a flow.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use sched::Proto;
use wire::packet::head::Head;

/// Protocol, source and destination as they stand in a packet on one leg. The family is part of it: IPv4 addresses
/// are kept in their IPv4-mapped form (RFC 4291, section 2.5.5.2), which a crafted IPv6 packet may carry as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowKey {
    src: u128,
    dst: u128,
    ports: u32,
    proto: Proto,
    v6: bool,
}

impl FlowKey {
    /// The key of a packet with this head.
    #[inline(always)]
    pub(crate) fn of_head<const V6: bool>(head: &Head<V6>) -> Self {
        let mapped = |addr: u128| if V6 { addr } else { MAPPED | addr };
        Self {
            src: mapped(head.src),
            dst: mapped(head.dst),
            ports: head.ports,
            proto: if head.is_tcp { Proto::Tcp } else { Proto::Udp },
            v6: V6,
        }
    }

    /// The key of packets from `src` to `dst`.
    #[inline]
    pub(crate) fn new(proto: Proto, src: SocketAddr, dst: SocketAddr) -> Self {
        Self {
            src: bits(src.ip()),
            dst: bits(dst.ip()),
            ports: u32::from(src.port()) << 16 | u32::from(dst.port()),
            proto,
            v6: src.is_ipv6(),
        }
    }
}

/// One end of a flow, as it stands in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    ip: u128,
    port: u16,
}

impl End {
    #[inline]
    pub(super) const fn new(ip: u128, port: u16) -> Self {
        Self { ip, port }
    }

    #[inline]
    pub(super) const fn port(self) -> u16 {
        self.port
    }

    #[inline]
    pub(super) fn addr(self, v6: bool) -> SocketAddr {
        let ip = if v6 { IpAddr::V6(self.ip.into()) } else { IpAddr::V4((self.ip as u32).into()) };
        SocketAddr::new(ip, self.port)
    }
}

impl From<SocketAddr> for End {
    #[inline]
    fn from(addr: SocketAddr) -> Self {
        Self::new(bits(addr.ip()), addr.port())
    }
}

impl FlowKey {
    /// The key of packets of this kind, from one end to the other.
    #[inline(always)]
    pub(super) const fn between(proto: Proto, v6: bool, src: End, dst: End) -> Self {
        let ports = (src.port as u32) << 16 | dst.port as u32;
        Self { src: src.ip, dst: dst.ip, ports, proto, v6 }
    }

    /// Whether its packets are of this kind, from one end to the other.
    #[inline(always)]
    pub(super) fn is(&self, proto: Proto, v6: bool, src: End, dst: End) -> bool {
        *self == Self::between(proto, v6, src, dst)
    }
}

impl Hash for FlowKey {
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let proto = u64::from(self.v6) << 8 | u64::from(self.proto.number());
        let rest = u64::from(self.ports) << 16 | proto;
        if self.v6 {
            state.write_u128(self.src);
            state.write_u128(self.dst);
            state.write_u64(rest);
        } else {
            state.write_u128(
                u128::from(self.src as u32) << 96 | u128::from(self.dst as u32) << 64 | u128::from(rest),
            );
        }
    }
}

/// What stands before the bits of an IPv4 address.
const MAPPED: u128 = 0xffff << 32;

/// An address in 128 bits.
#[inline]
pub(super) fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => MAPPED | u128::from(addr.to_bits()),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_packet_with_mapped_addresses_is_not_the_ipv4_flow() {
        let key = |src: &str, dst: &str| {
            FlowKey::new(Proto::Tcp, src.parse().expect("address"), dst.parse().expect("address"))
        };
        assert_ne!(key("10.0.0.1:1", "10.0.0.2:2"), key("[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.2]:2"));
        assert_eq!(key("10.0.0.1:1", "10.0.0.2:2"), key("10.0.0.1:1", "10.0.0.2:2"));
    }
}
