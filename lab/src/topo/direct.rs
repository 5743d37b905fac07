//! A director that sees requests only: it hangs on a link with one arm, and the servers' answers go to the client
//! without it. The servers are on that link (direct routing) or behind routers (tunnels).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::ensure;
use tempfile::TempDir;

use super::draw::{self, Nic};
use super::nat::VipPlace;
use super::parts::{
    address, default_route, forward, names, nodes, of_routers, plug, route, state_dir, switch,
};
use super::{SITE, Topology};
use crate::addr::{Cidr, Family, Pair};
use crate::link::{self, End};
use crate::node::Node;

/// What a [`DirectLab`] looks like.
#[derive(Clone, Debug)]
pub struct DirectOptions {
    /// How many real servers: 1 to 200.
    pub servers: usize,
    /// Where the VIP is, as far as the director is concerned. [`VipPlace::Interface`] and [`VipPlace::Subnet`] mean the
    /// director's link: there the edge asks for it by ARP and neighbour discovery, and servers have to keep silent.
    pub vip: VipPlace,
    /// Whether the servers have the VIP: on `lo`, neither answered for nor announced on their link, and without reverse
    /// path filters. Without it they are as machines come.
    pub vip_on_servers: bool,
    /// One link for each entry from the client towards the director, with that MTU in bytes; a router is at the far end
    /// of each, and the last of them, the edge, is on the director's link. `[1500, 1400]` is client, 1500, router, 1400,
    /// edge: a narrow link in the way of answers.
    pub client_path: Vec<u32>,
    /// MTU of the director's link, in bytes.
    pub link_mtu: u32,
    /// One router for each entry between the director's link and the servers' network; the entry is the MTU of the link
    /// that leads to it, so that the first one is that of the director's link. Empty: the servers are on the director's
    /// link. `[1500, 1400]` is director, 1500, router, 1400, router, servers: a narrow link in the way of requests.
    pub server_path: Vec<u32>,
    /// MTU of the servers' interfaces, in bytes.
    pub server_mtu: u32,
    /// The director's `ip_forward` and its IPv6 counterpart before anything starts.
    pub forwarding: bool,
    /// Where the director's state directory is made; the system's place for temporary files if not given.
    pub state_root: Option<PathBuf>,
}

impl Default for DirectOptions {
    /// Two servers that have the VIP on the director's link, a routed VIP, 1500-byte links, a director that forwards.
    fn default() -> Self {
        Self {
            servers: 2,
            vip: VipPlace::Routed,
            vip_on_servers: true,
            client_path: vec![1500],
            link_mtu: 1500,
            server_path: Vec::new(),
            server_mtu: 1500,
            forwarding: true,
            state_root: None,
        }
    }
}

/// The topology. `Display` draws it.
#[derive(Debug)]
pub struct DirectLab {
    /// The client. Its interface is `eth0`.
    pub client: Node,
    /// The routers between the client and the director's link, the client's own first; the last is the edge.
    pub edges: Vec<Node>,
    /// The director. Its only interface is `eth0`. Its commands have `ULVS_STATE_DIR` set to a directory of this lab.
    pub director: Node,
    /// The routers between the director's link and the servers, nearest to the director first.
    pub routers: Vec<Node>,
    /// The real servers, named `server1`, `server2`, ... Their interface is `eth0`.
    pub servers: Vec<Node>,
    /// What joins the machines of the director's link, and those of the servers' network where that is another. A port
    /// has the name of the machine that is plugged in.
    pub switches: Vec<Node>,
    /// The virtual address in both families.
    pub vip: Pair,
    /// The client's addresses.
    pub client_addr: Pair,
    /// The director's addresses.
    pub director_addr: Pair,
    /// The servers' addresses, in the order of `servers`.
    pub server_addrs: Vec<Pair>,
    drawing: Drawing,
    state_dir: TempDir,
}

/// What is drawn: the interfaces of each machine.
#[derive(Debug, Default)]
struct Drawing {
    client: Vec<Nic>,
    edges: Vec<Vec<Nic>>,
    director: Vec<Nic>,
    routers: Vec<Vec<Nic>>,
    servers: Vec<Vec<Nic>>,
}

/// A router's interface towards the client, and towards the servers.
const NORTH: &str = "north";
const SOUTH: &str = "south";

impl DirectLab {
    /// Builds the topology.
    ///
    /// # Errors
    /// Without the privilege to make namespaces, or where the kernel has no veth or bridge.
    pub fn new(options: &DirectOptions) -> anyhow::Result<Self> {
        ensure!((1..=200).contains(&options.servers), "a lab has 1 to 200 servers, not {}", options.servers);
        ensure!(!options.client_path.is_empty(), "there is at least one link between client and director");
        let first = options.server_path.first().unwrap_or(&options.link_mtu);
        ensure!(
            *first == options.link_mtu,
            "the first router is on the director's link, which has another MTU"
        );
        let state_dir = state_dir(options.state_root.as_deref(), "director")?;
        let mut director = Node::new("director")?;
        director.set_env("ULVS_STATE_DIR", state_dir.path());
        let edges = nodes("access", options.client_path.len() - 1)?.into_iter();
        let mut lab = Self {
            client: Node::new("client")?,
            edges: edges.chain([Node::new("edge")?]).collect(),
            director,
            routers: nodes("router", options.server_path.len())?,
            servers: nodes("server", options.servers)?,
            vip: match options.vip {
                VipPlace::Routed | VipPlace::Loopback => Pair::parse("203.0.113.1", "2001:db8:ff::1")?,
                VipPlace::Interface | VipPlace::Subnet => host(LINK, 100)?,
            },
            client_addr: Pair::parse("198.51.100.10", "2001:db8:1::10")?,
            director_addr: host(LINK, 2)?,
            server_addrs: Vec::new(),
            drawing: Drawing::default(),
            switches: Vec::new(),
            state_dir,
        };
        lab.kernel_settings(options)?;
        lab.connect_client(options)?;
        lab.connect_director(options)?;
        lab.connect_servers(options)?;
        lab.place_vip(options)?;
        for node in lab.nodes() {
            node.links_ready()?;
        }
        Ok(lab)
    }

    /// The address and port of a server.
    pub fn server_port(&self, index: usize, family: Family, l4_port: u16) -> SocketAddr {
        self.server_addrs[index].port(family, l4_port)
    }

    /// The director's state directory (`ULVS_STATE_DIR` of its commands).
    pub fn state_dir(&self) -> &Path {
        self.state_dir.path()
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        let ends = [&self.client, &self.director];
        ends.into_iter().chain(&self.edges).chain(&self.routers).chain(&self.servers).chain(&self.switches)
    }

    fn kernel_settings(&self, options: &DirectOptions) -> anyhow::Result<()> {
        let routers = self.edges.iter().chain(&self.routers).map(|router| (router, true));
        for (node, forwarding) in routers.chain([(&self.director, options.forwarding)]) {
            forward(node, forwarding)?;
        }
        Ok(())
    }

    /// The chain from the client to the edge.
    fn connect_client(&mut self, options: &DirectOptions) -> anyhow::Result<()> {
        for (hop, &mtu) in options.client_path.iter().enumerate() {
            let router = &self.edges[hop];
            let (before, name, near, far) = match hop.checked_sub(1) {
                None => {
                    (&self.client, "eth0", self.client_addr, Pair::parse("198.51.100.1", "2001:db8:1::1")?)
                }
                Some(previous) => {
                    let [near, far] = link_pair("10.2", "2001:db8:4", hop)?;
                    (&self.edges[previous], SOUTH, near, far)
                }
            };
            link::veth(End { node: before, name, mtu }, End { node: router, name: NORTH, mtu })?;
            let nic = address(before, name, near, 24, mtu)?;
            let router_nic = address(router, NORTH, far, 24, mtu)?;
            default_route(before, far)?;
            if hop > 0 {
                CLIENT_NETWORKS.iter().try_for_each(|network| route(router, network, near))?;
            }
            match self.drawing.edges.last_mut() {
                None => self.drawing.client.push(nic),
                Some(previous) => previous.push(nic),
            }
            self.drawing.edges.push(vec![router_nic]);
        }
        Ok(())
    }

    /// The director's link, with the edge on it.
    fn connect_director(&mut self, options: &DirectOptions) -> anyhow::Result<()> {
        let (mtu, gateway) = (options.link_mtu, host(LINK, 1)?);
        let switch = switch("switch")?;
        let edge = &self.edges[self.edges.len() - 1];
        for (node, name, port) in [(edge, SOUTH, "edge"), (&self.director, "eth0", "director")] {
            plug(node, name, &switch, port, mtu)?;
        }
        let edge_nic = address(edge, SOUTH, gateway, 24, mtu)?;
        self.drawing.director.push(address(&self.director, "eth0", self.director_addr, 24, mtu)?);
        default_route(&self.director, gateway)?;
        self.drawing.edges[options.client_path.len() - 1].push(edge_nic);
        self.switches.push(switch);
        Ok(())
    }

    fn connect_servers(&mut self, options: &DirectOptions) -> anyhow::Result<()> {
        for (hop, &mtu) in options.server_path.iter().enumerate() {
            self.connect_router(hop, mtu)?;
        }
        let network = match self.routers.last() {
            None => LINK,
            Some(last) => {
                let (gateway, mtu) = (host(FAR, 1)?, options.server_mtu);
                let switch = switch("far-switch")?;
                plug(last, SOUTH, &switch, "router", mtu)?;
                let nic = address(last, SOUTH, gateway, 24, mtu)?;
                self.drawing.routers[options.server_path.len() - 1].push(nic);
                self.switches.push(switch);
                FAR
            }
        };
        let switch = &self.switches[self.switches.len() - 1];
        for (index, server) in self.servers.iter().enumerate() {
            let (addr, mtu) = (host(network, index + 11)?, options.server_mtu);
            plug(server, "eth0", switch, &format!("server{}", index + 1), mtu)?;
            self.drawing.servers.push(vec![address(server, "eth0", addr, 24, mtu)?]);
            default_route(server, host(network, 1)?)?;
            self.server_addrs.push(addr);
        }
        Ok(())
    }

    /// Router number `hop` from the director's link. Everybody before it learns the way to the servers.
    fn connect_router(&mut self, hop: usize, mtu: u32) -> anyhow::Result<()> {
        let router = &self.routers[hop];
        match hop.checked_sub(1) {
            None => {
                let (gateway, own) = (host(LINK, 1)?, host(LINK, 3)?);
                plug(router, NORTH, &self.switches[0], "router1", mtu)?;
                self.drawing.routers.push(vec![address(router, NORTH, own, 24, mtu)?]);
                default_route(router, gateway)?;
                for node in [&self.edges[self.edges.len() - 1], &self.director] {
                    SERVER_NETWORKS.iter().try_for_each(|network| route(node, network, own))?;
                }
            }
            Some(previous) => {
                let [near, far] = link_pair("10.1", "2001:db8:3", hop)?;
                let before = &self.routers[previous];
                link::veth(End { node: before, name: SOUTH, mtu }, End { node: router, name: NORTH, mtu })?;
                self.drawing.routers[previous].push(address(before, SOUTH, near, 24, mtu)?);
                self.drawing.routers.push(vec![address(router, NORTH, far, 24, mtu)?]);
                default_route(router, near)?;
                SERVER_NETWORKS.iter().try_for_each(|network| route(before, network, far))?;
            }
        }
        Ok(())
    }

    fn place_vip(&self, options: &DirectOptions) -> anyhow::Result<()> {
        let hosts = [Cidr { addr: self.vip.v4, prefix: 32 }, Cidr { addr: self.vip.v6, prefix: 128 }];
        let edge = &self.edges[self.edges.len() - 1];
        for vip in hosts {
            match options.vip {
                VipPlace::Routed => {}
                VipPlace::Loopback => self.director.addr_add("lo", vip)?,
                VipPlace::Interface => self.director.addr_add("eth0", vip)?,
                VipPlace::Subnet => continue,
            }
            if matches!(options.vip, VipPlace::Routed | VipPlace::Loopback) {
                edge.route_add(
                    vip,
                    if vip.addr.is_ipv4() { self.director_addr.v4 } else { self.director_addr.v6 },
                )?;
            }
        }
        for server in self.servers.iter().filter(|_| options.vip_on_servers) {
            for (name, value) in SERVER_SETTINGS {
                server.sysctl(name, value)?;
            }
            hosts.into_iter().try_for_each(|vip| server.addr_add("lo", vip))?;
        }
        Ok(())
    }
}

/// What a server is told before it gets the VIP. Neighbour discovery needs nothing: IPv6 answers on a link for that
/// link's addresses only.
const SERVER_SETTINGS: [(&str, &str); 4] = [
    ("net.ipv4.conf.all.arp_ignore", "1"),
    ("net.ipv4.conf.all.arp_announce", "2"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
];

/// The director's link, and the servers' network where it is another. The gateway is the first host of each.
const LINK: [&str; 2] = ["10.0.0", "2001:db8:2:"];
const FAR: [&str; 2] = ["10.3.0", "2001:db8:5:"];
/// What is reached through routers: the client, and the servers with the links before them.
const CLIENT_NETWORKS: [&str; 2] = ["198.51.100.0/24", "2001:db8:1::/64"];
const SERVER_NETWORKS: [&str; 4] = ["10.1.0.0/16", "10.3.0.0/24", "2001:db8:3::/48", "2001:db8:5::/64"];

/// A host of a network; the number reads the same in both families.
fn host([v4, v6]: [&str; 2], number: usize) -> anyhow::Result<Pair> {
    Pair::parse(&format!("{v4}.{number}"), &format!("{v6}:{number}"))
}

/// Both ends of link number `hop` of a chain.
fn link_pair(v4: &str, v6: &str, hop: usize) -> anyhow::Result<[Pair; 2]> {
    let (v4, v6) = (format!("{v4}.{hop}"), format!("{v6}:{hop}:"));
    Ok([host([&v4, &v6], 1)?, host([&v4, &v6], 2)?])
}

impl Topology for DirectLab {
    fn machines(&self) -> Vec<&Node> {
        let ends = [&self.client, &self.director];
        ends.into_iter().chain(&self.servers).chain(&self.edges).chain(&self.routers).collect()
    }

    fn machines_mut(&mut self) -> Vec<&mut Node> {
        let ends = [&mut self.client, &mut self.director];
        ends.into_iter().chain(&mut self.servers).chain(&mut self.edges).chain(&mut self.routers).collect()
    }

    fn names(&self) -> Vec<(IpAddr, String)> {
        let others = [("client", self.client_addr), ("director", self.director_addr), (SITE, self.vip)];
        let mut all = names(&self.servers, &self.server_addrs, &others);
        all.extend(of_routers(self.drawing.edges.iter().chain(&self.drawing.routers)));
        all
    }
}

impl fmt::Display for DirectLab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        draw::node(f, "  ", &self.drawing.client)?;
        for edge in &self.drawing.edges {
            writeln!(f, "     |")?;
            draw::node(f, "  ", edge)?;
        }
        writeln!(f, "     |     VIP {}, {}", self.vip.v4, self.vip.v6)?;
        writeln!(f, "  [switch]")?;
        draw::node(f, "     +-- ", &self.drawing.director)?;
        if !self.drawing.routers.is_empty() {
            for router in &self.drawing.routers {
                writeln!(f, "     |")?;
                draw::node(f, "  ", router)?;
            }
            writeln!(f, "     |")?;
            writeln!(f, "  [switch]")?;
        }
        self.drawing.servers.iter().try_for_each(|server| draw::node(f, "     +-- ", server))
    }
}

#[cfg(test)]
mod tests;
