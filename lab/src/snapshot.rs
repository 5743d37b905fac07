//! Everything about a node's networking that a well-behaved daemon must put back: links, addresses, routes, rules,
//! proxy neighbours, nftables tables, sysctls. Taken by our own netlink code, so that it is an independent witness.

mod nftables;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::RouteAttribute;
use rtnetlink::{Handle, IpVersion, RouteMessageBuilder};

use crate::node::Node;

/// The state of a node's networking at one moment, a line for each fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeSet<String>);

impl Snapshot {
    /// Takes it.
    pub fn take(node: &Node) -> anyhow::Result<Self> {
        let mut lines = node
            .netlink(async |handle| dump(handle).await)
            .with_context(|| format!("cannot take a snapshot of {node}"))?;
        let (tables, sysctls) = node.run(|| (nftables::tables(), sysctls()))?;
        lines.extend(tables.context("cannot list the nftables tables")?);
        lines.extend(sysctls);
        Ok(Self(lines))
    }

    /// What is different later: facts that are gone (`-`) and facts that are new (`+`), in the order of the facts.
    pub fn diff(&self, later: &Self) -> Vec<String> {
        let gone = self.0.difference(&later.0).map(|line| (line, '-'));
        let new = later.0.difference(&self.0).map(|line| (line, '+'));
        let mut both: Vec<_> = gone.chain(new).collect();
        both.sort();
        both.into_iter().map(|(line, sign)| format!("{sign} {line}")).collect()
    }

    /// How many facts it holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: there is always a loopback.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Counters, ages and what follows from them are left out: they change by themselves.
async fn dump(handle: &Handle) -> anyhow::Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    let mut links = handle.link().get().execute();
    while let Some(link) = links.try_next().await? {
        let steady = link.attributes.iter().filter(|attribute| {
            matches!(
                attribute,
                LinkAttribute::IfName(_)
                    | LinkAttribute::Mtu(_)
                    | LinkAttribute::TxQueueLen(_)
                    | LinkAttribute::Address(_)
                    | LinkAttribute::Controller(_)
            )
        });
        lines.insert(fact("link", &(link.header.index, link.header.flags), steady));
    }
    let mut addresses = handle.address().get().execute();
    while let Some(address) = addresses.try_next().await? {
        let steady = address
            .attributes
            .iter()
            .filter(|attribute| !matches!(attribute, AddressAttribute::CacheInfo(_)));
        lines.insert(fact("address", &address.header, steady));
    }
    let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
    for message in [v4, v6] {
        let mut routes = handle.route().get(message).execute();
        while let Some(route) = routes.try_next().await? {
            let steady = route
                .attributes
                .iter()
                .filter(|attribute| !matches!(attribute, RouteAttribute::CacheInfo(_)));
            lines.insert(fact("route", &route.header, steady));
        }
    }
    for (version, family) in [(IpVersion::V4, AddressFamily::Inet), (IpVersion::V6, AddressFamily::Inet6)] {
        let mut rules = handle.rule().get(version).execute();
        while let Some(rule) = rules.try_next().await? {
            lines.insert(fact("rule", &rule.header, rule.attributes.iter()));
        }
        let mut proxies = handle.neighbours().get().proxies().set_address_family(family).execute();
        while let Some(proxy) = proxies.try_next().await? {
            lines.insert(fact("proxy neighbour", &proxy.header, proxy.attributes.iter().take(1)));
        }
    }
    Ok(lines)
}

fn fact<T: Debug>(kind: &str, header: &impl Debug, attributes: impl Iterator<Item = T>) -> String {
    let attributes: Vec<_> = attributes.collect();
    format!("{kind} {header:?} {attributes:?}")
}

/// Every readable setting of IPv4 and IPv6.
fn sysctls() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for family in ["ipv4", "ipv6"] {
        walk(&Path::new("/proc/sys/net").join(family), &mut lines);
    }
    lines
}

fn walk(path: &Path, lines: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, lines);
        } else if let Ok(value) = fs::read_to_string(&path) {
            lines.insert(format!("sysctl {} = {}", path.display(), value.trim_end()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_done_is_nothing_changed() {
        let node = Node::new("n").unwrap();
        let before = Snapshot::take(&node).unwrap();
        assert!(before.len() > 100);
        assert_eq!(before.diff(&Snapshot::take(&node).unwrap()), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_change_is_seen_and_so_is_its_undoing() {
        let node = Node::new("n").unwrap();
        let before = Snapshot::take(&node).unwrap();
        for (change, undo, kind) in [
            ("ip link add x type veth peer name y", "ip link del x", "link"),
            ("ip addr add 192.0.2.1/32 dev lo", "ip addr del 192.0.2.1/32 dev lo", "address"),
            ("ip route add 192.0.2.9 dev lo", "ip route del 192.0.2.9 dev lo", "route"),
            ("ip -6 route add 2001:db8::9 dev lo table 7", "ip -6 route del 2001:db8::9 table 7", "route"),
            ("ip rule add fwmark 7 lookup 7", "ip rule del fwmark 7", "rule"),
            ("ip neigh add proxy 192.0.2.3 dev lo", "ip neigh del proxy 192.0.2.3 dev lo", "proxy neighbour"),
            ("nft add table ip t", "nft delete table ip t", "nftables"),
            ("sysctl -q net.ipv4.ip_default_ttl=70", "sysctl -q net.ipv4.ip_default_ttl=64", "sysctl"),
        ] {
            node.exec(&["sh", "-ec", change]).unwrap();
            let diff = before.diff(&Snapshot::take(&node).unwrap());
            assert!(diff.iter().any(|line| line[2..].starts_with(kind)), "{change}: {diff:#?}");
            node.exec(&["sh", "-ec", undo]).unwrap();
            let diff = before.diff(&Snapshot::take(&node).unwrap());
            assert!(diff.is_empty(), "{undo}: {diff:#?}");
        }
    }
}
