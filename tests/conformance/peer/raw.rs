//! Raw packets, from any address to any other.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, bail};
use etherparse::{PacketBuilder, PacketBuilderStep, ip_number};
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// A packet with its IP header.
pub(super) struct Packet {
    bytes: Vec<u8>,
    target: IpAddr,
}

const TTL: u8 = 64;

pub(super) fn tcp(source: SocketAddr, target: SocketAddr, flags: &str, text: &str) -> anyhow::Result<Packet> {
    let mut builder = ip(source, target)?.tcp(source.port(), target.port(), 1000, 1000);
    for flag in flags.chars() {
        builder = match flag {
            'S' => builder.syn(),
            'A' => builder.ack(1001),
            'F' => builder.fin(),
            'R' => builder.rst(),
            other => bail!("no flag {other}"),
        };
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes, text.as_bytes())?;
    Ok(Packet { bytes, target: target.ip() })
}

pub(super) fn udp(source: SocketAddr, target: SocketAddr, text: &str) -> anyhow::Result<Packet> {
    let mut bytes = Vec::new();
    ip(source, target)?.udp(source.port(), target.port()).write(&mut bytes, text.as_bytes())?;
    Ok(Packet { bytes, target: target.ip() })
}

/// One chunk of this type with nothing in it but zeros (RFC 9260, 3.2).
pub(super) fn sctp(source: SocketAddr, target: SocketAddr, chunk: u8) -> anyhow::Result<Packet> {
    const CHUNK: u16 = 20;
    let mut body = Vec::new();
    body.extend(source.port().to_be_bytes());
    body.extend(target.port().to_be_bytes());
    // Verification tag, and room for the checksum.
    body.extend([0, 0, 0, 1, 0, 0, 0, 0, chunk, 0]);
    body.extend(CHUNK.to_be_bytes());
    body.resize(12 + usize::from(CHUNK), 0);
    let sum = crc32c(&body);
    body[8..12].copy_from_slice(&sum.to_le_bytes());
    let mut bytes = Vec::new();
    ip(source, target)?.write(&mut bytes, ip_number::SCTP, &body)?;
    Ok(Packet { bytes, target: target.ip() })
}

impl Packet {
    pub(super) fn send(&self) -> anyhow::Result<()> {
        let family = family(self.target);
        let socket = socket::socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)?;
        let target = SockaddrStorage::from(SocketAddr::new(self.target, 0));
        socket::sendto(socket.as_raw_fd(), &self.bytes, &target, MsgFlags::empty())
            .with_context(|| format!("cannot send to {}", self.target))?;
        Ok(())
    }
}

/// Pings and waits for the reply, but not for long: where no reply comes there is nobody to wait for.
pub(super) fn ping(target: IpAddr) -> anyhow::Result<()> {
    let IpAddr::V4(_) = target else { bail!("{target}: the probe has an IPv4 address") };
    let socket =
        socket::socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)?;
    socket::setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(500))?;
    let target = SockaddrStorage::from(SocketAddr::new(target, 0));
    socket::connect(socket.as_raw_fd(), &target)?;
    // Echo request, identifier and sequence number 0, and its checksum.
    socket::send(socket.as_raw_fd(), &[8, 0, 0xf7, 0xff, 0, 0, 0, 0], MsgFlags::empty())?;
    let mut buffer = [0; 128];
    // Where the target is this host itself, the request is heard too.
    while let Ok(length) = socket::recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
        if buffer[..length].get(20) == Some(&0) {
            break;
        }
    }
    Ok(())
}

fn ip(source: SocketAddr, target: SocketAddr) -> anyhow::Result<PacketBuilderStep<etherparse::IpHeaders>> {
    use etherparse::{IpHeaders, Ipv4Header, Ipv6Header};
    let headers = match (source.ip(), target.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            let header = Ipv4Header::new(0, TTL, ip_number::UDP, source.octets(), target.octets())?;
            IpHeaders::Ipv4(header, Default::default())
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            let header = Ipv6Header {
                source: source.octets(),
                destination: target.octets(),
                hop_limit: TTL,
                ..Default::default()
            };
            IpHeaders::Ipv6(header, Default::default())
        }
        _ => bail!("{source} and {target} are of two families"),
    };
    Ok(PacketBuilder::ip(headers))
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// Castagnoli's CRC, bit by bit (RFC 9260, appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn the_crc_is_castagnolis() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}
