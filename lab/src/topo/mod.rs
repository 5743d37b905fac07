//! Topologies: typed structs with a field for each role, built by a function, drawn by `Display`, gone when dropped.
//!
//! Addresses are from the blocks for documentation (RFC 5737, RFC 3849) and from 10.0.0.0/8; they are the same in
//! every lab, which is harmless: two labs share nothing.

mod container;
mod direct;
mod draw;
mod lecture;
mod nat;
mod parts;

use std::fmt;
use std::net::IpAddr;

use crate::node::Node;

pub use self::container::{Confinement, ContainerLab};
pub use self::direct::{DirectLab, DirectOptions};
pub use self::lecture::LectureLab;
pub use self::nat::{NatLab, NatOptions, ServerSide, VipPlace};

/// What every topology has: machines, and names for their addresses.
pub trait Topology: fmt::Display {
    /// The machines that somebody may sit at; a switch is none.
    fn machines(&self) -> Vec<&Node>;

    /// The same, to be given more.
    fn machines_mut(&mut self) -> Vec<&mut Node>;

    /// Names of addresses, as `/etc/hosts` of every machine has them.
    fn names(&self) -> Vec<(IpAddr, String)>;

    /// Texts that lie on machines from the beginning: the machine, the path, the text. A text that begins with `#!` can
    /// be run.
    fn files(&self) -> Vec<(&str, &str, &str)> {
        Vec::new()
    }
}

/// The name that the lecture's certificate is for.
pub const SITE: &str = "www.ilinux.io";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_can_be_called_by_its_name() {
        let nat = NatOptions { path: vec![1500, 1500], ..NatOptions::default() };
        let (client_path, server_path) = (vec![1500, 1500], vec![1500]);
        let direct = DirectOptions { client_path, server_path, ..DirectOptions::default() };
        let all: [Box<dyn Topology>; 4] = [
            Box::new(NatLab::new(&nat).unwrap()),
            Box::new(DirectLab::new(&direct).unwrap()),
            Box::new(ContainerLab::new(None).unwrap()),
            Box::new(LectureLab::new().unwrap()),
        ];
        for lab in &all {
            let names = lab.names();
            for machine in lab.machines() {
                let addrs: Vec<_> =
                    names.iter().filter(|(_, name)| name == machine.name()).map(|(addr, _)| *addr).collect();
                assert!(!addrs.is_empty(), "{machine} has no name in\n{lab}");
                let own = machine.exec(&["ip", "-o", "addr"]).unwrap();
                for addr in addrs {
                    assert!(own.contains(&format!(" {addr}/")), "{machine} is not at {addr}: {own}");
                }
            }
        }
    }
}
