//! What the engine has to know of the host that its packets pass.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// What the engine has to know of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostView {
    /// The addresses of this host, and the VIPs that are delivered to it for another reason (a prefix on `lo`).
    pub local: BTreeSet<IpAddr>,
    /// The host forwards no IPv4 by itself: every device does it for our sake only.
    pub closed4: bool,
    /// The same for IPv6.
    pub closed6: bool,
    /// Subnets of the links that this host is on, each as an address of its own and a length.
    pub subnets: BTreeSet<(IpAddr, u8)>,
    /// Prefixes of the main routing table with the names of the devices that lead there, if they were asked for.
    pub ways: Vec<((IpAddr, u8), String)>,
}

/// How packets get to a server, as the kernel's routing has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Index of the device that leads there.
    pub device: u32,
    /// The neighbour on that link who takes them: a router, or the server itself.
    pub next_hop: IpAddr,
    /// The host's address that it would use itself.
    pub source: Option<IpAddr>,
    /// The largest packet in bytes that gets there: the path MTU where the kernel knows one, else the MTU of the
    /// device.
    pub mtu: u32,
}

/// What is different since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostChange {
    /// [`super::Steering::host_view`] is another.
    pub view: bool,
    /// Some [`super::Steering::path`] is another.
    pub paths: bool,
    /// [`super::Steering::notices`] are others.
    pub notices: bool,
}

impl HostChange {
    /// Whether anything is.
    pub const fn any(self) -> bool {
        self.view || self.paths || self.notices
    }
}
