//! What the engine knows about the host it runs on.

use std::collections::HashSet;
use std::net::IpAddr;

use wire::packet::Family;

/// The host's own addresses, and whether it is a router. Immutable; a new one is swapped in when they change.
#[derive(Clone, Debug, Default)]
pub struct HostView {
    local: HashSet<IpAddr, foldhash::fast::FixedState>,
    closed: [bool; 2],
}

impl HostView {
    /// A view with these addresses, of a router.
    pub fn new(local: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { local: local.into_iter().collect(), closed: [false; 2] }
    }

    /// The same of a host that is no router in this family: what is neither for it, nor from it, nor of a connection
    /// goes nowhere.
    pub fn closed(mut self, family: Family) -> Self {
        self.closed[family as usize] = true;
        self
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
