//! UDP sockets of nodes, both ends in the hands of the test; and raw ones, which see headers.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use lab::node::Node;
use nix::sys::socket::sockopt::{
    Ipv4RecvErr, Ipv4RecvTtl, Ipv4Ttl, Ipv6RecvErr, Ipv6RecvHopLimit, Ipv6Ttl, ReceiveTimeout, UdpGsoSegment,
};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv,
    recvmsg, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::PATIENCE;

/// A socket of the node with this address and port.
pub fn bound(node: &Node, addr: SocketAddr) -> UdpSocket {
    let socket = node.run(|| UdpSocket::bind(addr)).unwrap();
    let socket = socket.unwrap_or_else(|error| panic!("{node} cannot bind {addr}: {error}"));
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A socket of the node with a port of its own, which hears from `target` alone: answers and ICMP errors.
pub fn connected(node: &Node, target: SocketAddr) -> UdpSocket {
    let any = if target.is_ipv4() {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::from(Ipv6Addr::UNSPECIFIED)
    };
    let socket = bound(node, SocketAddr::new(any, 0));
    node.run(|| socket.connect(target)).unwrap().unwrap();
    socket
}

/// The next datagram and where it came from.
pub fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let at = socket.local_addr().unwrap();
    let (len, from) =
        socket.recv_from(&mut buffer).unwrap_or_else(|error| panic!("nothing came to {at}: {error}"));
    buffer.truncate(len);
    (buffer, from)
}

/// The ICMP error that the socket is told next.
pub fn next_error(socket: &UdpSocket) -> std::io::Error {
    let at = socket.local_addr().unwrap();
    match socket.recv(&mut [0; 2048]) {
        Ok(len) => panic!("{at} received {len} bytes instead of an error"),
        Err(error) => error,
    }
}

/// Has the kernel tell the hop limit of what arrives: for [`receive_hops`].
pub fn show_hops(socket: &UdpSocket) {
    match socket.local_addr().unwrap() {
        SocketAddr::V4(_) => setsockopt(socket, Ipv4RecvTtl, &true).unwrap(),
        SocketAddr::V6(_) => setsockopt(socket, Ipv6RecvHopLimit, &true).unwrap(),
    }
}

/// The hop limit (TTL) with which the next datagram arrives.
pub fn receive_hops(socket: &UdpSocket) -> i32 {
    match control_message(socket, MsgFlags::empty()) {
        ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => hops,
        other => panic!("{other:?} is no hop limit"),
    }
}

/// Sets the hop limit (TTL) of what is sent from now on.
pub fn set_hops(socket: &UdpSocket, hops: i32) {
    match socket.local_addr().unwrap() {
        SocketAddr::V4(_) => setsockopt(socket, Ipv4Ttl, &hops).unwrap(),
        SocketAddr::V6(_) => setsockopt(socket, Ipv6Ttl, &hops).unwrap(),
    }
}

/// Has the kernel tell of every ICMP error, and who sent it: for [`told_by`].
pub fn show_errors(socket: &UdpSocket) {
    match socket.local_addr().unwrap() {
        SocketAddr::V4(_) => setsockopt(socket, Ipv4RecvErr, &true).unwrap(),
        SocketAddr::V6(_) => setsockopt(socket, Ipv6RecvErr, &true).unwrap(),
    }
}

/// Who sent the ICMP error that the socket was told last.
pub fn told_by(socket: &UdpSocket) -> IpAddr {
    match control_message(socket, MsgFlags::MSG_ERRQUEUE) {
        ControlMessageOwned::Ipv4RecvErr(_, Some(from)) => IpAddr::from(from.sin_addr.s_addr.to_ne_bytes()),
        ControlMessageOwned::Ipv6RecvErr(_, Some(from)) => IpAddr::from(from.sin6_addr.s6_addr),
        other => panic!("{other:?} names no sender of an error"),
    }
}

fn control_message(socket: &UdpSocket, flags: MsgFlags) -> ControlMessageOwned {
    let at = socket.local_addr().unwrap();
    let (mut bytes, mut control) = ([0; 2048], vec![0; 512]);
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut control), flags);
    let message = message.unwrap_or_else(|error| panic!("nothing came to {at}: {error}"));
    let mut all = message.cmsgs().unwrap();
    all.next().unwrap_or_else(|| panic!("{at}: the kernel told nothing about what arrived"))
}

/// Hands the bytes to the kernel in one piece, to be cut into datagrams of `segment` bytes as late as possible.
pub fn send_segmented(socket: &UdpSocket, target: SocketAddr, bytes: &[u8], segment: u16) {
    setsockopt(socket, UdpGsoSegment, &i32::from(segment)).unwrap();
    let to = SockaddrStorage::from(target);
    let sent = sendto(socket.as_raw_fd(), bytes, &to, MsgFlags::empty());
    assert_eq!(sent, Ok(bytes.len()), "a burst to {target}");
    setsockopt(socket, UdpGsoSegment, &0).unwrap();
}

/// A raw IPv4 socket that sends UDP as it is told to and sees all UDP that arrives at its node.
pub struct Raw(OwnedFd);

/// What a [`Raw`] socket saw.
#[derive(Debug)]
pub struct Datagram {
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub checksum: u16,
    pub payload: Vec<u8>,
}

impl Raw {
    pub fn open(node: &Node) -> Self {
        let open = || socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Udp);
        Self(node.run(open).unwrap().unwrap())
    }

    /// Sends a datagram whose checksum is zero.
    pub fn send_without_checksum(&self, src_port: u16, target: SocketAddr, payload: &[u8]) {
        let len = u16::try_from(8 + payload.len()).unwrap();
        let mut datagram: Vec<u8> =
            [src_port, target.port(), len, 0].into_iter().flat_map(u16::to_be_bytes).collect();
        datagram.extend_from_slice(payload);
        let to = SockaddrStorage::from(target);
        assert_eq!(sendto(self.0.as_raw_fd(), &datagram, &to, MsgFlags::empty()), Ok(datagram.len()));
    }

    /// The next datagram like that.
    pub fn next(&self, wanted: impl Fn(&Datagram) -> bool) -> Datagram {
        setsockopt(&self.0, ReceiveTimeout, &TimeVal::milliseconds(100)).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 65_536];
        while Instant::now() < deadline {
            let Ok(len) = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) else { continue };
            let datagram = Datagram::parse(&buffer[..len]);
            if wanted(&datagram) {
                return datagram;
            }
        }
        panic!("no such datagram came within {PATIENCE:?}");
    }
}

impl Datagram {
    fn parse(packet: &[u8]) -> Self {
        let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        let addr = |at: usize| IpAddr::from([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        let udp = usize::from(packet[0] & 15) * 4;
        Self {
            src: SocketAddr::new(addr(12), word(udp)),
            dst: SocketAddr::new(addr(16), word(udp + 2)),
            checksum: word(udp + 6),
            payload: packet[udp + 8..].to_vec(),
        }
    }
}
