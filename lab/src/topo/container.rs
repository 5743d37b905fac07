//! A container with a single interface and a single address, somewhere in a network: the servers are elsewhere, and
//! their way back to the client does not lead past it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::draw::{self, Nic};
use super::parts::{address, default_route, forward, names, of_routers, plug, state_dir, switch};
use super::{SITE, Topology};
use crate::addr::{Family, Pair};
use crate::link::{self, End};
use crate::node::Node;

/// What a container may do and see. Whatever is not here, it may not: the rest of its capabilities is dropped for
/// good, `/proc/sys` is read-only, and it has mounts and processes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Capabilities that it keeps, by their names without `cap_`.
    pub capabilities: Vec<&'static str>,
    /// Whether it is given `/dev/net/tun`.
    pub tun: bool,
}

impl Confinement {
    /// A command that runs in the node as the first process of such a container; `dir` is one for temporary files.
    pub fn command(&self, node: &Node, dir: &Path, program: &Path) -> Command {
        let script = script(self, &dir.join("tun").display().to_string());
        let mut command = node.command("unshare");
        command.args(UNSHARE).args(["sh", "-ec"]);
        command.arg(script).arg("sh").arg(program);
        command
    }
}

impl Default for Confinement {
    /// The least that an engine needs.
    fn default() -> Self {
        Self { capabilities: vec!["net_admin"], tun: true }
    }
}

/// The topology. `Display` draws it.
#[derive(Debug)]
pub struct ContainerLab {
    /// The client. Its interface is `eth0`.
    pub client: Node,
    /// The router between the three networks.
    pub router: Node,
    /// The container. Its only interface is `eth0`.
    pub container: Node,
    /// The real servers, `server1` and `server2`, in one network. Their interface is `eth0`.
    pub servers: Vec<Node>,
    /// The client's addresses.
    pub client_addr: Pair,
    /// The container's address, in both families.
    pub container_addr: Pair,
    /// The servers' addresses.
    pub server_addrs: Vec<Pair>,
    nics: Vec<Nic>,
    router_nics: Vec<Nic>,
    /// What runs a command as the first process of the container, for people.
    confine: String,
    _switch: Node,
    state_dir: TempDir,
}

const MTU: u32 = 1500;

impl ContainerLab {
    /// Builds the topology. Temporary files are made in `state_root`, or where the system has its own.
    ///
    /// # Errors
    /// Without the privilege to make namespaces, or where the kernel has no veth or bridge.
    pub fn new(state_root: Option<&Path>) -> anyhow::Result<Self> {
        let state_dir = state_dir(state_root, "container")?;
        let mut container = Node::new("container")?;
        container.set_env("ULVS_STATE_DIR", state_dir.path());
        let (client, router, switch) = (Node::new("client")?, Node::new("router")?, switch("switch")?);
        forward(&router, true)?;
        // As docker has it.
        container.sysctl("net.ipv4.ip_unprivileged_port_start", "0")?;
        // What `--sysctl` is for: of the settings that an engine needs, the one that no message of netlink changes.
        container.sysctl("net.ipv6.conf.all.forwarding", "1")?;

        let (mut nics, mut router_nics) = (Vec::new(), Vec::new());
        let mut host = |node: &Node, addr: Pair, gateway: Pair| -> anyhow::Result<()> {
            nics.push(address(node, "eth0", addr, 24, MTU)?);
            default_route(node, gateway)
        };
        let client_addr = Pair::parse("198.51.100.10", "2001:db8:1::10")?;
        let container_addr = Pair::parse("192.0.2.10", "2001:db8:4::10")?;
        for (node, name, addr, net) in [
            (&client, "to-client", client_addr, Pair::parse("198.51.100.1", "2001:db8:1::1")?),
            (&container, "to-container", container_addr, Pair::parse("192.0.2.1", "2001:db8:4::1")?),
        ] {
            link::veth(End { node, name: "eth0", mtu: MTU }, End { node: &router, name, mtu: MTU })?;
            router_nics.push(address(&router, name, net, 24, MTU)?);
            host(node, addr, net)?;
        }
        let gateway = Pair::parse("10.0.0.1", "2001:db8:2::1")?;
        let (near, far) = ("to-servers", "port0");
        plug(&router, near, &switch, far, MTU)?;
        router_nics.push(address(&router, near, gateway, 24, MTU)?);
        let (mut servers, mut server_addrs) = (Vec::new(), Vec::new());
        for number in 1..=2 {
            let (server, port) = (Node::new(format!("server{number}"))?, format!("port{number}"));
            plug(&server, "eth0", &switch, &port, MTU)?;
            let addr = Pair::parse(&format!("10.0.0.1{number}"), &format!("2001:db8:2::1{number}"))?;
            host(&server, addr, gateway)?;
            server_addrs.push(addr);
            servers.push(server);
        }
        for node in [&client, &router, &container, &switch].into_iter().chain(&servers) {
            node.links_ready()?;
        }
        let _switch = switch;
        Ok(Self {
            client,
            router,
            container,
            servers,
            client_addr,
            container_addr,
            server_addrs,
            nics,
            router_nics,
            confine: format!(
                "#!/bin/bash\n# Runs a program as the first process of a container.\nexec unshare {} sh -ec '{}' sh \"$@\"\n",
                UNSHARE.join(" "),
                script(&Confinement::default(), "/root/tun")
            ),
            _switch,
            state_dir,
        })
    }

    /// The address and port of a server.
    pub fn server_port(&self, index: usize, family: Family, l4_port: u16) -> SocketAddr {
        self.server_addrs[index].port(family, l4_port)
    }

    /// The container's state directory (`ULVS_STATE_DIR` of its commands).
    pub fn state_dir(&self) -> &Path {
        self.state_dir.path()
    }

    /// A command that runs as the first process of the container.
    pub fn confined(&self, confinement: &Confinement, program: &Path) -> Command {
        confinement.command(&self.container, self.state_dir.path(), program)
    }
}

const UNSHARE: [&str; 6] = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];

/// What confines, and then becomes the program that it is given. `held` is a file that it may make.
fn script(confinement: &Confinement, held: &str) -> String {
    let keep = confinement.capabilities.iter().map(|name| format!(",+{name}"));
    let keep = format!("-all{}", keep.collect::<String>());
    let tun = if confinement.tun {
        format!("touch /dev/net/tun; mount --bind {held} /dev/net/tun")
    } else {
        ":".to_owned()
    };
    format!(
        "touch {held}; mount --bind /dev/net/tun {held}
         mount -t tmpfs none /dev/net
         {tun}
         mount -t proc proc /proc
         mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys
         exec setpriv --inh-caps={keep} --bounding-set={keep} \"$@\""
    )
}

impl Topology for ContainerLab {
    fn machines(&self) -> Vec<&Node> {
        [&self.client, &self.container, &self.router].into_iter().chain(&self.servers).collect()
    }

    fn machines_mut(&mut self) -> Vec<&mut Node> {
        let ends = [&mut self.client, &mut self.container, &mut self.router];
        ends.into_iter().chain(&mut self.servers).collect()
    }

    fn names(&self) -> Vec<(IpAddr, String)> {
        let others =
            [("client", self.client_addr), ("container", self.container_addr), (SITE, self.container_addr)];
        let mut all = names(&self.servers, &self.server_addrs, &others);
        all.extend(of_routers(std::iter::once(&self.router_nics)));
        all
    }

    fn files(&self) -> Vec<(&str, &str, &str)> {
        vec![("container", "root/confine", &self.confine)]
    }
}

impl fmt::Display for ContainerLab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [client, container, servers @ ..] = &self.nics[..] else { return Ok(()) };
        draw::node(f, "  ", std::slice::from_ref(client))?;
        writeln!(f, "     |")?;
        writeln!(f, "  [router]")?;
        draw::node(f, "     +-- ", std::slice::from_ref(container))?;
        writeln!(f, "     |         the VIP is this address, and so is the one that the servers see")?;
        writeln!(f, "  [switch]")?;
        for server in servers {
            draw::node(f, "     +-- ", std::slice::from_ref(server))?;
        }
        Ok(())
    }
}
