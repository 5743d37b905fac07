//! A client, a director and real servers, wired for NAT: the client reaches the VIP through the director, and so do
//! the servers' answers.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use super::draw::{Drawing, Nic};
use super::parts::{
    address, default_route, forward, names, nodes, of_routers, plug, route, state_dir, switch,
};
use super::{SITE, Topology};
use crate::addr::{Cidr, Family, Pair};
use crate::link::{self, End, Impaired, Impairment};
use crate::node::Node;

/// Where the VIP is before the director balances anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VipPlace {
    /// Nobody's address, in a network of its own: the client has a route to it through the director.
    #[default]
    Routed,
    /// As `Routed`, and an address of the director's loopback.
    Loopback,
    /// An address in the client's network, on the director's interface there.
    Interface,
    /// An address in the client's network that nobody has: the director has to answer ARP and neighbour discovery.
    Subnet,
}

/// How the servers hang on the last hop before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerSide {
    /// All on one bridge, one network.
    #[default]
    Bridge,
    /// A link and a network for each.
    Links,
}

/// What a [`NatLab`] looks like.
#[derive(Clone, Debug)]
pub struct NatOptions {
    /// How many real servers: 1 to 200.
    pub servers: usize,
    /// How they are connected.
    pub server_side: ServerSide,
    /// Where the VIP is.
    pub vip: VipPlace,
    /// MTU of the link between client and director, in bytes.
    pub client_mtu: u32,
    /// What the link between client and director does to packets, on the way to the director and back. Not given: it
    /// is a veth pair, which does nothing. Given: there is no ARP on it.
    pub client_link: Option<[Impairment; 2]>,
    /// MTU of the servers' network, in bytes.
    pub server_mtu: u32,
    /// One router for each entry between the director and the servers' network; the entry is the MTU of the link that
    /// leads to it. `[1500, 1300]` is director, 1500, router, 1300, router, servers.
    pub path: Vec<u32>,
    /// The director's `ip_forward` and its IPv6 counterpart before anything starts.
    pub forwarding: bool,
    /// The director's `rp_filter`, where it should not be the kernel's default.
    pub rp_filter: Option<u8>,
    /// Where the director's state directory is made; the system's place for temporary files if not given.
    pub state_root: Option<PathBuf>,
}

impl Default for NatOptions {
    /// Two servers on a bridge, a routed VIP, 1500-byte links, a director that forwards.
    fn default() -> Self {
        Self {
            servers: 2,
            server_side: ServerSide::Bridge,
            vip: VipPlace::Routed,
            client_mtu: 1500,
            client_link: None,
            server_mtu: 1500,
            path: Vec::new(),
            forwarding: true,
            rp_filter: None,
            state_root: None,
        }
    }
}

/// The topology. `Display` draws it.
#[derive(Debug)]
pub struct NatLab {
    /// The client. Its interface is `eth0`.
    pub client: Node,
    /// The director. Its interfaces are `to-client` and `to-servers` (with routers or links: what they lead to). Its
    /// commands have `ULVS_STATE_DIR` set to a directory of this lab.
    pub director: Node,
    /// The real servers, named `server1`, `server2`, ... Their interface is `eth0`.
    pub servers: Vec<Node>,
    /// The routers between director and servers, nearest to the director first.
    pub routers: Vec<Node>,
    /// The link between client and director, where it is an impaired one.
    pub client_link: Option<Impaired>,
    /// The virtual address in both families.
    pub vip: Pair,
    /// The client's addresses.
    pub client_addr: Pair,
    /// The director's addresses on the client's side.
    pub director_addr: Pair,
    /// The servers' addresses, in the order of `servers`.
    pub server_addrs: Vec<Pair>,
    drawing: Drawing,
    switch: Option<Node>,
    state_dir: TempDir,
}

/// The director's interface towards the client.
const TO_CLIENT: &str = "to-client";
/// Decides which packets an impaired link hits.
const SEED: u64 = 1;
const TO_SERVERS: &str = "to-servers";
const TO_DIRECTOR: &str = "to-director";

impl NatLab {
    /// Builds the topology.
    ///
    /// # Errors
    /// Without the privilege to make namespaces, or where the kernel has no veth or bridge.
    pub fn new(options: &NatOptions) -> anyhow::Result<Self> {
        ensure!((1..=200).contains(&options.servers), "a lab has 1 to 200 servers, not {}", options.servers);
        let state_dir = state_dir(options.state_root.as_deref(), "director")?;
        let mut director = Node::new("director")?;
        director.set_env("ULVS_STATE_DIR", state_dir.path());
        let mut lab = Self {
            client: Node::new("client")?,
            director,
            servers: nodes("server", options.servers)?,
            routers: nodes("router", options.path.len())?,
            client_link: None,
            vip: vip(options.vip)?,
            client_addr: Pair::parse("198.51.100.10", "2001:db8:1::10")?,
            director_addr: Pair::parse("198.51.100.1", "2001:db8:1::1")?,
            server_addrs: Vec::new(),
            drawing: Drawing::default(),
            switch: None,
            state_dir,
        };
        lab.kernel_settings(options)?;
        lab.connect_client(options)?;
        lab.connect_routers(options)?;
        match options.server_side {
            ServerSide::Bridge => lab.connect_bridge(options)?,
            ServerSide::Links => lab.connect_links(options)?,
        }
        lab.place_vip(options.vip)?;
        for node in lab.nodes() {
            node.links_ready()?;
        }
        Ok(lab)
    }

    /// The address and port of a server.
    pub fn server_port(&self, index: usize, family: Family, l4_port: u16) -> std::net::SocketAddr {
        self.server_addrs[index].port(family, l4_port)
    }

    /// The director's state directory (`ULVS_STATE_DIR` of its commands).
    pub fn state_dir(&self) -> &Path {
        self.state_dir.path()
    }

    /// Gives the client an interface on the servers' bridge, and the servers a way to the client by it: for answers that
    /// shall not pass the director. The client's own way to the VIP stays as it is.
    ///
    /// # Errors
    /// When the servers are not on a bridge.
    pub fn shortcut(&self) -> anyhow::Result<()> {
        let switch = self.switch.as_ref().context("the servers are not on a bridge")?;
        let (name, mtu) = ("eth1", 1500);
        plug(&self.client, name, switch, "port-client", mtu)?;
        let there = Pair::parse("10.0.0.250", "2001:db8:2::250")?;
        address(&self.client, name, there, 24, mtu)?;
        for server in &self.servers {
            route(server, "198.51.100.0/24", there)?;
            route(server, "2001:db8:1::/64", there)?;
        }
        self.client.links_ready()
    }

    /// What joins the servers, where they are on a bridge.
    pub fn switch(&self) -> Option<&Node> {
        self.switch.as_ref()
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        [&self.client, &self.director]
            .into_iter()
            .chain(&self.servers)
            .chain(&self.routers)
            .chain(&self.switch)
    }

    fn kernel_settings(&self, options: &NatOptions) -> anyhow::Result<()> {
        for (node, forwarding) in
            self.routers.iter().map(|router| (router, true)).chain([(&self.director, options.forwarding)])
        {
            forward(node, forwarding)?;
        }
        if let Some(value) = options.rp_filter {
            for scope in ["all", "default"] {
                self.director.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), &value.to_string())?;
            }
        }
        Ok(())
    }

    fn connect_client(&mut self, options: &NatOptions) -> anyhow::Result<()> {
        let mtu = options.client_mtu;
        let ends = (
            End { node: &self.client, name: "eth0", mtu },
            End { node: &self.director, name: TO_CLIENT, mtu },
        );
        match options.client_link {
            None => link::veth(ends.0, ends.1)?,
            Some(impairments) => {
                self.client_link = Some(link::impaired(ends.0, ends.1, impairments, SEED)?);
            }
        }
        let client = address(&self.client, "eth0", self.client_addr, 24, mtu)?;
        let director = address(&self.director, TO_CLIENT, self.director_addr, 24, mtu)?;
        default_route(&self.client, self.director_addr)?;
        self.drawing.client.push(client);
        self.drawing.director.push(director);
        Ok(())
    }

    /// The chain of routers: each knows the way back by its default route, the director the way to the servers.
    fn connect_routers(&mut self, options: &NatOptions) -> anyhow::Result<()> {
        for (hop, &mtu) in options.path.iter().enumerate() {
            let near = Pair::parse(&format!("10.1.{hop}.1"), &format!("2001:db8:3:{hop}::1"))?;
            let far = Pair::parse(&format!("10.1.{hop}.2"), &format!("2001:db8:3:{hop}::2"))?;
            let before = hop.checked_sub(1).map_or(&self.director, |previous| &self.routers[previous]);
            let name = if hop == 0 { TO_SERVERS.to_owned() } else { format!("to-router{}", hop + 1) };
            let back = if hop == 0 { TO_DIRECTOR.to_owned() } else { format!("to-router{hop}") };
            let router = &self.routers[hop];
            link::veth(End { node: before, name: &name, mtu }, End { node: router, name: &back, mtu })?;
            let before_nic = address(before, &name, near, 24, mtu)?;
            let router_nic = address(router, &back, far, 24, mtu)?;
            default_route(router, near)?;
            for servers in ["10.0.0.0/16", "2001:db8:2::/48"] {
                route(before, servers, far)?;
            }
            match hop.checked_sub(1) {
                None => self.drawing.director.push(before_nic),
                Some(previous) => self.drawing.routers[previous].push(before_nic),
            }
            self.drawing.routers.push(vec![router_nic]);
        }
        Ok(())
    }

    fn connect_bridge(&mut self, options: &NatOptions) -> anyhow::Result<()> {
        let mtu = options.server_mtu;
        let switch = switch("switch")?;
        let gateway = Pair::parse("10.0.0.1", "2001:db8:2::1")?;
        let last = self.routers.last().unwrap_or(&self.director);
        plug(last, TO_SERVERS, &switch, "port0", mtu)?;
        let gateway_nic = address(last, TO_SERVERS, gateway, 24, mtu)?;
        for (index, server) in self.servers.iter().enumerate() {
            let port = format!("port{}", index + 1);
            plug(server, "eth0", &switch, &port, mtu)?;
            let addr =
                Pair::parse(&format!("10.0.0.{}", index + 11), &format!("2001:db8:2::{}", index + 11))?;
            self.drawing.servers.push(address(server, "eth0", addr, 24, mtu)?);
            default_route(server, gateway)?;
            self.server_addrs.push(addr);
        }
        self.drawing.bridge = true;
        self.gateway_drawing().push(gateway_nic);
        self.switch = Some(switch);
        Ok(())
    }

    fn connect_links(&mut self, options: &NatOptions) -> anyhow::Result<()> {
        let mtu = options.server_mtu;
        for index in 0..self.servers.len() {
            let network = index + 1;
            let gateway = Pair::parse(&format!("10.0.{network}.1"), &format!("2001:db8:2:{network}::1"))?;
            let addr = Pair::parse(&format!("10.0.{network}.2"), &format!("2001:db8:2:{network}::2"))?;
            let (last, server) = (self.routers.last().unwrap_or(&self.director), &self.servers[index]);
            let name = format!("to-server{network}");
            link::veth(End { node: last, name: &name, mtu }, End { node: server, name: "eth0", mtu })?;
            let gateway_nic = address(last, &name, gateway, 24, mtu)?;
            self.drawing.servers.push(address(server, "eth0", addr, 24, mtu)?);
            default_route(server, gateway)?;
            self.server_addrs.push(addr);
            self.gateway_drawing().push(gateway_nic);
        }
        Ok(())
    }

    fn place_vip(&mut self, place: VipPlace) -> anyhow::Result<()> {
        let interface = match place {
            VipPlace::Routed | VipPlace::Subnet => None,
            VipPlace::Loopback => Some(("lo", [32, 128])),
            VipPlace::Interface => Some((TO_CLIENT, [24, 64])),
        };
        if let Some((name, [v4, v6])) = interface {
            self.director.addr_add(name, Cidr { addr: self.vip.v4, prefix: v4 })?;
            self.director.addr_add(name, Cidr { addr: self.vip.v6, prefix: v6 })?;
        }
        self.drawing.vip = Some((self.vip, place));
        Ok(())
    }

    fn gateway_drawing(&mut self) -> &mut Vec<Nic> {
        self.drawing.routers.last_mut().unwrap_or(&mut self.drawing.director)
    }
}

impl Topology for NatLab {
    fn machines(&self) -> Vec<&Node> {
        [&self.client, &self.director].into_iter().chain(&self.servers).chain(&self.routers).collect()
    }

    fn machines_mut(&mut self) -> Vec<&mut Node> {
        let ends = [&mut self.client, &mut self.director];
        ends.into_iter().chain(&mut self.servers).chain(&mut self.routers).collect()
    }

    fn names(&self) -> Vec<(IpAddr, String)> {
        let others = [("client", self.client_addr), ("director", self.director_addr), (SITE, self.vip)];
        let mut all = names(&self.servers, &self.server_addrs, &others);
        all.extend(of_routers(self.drawing.routers.iter()));
        all
    }
}

impl std::fmt::Display for NatLab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.drawing.fmt(f)
    }
}

fn vip(place: VipPlace) -> anyhow::Result<Pair> {
    match place {
        VipPlace::Routed | VipPlace::Loopback => Pair::parse("203.0.113.1", "2001:db8:ff::1"),
        VipPlace::Interface | VipPlace::Subnet => Pair::parse("198.51.100.100", "2001:db8:1::100"),
    }
}

#[cfg(test)]
mod tests;
