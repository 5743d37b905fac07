//! The key of one direction of a flow.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use sched::Proto;

/// Protocol, source and destination as they stand in a packet on one leg. IPv4 addresses are kept in their
/// IPv4-mapped form (RFC 4291, section 2.5.5.2), which no packet on a wire carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowKey {
    src: u128,
    dst: u128,
    ports: u32,
    proto: Proto,
}

impl FlowKey {
    /// The key of packets from `src` to `dst`.
    pub(crate) fn new(proto: Proto, src: SocketAddr, dst: SocketAddr) -> Self {
        Self {
            src: bits(src.ip()),
            dst: bits(dst.ip()),
            ports: u32::from(src.port()) << 16 | u32::from(dst.port()),
            proto,
        }
    }
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.src);
        state.write_u128(self.dst);
        state.write_u64(u64::from(self.ports) << 8 | u64::from(self.proto.number()));
    }
}

fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => 0xffff << 32 | u128::from(addr.to_bits()),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}
