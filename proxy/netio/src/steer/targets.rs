//! What is steered, and where to.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Where to steer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SteerConfig {
    /// Name of the TUN device, which exists.
    pub tun_name: String,
    /// Its interface index.
    pub tun_index: u32,
    /// Directory for the note of original settings; created when missing.
    pub state_dir: PathBuf,
    /// Mark by nf_tables where the kernel has it. Without, each server gets a rule.
    pub nftables: bool,
}

/// What to steer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// All addresses of services.
    pub vips: BTreeSet<IpAddr>,
    /// Services by IP protocol number and address, what rings take for them ([`super::Steering::set_rings`]). Protocol 0 and port 0
    /// as in [`Self::servers`]. What is for a VIP and not named here comes by the device.
    pub services: BTreeSet<(u8, SocketAddr)>,
    /// Addresses that servers believe to speak with (FullNAT). Those that are nobody's are treated as VIPs; to those of the
    /// host only the replies of servers come.
    pub lips: BTreeSet<IpAddr>,
    /// Prefixes, address and length, whose packets come as well. They belong to others: nobody is answered for them.
    pub prefixes: BTreeSet<(IpAddr, u8)>,
    /// Whether [`super::HostView::ways`] is asked for.
    pub ways: bool,
    /// Addresses and TCP ports, VIPs among the former, at which sockets of this host take the connections (see
    /// [`crate::front`]), or still have some. Where nobody listens any more, new ones are not for them, if the kernel can tell
    /// (`nft_socket`).
    pub fronts: BTreeSet<SocketAddr>,
    /// Sockets of fronts speak with servers ([`crate::front::connect`]), whose answers are for them.
    pub front_sockets: bool,
    /// All NAT servers, by IP protocol number and address: their replies are steered as well. Protocol 0 is every
    /// transport that a service can have, port 0 every port.
    pub servers: BTreeSet<(u8, SocketAddr)>,
    /// Servers that answer clients past us (DR, tunnels): there is a path to them, and what the network says about
    /// packets to them is steered.
    pub one_way: BTreeSet<IpAddr>,
}

impl Targets {
    /// The addresses of all servers.
    pub(super) fn server_ips(&self) -> BTreeSet<IpAddr> {
        self.servers.iter().map(|(_, server)| server.ip()).chain(self.one_way.iter().copied()).collect()
    }
}
