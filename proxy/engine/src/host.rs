//! What the engine knows about the host it runs on.

use std::collections::HashSet;
use std::net::IpAddr;

/// The host's own addresses. Immutable; a new one is swapped in when they change.
#[derive(Clone, Debug, Default)]
pub struct HostView {
    local: HashSet<IpAddr, foldhash::fast::FixedState>,
}

impl HostView {
    /// A view with these addresses.
    pub fn new(local: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { local: local.into_iter().collect() }
    }

    /// Whether `addr` is an address of the host.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        self.local.contains(&addr)
    }
}
