//! What the engine knows about the host it runs on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use sched::marks::Prefix;
use wire::packet::Family;

/// Prefixes with the name of the device that leads there.
type Ways = HashMap<Prefix, Arc<str>, FixedState>;

/// The host's own addresses, and whether it is a router. Immutable; a new one is swapped in when they change.
#[derive(Clone, Debug, Default)]
pub struct HostView {
    /// Tells it from those before.
    stamp: u64,
    local: HashSet<IpAddr, FixedState>,
    closed: [bool; 2],
    /// The prefixes of one length and family.
    ways: BTreeMap<(Reverse<u8>, bool), Ways>,
    /// The subnets of the host's links, by length and family.
    links: BTreeMap<(u8, bool), HashSet<Prefix, FixedState>>,
}

impl HostView {
    /// A view with these addresses, of a router.
    pub fn new(local: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            stamp: 0,
            local: local.into_iter().collect(),
            closed: [false; 2],
            ways: BTreeMap::new(),
            links: BTreeMap::new(),
        }
    }

    /// The same of a host that is no router in this family: what is neither for it, nor from it, nor of a connection
    /// goes nowhere.
    pub fn closed(mut self, family: Family) -> Self {
        self.closed[family as usize] = true;
        self
    }

    /// The same with what is known of its routes: which device leads where. Of two that are alike the first counts.
    pub fn with_ways(mut self, ways: impl IntoIterator<Item = (Prefix, Arc<str>)>) -> Self {
        for (prefix, device) in ways {
            let alike = self.ways.entry((Reverse(prefix.len()), prefix.addr().is_ipv4())).or_default();
            alike.entry(prefix).or_insert(device);
        }
        self
    }

    /// The same with the subnets of the links that the host is on.
    pub fn with_links(mut self, subnets: impl IntoIterator<Item = Prefix>) -> Self {
        for subnet in subnets {
            self.links.entry((subnet.len(), subnet.addr().is_ipv4())).or_default().insert(subnet);
        }
        self
    }

    /// Whether two hosts are on one link of this host's.
    pub fn on_one_link(&self, one: IpAddr, other: IpAddr) -> bool {
        self.links.iter().any(|((len, v4), subnets)| {
            let subnet = |addr: IpAddr| Prefix::new(addr, *len).filter(|_| addr.is_ipv4() == *v4);
            subnet(one).is_some_and(|link| subnet(other) == Some(link) && subnets.contains(&link))
        })
    }

    /// Name of the device that leads to `addr`.
    pub fn device_towards(&self, addr: IpAddr) -> Option<&str> {
        let of_family = self.ways.iter().filter(|((_, v4), _)| *v4 == addr.is_ipv4());
        let mut found = of_family.filter_map(|((len, _), alike)| alike.get(&Prefix::new(addr, len.0)?));
        found.next().map(|device| &**device)
    }

    /// The same as the one that comes after so many others.
    pub(crate) fn stamped(mut self, stamp: u64) -> Self {
        self.stamp = stamp;
        self
    }

    pub(crate) const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Whether a server with this address is the host.
    pub(crate) fn is_self(&self, server: IpAddr) -> bool {
        server.is_loopback() || self.is_local(server)
    }

    /// Whether `addr` is an address of the host.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        self.local.contains(&addr)
    }

    /// Whether it is no router in this family.
    pub fn is_closed(&self, family: Family) -> bool {
        self.closed[family as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_one_subnet_are_on_one_link() {
        let subnets = ["10.1.0.0/16", "10.2.3.0/24", "10.2.4.0/24", "2001:db8:1::/64"];
        let view = HostView::default().with_links(subnets.map(|subnet| subnet.parse().unwrap()));
        let together = |a: &str, b: &str| view.on_one_link(a.parse().unwrap(), b.parse().unwrap());
        assert!(together("10.1.0.1", "10.1.200.1"));
        assert!(together("10.2.3.1", "10.2.3.2"));
        assert!(!together("10.2.3.1", "10.2.4.1"), "two links");
        assert!(!together("10.9.0.1", "10.9.0.2"), "no link of ours");
        assert!(together("2001:db8:1::1", "2001:db8:1::2"));
        assert!(!together("2001:db8:1::1", "2001:db8:2::2"));
        assert!(!together("10.1.0.1", "2001:db8:1::1"));
    }

    #[test]
    fn the_narrowest_prefix_says_which_device_leads_there() {
        let way = |prefix: &str, device: &str| (prefix.parse().unwrap(), Arc::from(device));
        let view = HostView::default().with_ways([
            way("0.0.0.0/0", "wan"),
            way("10.0.0.0/8", "vpn"),
            way("10.1.0.0/16", "lan"),
            way("10.1.0.0/16", "backup"),
            way("2001:db8::/32", "wan6"),
        ]);
        let towards = |addr: &str| view.device_towards(addr.parse().unwrap()).map(str::to_owned);
        assert_eq!(towards("10.1.2.3").as_deref(), Some("lan"));
        assert_eq!(towards("10.2.0.1").as_deref(), Some("vpn"));
        assert_eq!(towards("192.0.2.1").as_deref(), Some("wan"));
        assert_eq!(towards("2001:db8::1").as_deref(), Some("wan6"));
        assert_eq!(towards("2001:db9::1"), None);
    }
}
