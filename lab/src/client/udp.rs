//! The UDP client.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::node::Node;

/// A socket that talks to one address only: answers from elsewhere are not received.
#[derive(Debug)]
pub struct UdpClient {
    socket: UdpSocket,
    target: SocketAddr,
}

impl UdpClient {
    /// A socket of the node, with a port of its own.
    pub fn open(node: &Node, target: SocketAddr) -> anyhow::Result<Self> {
        let any = match target {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let open = || -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind(any)?;
            socket.connect(target)?;
            Ok(socket)
        };
        let socket = node.run(open)?.with_context(|| format!("{node} has no way to {target}"))?;
        Ok(Self { socket, target })
    }

    /// The socket.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Sends a datagram and waits for the answer.
    ///
    /// # Errors
    /// When none comes in time; when an ICMP error comes, it is the root cause.
    pub fn exchange(&self, payload: &[u8], patience: Duration) -> anyhow::Result<Vec<u8>> {
        let target = self.target;
        let put = self.socket.send(payload).with_context(|| format!("cannot send to {target}"))?;
        ensure!(put == payload.len(), "only {put} of {} bytes went to {target}", payload.len());
        self.socket.set_read_timeout(Some(patience))?;
        let mut buffer = vec![0; 65_536];
        let got = self.socket.recv(&mut buffer).with_context(|| format!("no answer from {target}"))?;
        buffer.truncate(got);
        Ok(buffer)
    }
}

/// Sends one datagram from the node and waits for the answer.
pub fn udp_exchange(
    node: &Node,
    target: SocketAddr,
    payload: &[u8],
    patience: Duration,
) -> anyhow::Result<Vec<u8>> {
    UdpClient::open(node, target)?.exchange(payload, patience)
}
