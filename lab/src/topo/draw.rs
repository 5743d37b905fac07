//! Draws a topology, top to bottom along a packet's way, with names, interfaces and addresses.

use std::fmt;

use super::nat::VipPlace;
use crate::addr::{Cidr, Pair};

/// What is drawn.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    pub(super) client: Vec<Nic>,
    pub(super) director: Vec<Nic>,
    pub(super) routers: Vec<Vec<Nic>>,
    pub(super) servers: Vec<Nic>,
    pub(super) bridge: bool,
    pub(super) vip: Option<(Pair, VipPlace)>,
}

/// An interface of a node.
#[derive(Debug)]
pub(super) struct Nic {
    pub(super) node: String,
    pub(super) name: String,
    pub(super) v4: Cidr,
    pub(super) v6: Cidr,
    pub(super) mtu: u32,
}

impl fmt::Display for Drawing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        node(f, "  ", &self.client)?;
        if let Some((vip, place)) = &self.vip {
            writeln!(f, "     |")?;
            writeln!(f, "     |     VIP {}, {}", vip.v4, vip.v6)?;
            writeln!(f, "     |     {}", describe(*place))?;
        }
        writeln!(f, "     |")?;
        node(f, "  ", &self.director)?;
        for router in &self.routers {
            writeln!(f, "     |")?;
            node(f, "  ", router)?;
        }
        writeln!(f, "     |")?;
        if self.bridge {
            writeln!(f, "  [switch]")?;
        }
        for server in &self.servers {
            node(f, "     +-- ", std::slice::from_ref(server))?;
        }
        Ok(())
    }
}

/// The node's name before its first interface; the others are aligned beneath.
pub(super) fn node(f: &mut fmt::Formatter<'_>, indent: &str, nics: &[Nic]) -> fmt::Result {
    for (row, nic) in nics.iter().enumerate() {
        let label = if row == 0 { format!("{indent}[{}]", nic.node) } else { "     |".to_owned() };
        let (v4, v6) = (nic.v4.to_string(), nic.v6.to_string());
        let mtu = if nic.mtu == 1500 { String::new() } else { format!("mtu {}", nic.mtu) };
        writeln!(f, "{}", format!("{label:<20} {:<11} {v4:<17} {v6:<20} {mtu}", nic.name).trim_end())?;
    }
    Ok(())
}

fn describe(place: VipPlace) -> &'static str {
    match place {
        VipPlace::Routed => "nobody's address: the client has a route to it through the director",
        VipPlace::Loopback => "an address of the director's loopback",
        VipPlace::Interface => "an address of the director, on to-client",
        VipPlace::Subnet => "nobody's address in the client's network: the director answers ARP for it",
    }
}
