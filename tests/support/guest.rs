//! A guest on a TAP device of a node, who can stop a ring of the packet port: the kernel can describe its super-packet to
//! nobody, and keeps the slot.

use std::io::Write as _;
use std::net::IpAddr;
use std::process::Stdio;

use lab::node::{Child, Node};

/// It goes when this is dropped.
pub struct Guest(Child);

impl Guest {
    /// The name of its device.
    pub const DEVICE: &str = "guest0";

    /// One who can speak to this address.
    pub fn start(node: &Node, vip: IpAddr) -> Self {
        let mut command = node.command("python3");
        command.args(["-c", include_str!("guest.py"), &vip.to_string()]).stdin(Stdio::piped());
        Self(node.spawn(&mut command).unwrap())
    }

    /// Sends the super-packet.
    pub fn send(&mut self) {
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    }
}
