//! A UDP server that answers every datagram.

use std::io;
use std::net::SocketAddr;

use anyhow::Context as _;
use mio::Interest;
use mio::net::UdpSocket;

use super::polled::Polled;
use super::{Counters, bind_any, count};
use crate::node::Node;

/// Sends every datagram back, up to 65,507 bytes. To the datagram [`UdpEcho::WHO`] it answers with its node's name.
#[derive(Debug)]
pub struct UdpEcho(Polled);

impl UdpEcho {
    /// The question that is answered with the server's name.
    pub const WHO: &[u8] = b"who?";

    /// Serves on the port, in both families.
    pub fn start(node: &Node, l4_port: u16) -> anyhow::Result<Self> {
        let socket = node.run(|| bind_any(l4_port, UdpSocket::bind))?;
        Self::serve(node, socket.with_context(|| format!("{node} cannot listen on UDP port {l4_port}"))?)
    }

    /// Serves at one address, which it then answers from: where the machine would choose another.
    pub fn start_at(node: &Node, at: SocketAddr) -> anyhow::Result<Self> {
        let socket = node.run(|| UdpSocket::bind(at))?;
        Self::serve(node, socket.with_context(|| format!("{node} cannot listen at {at}/udp"))?)
    }

    fn serve(node: &Node, socket: UdpSocket) -> anyhow::Result<Self> {
        let (name, mut buffer) = (node.name().to_owned(), vec![0; 65_536]);
        let serve = move |socket: &UdpSocket, counters: &Counters| {
            answer_all(socket, &name, counters, &mut buffer);
        };
        Polled::start(node, socket, Interest::READABLE | Interest::WRITABLE, serve).map(Self)
    }

    /// What it has done so far.
    pub fn counters(&self) -> &Counters {
        self.0.counters()
    }
}

/// Answers until nothing is left to read. An ICMP error of an earlier answer shows as an error of the next call and
/// says nothing about the next datagram; an answer for which there is no room is lost, as datagrams may be.
fn answer_all(socket: &UdpSocket, name: &str, counters: &Counters, buffer: &mut [u8]) {
    loop {
        match socket.recv_from(buffer) {
            Ok((len, peer)) => {
                count(&counters.requests, 1);
                count(&counters.received, len as u64);
                let question = &buffer[..len];
                let answer = if question == UdpEcho::WHO { name.as_bytes() } else { question };
                if let Ok(put) = socket.send_to(answer, peer) {
                    count(&counters.sent, put as u64);
                }
            }
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => {}
        }
    }
}
