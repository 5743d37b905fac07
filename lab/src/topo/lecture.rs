//! The lecture's network: everybody on one link, addresses as the lecture has them. A director, two servers that will
//! get the VIP, a client.

use std::fmt;
use std::net::IpAddr;

use super::Topology;
use super::parts::{plug, switch};
use crate::addr::Cidr;
use crate::node::Node;

/// The topology. `Display` draws it. IPv4 alone, as the lecture.
#[derive(Debug)]
pub struct LectureLab {
    /// In the order of [`MACHINES`].
    machines: Vec<Node>,
    _switch: Node,
}

/// Names, interfaces and addresses. The director's interface has the name that it has in the lecture.
const MACHINES: [(&str, &str, &str); 4] = [
    ("director", "eno16777736", "172.16.0.6/16"),
    ("rs1", "eno16777736", "172.16.0.7/16"),
    ("rs2", "eno16777736", "172.16.0.8/16"),
    ("client", "eth0", "172.16.0.67/16"),
];

impl LectureLab {
    /// Builds the topology.
    ///
    /// # Errors
    /// Without the privilege to make namespaces, or where the kernel has no veth or bridge.
    pub fn new() -> anyhow::Result<Self> {
        let switch = switch("switch")?;
        let mut machines = Vec::new();
        for (name, interface, addr) in MACHINES {
            let node = Node::new(name)?;
            plug(&node, interface, &switch, name, 1500)?;
            node.addr_add(interface, addr.parse()?)?;
            machines.push(node);
        }
        for node in machines.iter().chain([&switch]) {
            node.links_ready()?;
        }
        Ok(Self { machines, _switch: switch })
    }
}

impl Topology for LectureLab {
    fn machines(&self) -> Vec<&Node> {
        self.machines.iter().collect()
    }

    fn machines_mut(&mut self) -> Vec<&mut Node> {
        self.machines.iter_mut().collect()
    }

    /// The machines alone: what `www.ilinux.io` is, the lecture types itself.
    fn names(&self) -> Vec<(IpAddr, String)> {
        let named = |(name, _, addr): (&str, &str, &str)| {
            addr.parse::<Cidr>().ok().map(|cidr| (cidr.addr, name.to_owned()))
        };
        MACHINES.into_iter().filter_map(named).collect()
    }

    fn files(&self) -> Vec<(&str, &str, &str)> {
        vec![
            ("rs1", "root/setparam.sh", include_str!("lecture/setparam.sh")),
            ("director", "etc/pki/tls/openssl.cnf", include_str!("lecture/openssl.cnf")),
        ]
    }
}

impl fmt::Display for LectureLab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  [switch]     VIP 172.16.0.99, www.ilinux.io")?;
        for (name, interface, addr) in MACHINES {
            writeln!(f, "     +-- {:<12} {interface:<13} {addr}", format!("[{name}]"))?;
        }
        Ok(())
    }
}
