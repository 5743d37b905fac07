//! What rings on real devices take for services, as steering wants it: protocol (0 is every one), address and port (0
//! is every one). More than services take is no harm, as the engine gives back what is not for it; what is missing comes
//! by the TUN device.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use sched::marks::{MarkRule, Match, PortRange};
use sched::{ServiceKey, ServiceTable};

/// A rule that names more ports than this takes them all.
const PORTS: usize = 64;

/// Of all services.
pub(super) fn of_table(table: &ServiceTable) -> BTreeSet<(u8, SocketAddr)> {
    let services = table.services().filter_map(|service| of_service(&service.key));
    services.chain(of_marks(table)).collect()
}

/// Of a service by address.
pub(super) fn of_service(key: &ServiceKey) -> Option<(u8, SocketAddr)> {
    match *key {
        ServiceKey::Addr { proto, vip, l4_port } => Some((proto.number(), SocketAddr::new(vip, l4_port))),
        ServiceKey::Mark { .. } => None,
    }
}

/// Of services by mark: what the rules name whose destination is one address.
pub(super) fn of_marks(table: &ServiceTable) -> impl Iterator<Item = (u8, SocketAddr)> {
    table.marks().rules().flat_map(|rule| of_rule(rule, table))
}

fn of_rule(rule: &MarkRule, table: &ServiceTable) -> Vec<(u8, SocketAddr)> {
    let Some(Match { value: dest, not: false }) = rule.dest else { return Vec::new() };
    let Some(vip) = dest.single().filter(|vip| table.is_vip(*vip)) else { return Vec::new() };
    let protocol = match rule.protocol {
        Some(Match { value, not: false }) => value,
        _ => 0,
    };
    let few = |ranges: &&[PortRange]| ranges.iter().map(|range| range.count()).sum::<usize>() <= PORTS;
    let ports = rule.ports.iter().filter_map(|ports| ports.only_dports()).find(few);
    let every = [PortRange::one(0)];
    let ports = ports.unwrap_or(&every).iter().flat_map(|range| range.first..=range.last);
    ports.map(|port| (protocol, SocketAddr::new(vip, port))).collect()
}

#[cfg(test)]
mod tests;
