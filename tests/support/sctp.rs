//! Ends of SCTP associations, made of packets: kernels without SCTP are no peers, and raw sockets need none.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use lab::node::Node;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recvfrom, sendto, setsockopt,
    socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::PATIENCE;

/// Types of chunks (RFC 9260, section 3.2).
pub const DATA: u8 = 0;
pub const INIT: u8 = 1;
pub const INIT_ACK: u8 = 2;
pub const SHUTDOWN: u8 = 7;
pub const SHUTDOWN_ACK: u8 = 8;
pub const COOKIE_ECHO: u8 = 10;
pub const COOKIE_ACK: u8 = 11;
pub const SHUTDOWN_COMPLETE: u8 = 14;

/// A packet with one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub src_port: u16,
    pub dst_port: u16,
    pub tag: u32,
    pub chunk: u8,
    pub value: Vec<u8>,
    /// The checksum is right.
    pub intact: bool,
}

impl Packet {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            [self.src_port, self.dst_port].into_iter().flat_map(u16::to_be_bytes).collect();
        bytes.extend(self.tag.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend([self.chunk, 0]);
        bytes.extend(u16::try_from(4 + self.value.len()).unwrap().to_be_bytes());
        bytes.extend(&self.value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let crc = crc32c(&bytes) ^ u32::from(!self.intact);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Self {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let mut zeroed = bytes.to_vec();
        zeroed[8..12].fill(0);
        Self {
            src_port: word(0),
            dst_port: word(2),
            tag: u32::from(word(4)) << 16 | u32::from(word(6)),
            chunk: bytes[12],
            value: bytes[16..12 + usize::from(word(14))].to_vec(),
            intact: bytes[8..12] == crc32c(&zeroed).to_le_bytes(),
        }
    }
}

/// Bit by bit, as RFC 9260, appendix A, defines it.
fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc)))
}

/// A raw socket that sees all SCTP that arrives at its node.
pub struct Sctp(OwnedFd);

impl Sctp {
    pub fn open(node: &Node, v4: bool) -> Self {
        let family = if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let open = || socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Sctp);
        let socket = node.run(open).unwrap().unwrap();
        let patience = TimeVal::milliseconds(i64::try_from(PATIENCE.as_millis()).unwrap());
        setsockopt(&socket, ReceiveTimeout, &patience).unwrap();
        Self(socket)
    }

    pub fn send(&self, to: IpAddr, packet: &Packet) {
        let (bytes, to) = (packet.bytes(), SockaddrStorage::from(SocketAddr::new(to, 0)));
        assert_eq!(sendto(self.0.as_raw_fd(), &bytes, &to, MsgFlags::empty()), Ok(bytes.len()), "{packet:?}");
    }

    /// The next packet, and who sent it.
    pub fn receive(&self) -> (Packet, IpAddr) {
        let mut buffer = vec![0; 65_536];
        let (len, from) = recvfrom::<SockaddrStorage>(self.0.as_raw_fd(), &mut buffer)
            .unwrap_or_else(|error| panic!("no SCTP came: {error}"));
        let from = from.unwrap();
        match from.as_sockaddr_in() {
            // Raw sockets of IPv4 show the IP header, those of IPv6 do not.
            Some(from) => {
                let header = usize::from(buffer[0] & 15) * 4;
                (Packet::parse(&buffer[header..len]), from.ip().into())
            }
            None => (Packet::parse(&buffer[..len]), from.as_sockaddr_in6().unwrap().ip().into()),
        }
    }
}

#[test]
fn the_checksum_is_that_of_the_rfcs() {
    // RFC 3720, appendix B.4.
    assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
    assert_eq!(crc32c(&[0xff; 32]), 0x62A8_AB43);
}
