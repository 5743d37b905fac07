//! An echo (RFC 792, RFC 4443 section 4).
//!
//! Each question has a socket of its own, connected to the server. The kernel gives a datagram socket (`ping_group_range`
//! says who may have one) only the replies to its own identifier; a raw one, only packets of that server. Many questions
//! at once do not hear each other's replies, and nobody has to sort them. Whose reply it is, the payload says: a number
//! that is never used twice.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Protocol, Type};
use tokio::net::UdpSocket;

use super::asking::{Asking, connected};
use super::words;

const HEADER: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The kernel fills in identifier and checksum, and takes the IP header off.
    Datagram,
    /// IPv4: nobody does. IPv6: the checksum is filled in, there is no header.
    Raw,
}

pub(super) async fn ask(asking: &Asking<'_>) -> Result<(), String> {
    // A port would be a protocol number to a raw socket.
    let mut to = asking.target.server;
    to.set_port(0);
    let (socket, kind) = open(asking, to)?;
    let nonce = asking.tools.nonce().to_be_bytes();
    let request = request(to.ip(), nonce);
    exchange(&socket, kind, to.ip(), &request).await
}

async fn exchange(
    socket: &UdpSocket,
    kind: Kind,
    with: IpAddr,
    request: &[u8; 2 * HEADER],
) -> Result<(), String> {
    let error = |e: io::Error| words::io(&e);
    socket.send(request).await.map_err(error)?;
    let mut buffer = [0; 256];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(error)?;
        if is_reply(&buffer[..length], with, kind, request) {
            return Ok(());
        }
    }
}

fn open(asking: &Asking<'_>, to: SocketAddr) -> Result<(UdpSocket, Kind), String> {
    let protocol = if to.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let datagram = asking
        .open(to, Type::DGRAM, protocol)
        .and_then(|socket| connected(socket, to).map_err(|e| asking.error(&e)));
    if let Ok(socket) = datagram {
        return Ok((socket, Kind::Datagram));
    }
    let socket = asking.open(to, Type::RAW, protocol)?;
    Ok((connected(socket, to).map_err(|e| asking.error(&e))?, Kind::Raw))
}

/// An echo request: type, code, checksum, identifier, sequence number, payload.
fn request(to: IpAddr, nonce: [u8; 8]) -> [u8; 2 * HEADER] {
    let mut packet = [0; 2 * HEADER];
    packet[0] = if to.is_ipv4() { 8 } else { 128 };
    packet[4..6].copy_from_slice(&nonce[..2]);
    packet[6..8].copy_from_slice(&nonce[2..4]);
    packet[HEADER..].copy_from_slice(&nonce);
    if to.is_ipv4() {
        let checksum = checksum(&packet);
        packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    packet
}

fn is_reply(packet: &[u8], from: IpAddr, kind: Kind, request: &[u8; 2 * HEADER]) -> bool {
    let packet = match (from, kind, packet.first()) {
        (IpAddr::V4(_), Kind::Raw, Some(first)) => {
            packet.get(4 * usize::from(first & 15)..).unwrap_or_default()
        }
        _ => packet,
    };
    let reply = if from.is_ipv4() { 0 } else { 129 };
    // A datagram socket has another identifier than we gave.
    let from = if kind == Kind::Raw { 4 } else { 6 };
    packet.starts_with(&[reply, 0]) && packet.get(from..) == request.get(from..)
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests;
