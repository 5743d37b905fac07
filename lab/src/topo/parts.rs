//! What topologies are put together from.

use std::net::IpAddr;
use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;

use super::draw::Nic;
use crate::addr::{Cidr, Pair};
use crate::link::{self, End};
use crate::node::Node;

/// A directory for the state of the node's engine.
pub(super) fn state_dir(root: Option<&Path>, node: &str) -> anyhow::Result<TempDir> {
    match root {
        Some(root) => TempDir::with_prefix_in("ulvs-lab-", root),
        None => TempDir::with_prefix("ulvs-lab-"),
    }
    .with_context(|| format!("cannot make a state directory for the {node}"))
}

pub(super) fn nodes(role: &str, count: usize) -> anyhow::Result<Vec<Node>> {
    (1..=count).map(|number| Node::new(format!("{role}{number}"))).collect()
}

/// Lets the node forward both families, or not.
pub(super) fn forward(node: &Node, yes: bool) -> anyhow::Result<()> {
    let value = if yes { "1" } else { "0" };
    node.sysctl("net.ipv4.ip_forward", value)?;
    node.sysctl("net.ipv6.conf.all.forwarding", value)
}

/// A bridge, `br0`, in a node of its own.
pub(super) fn switch(name: &str) -> anyhow::Result<Node> {
    let switch = Node::new(name)?;
    switch.bridge_add("br0")?;
    Ok(switch)
}

/// Connects an interface of the node to the switch.
pub(super) fn plug(node: &Node, name: &str, switch: &Node, port: &str, mtu: u32) -> anyhow::Result<()> {
    // A switch has no MTU of its own: a narrow interface on it does not narrow the others.
    link::veth(End { node, name, mtu }, End { node: switch, name: port, mtu })?;
    switch.bridge_port("br0", port)
}

/// Gives the interface both addresses (IPv6 networks are always /64) and returns it for the drawing.
pub(super) fn address(node: &Node, name: &str, addr: Pair, v4_prefix: u8, mtu: u32) -> anyhow::Result<Nic> {
    let (v4, v6) = (Cidr { addr: addr.v4, prefix: v4_prefix }, Cidr { addr: addr.v6, prefix: 64 });
    node.addr_add(name, v4)?;
    node.addr_add(name, v6)?;
    Ok(Nic { node: node.name().to_owned(), name: name.to_owned(), v4, v6, mtu })
}

pub(super) fn default_route(node: &Node, gateway: Pair) -> anyhow::Result<()> {
    let default = |any: IpAddr| Cidr { addr: any, prefix: 0 };
    node.route_add(default("0.0.0.0".parse()?), gateway.v4)?;
    node.route_add(default("::".parse()?), gateway.v6)
}

pub(super) fn route(node: &Node, to: &str, via: Pair) -> anyhow::Result<()> {
    let to: Cidr = to.parse()?;
    let via: IpAddr = if to.addr.is_ipv4() { via.v4 } else { via.v6 };
    node.route_add(to, via)
}

/// Names for addresses: those of the servers, and others.
pub(super) fn names(servers: &[Node], addrs: &[Pair], others: &[(&str, Pair)]) -> Vec<(IpAddr, String)> {
    let servers = servers.iter().map(Node::name).zip(addrs.iter().copied());
    let all = servers.chain(others.iter().copied());
    all.flat_map(|(name, pair)| [pair.v4, pair.v6].map(|addr| (addr, name.to_owned()))).collect()
}

/// The same for routers by their interfaces: the first one's addresses are a router's.
pub(super) fn of_routers<'a>(
    routers: impl Iterator<Item = &'a Vec<Nic>>,
) -> impl Iterator<Item = (IpAddr, String)> {
    let first = routers.filter_map(|nics| nics.first());
    first.flat_map(|nic| [nic.v4, nic.v6].map(|cidr| (cidr.addr, nic.node.clone())))
}
