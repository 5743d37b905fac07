//! ICMP echo (RFC 792, RFC 4443 section 4) over a raw socket of the node.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto, setsockopt,
    socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::node::Node;

/// Between two requests.
const INTERVAL: Duration = Duration::from_secs(1);

/// Sends an echo request with `payload` bytes from the node, another one each second, and returns the time from the
/// last of them to the answer, whose payload was the same.
///
/// # Errors
/// When none comes in time.
pub fn ping(node: &Node, target: IpAddr, payload: usize, patience: Duration) -> anyhow::Result<Duration> {
    let socket = node.run(|| open(target))?.with_context(|| format!("{node} cannot open an ICMP socket"))?;
    exchange(&socket, target, payload, patience).with_context(|| format!("{node} got no echo from {target}"))
}

fn open(target: IpAddr) -> io::Result<OwnedFd> {
    let (family, protocol) = match target {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    Ok(socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?)
}

fn exchange(
    socket: &OwnedFd,
    target: IpAddr,
    payload: usize,
    patience: Duration,
) -> anyhow::Result<Duration> {
    // A raw socket sees every echo of its namespace: the identifier tells ours from others'.
    let identifier = (socket.as_raw_fd() as u16 ^ std::process::id() as u16).to_be_bytes();
    let (request, reply) = if target.is_ipv4() { (8, 0) } else { (128, 129) };
    let mut message = vec![request, 0, 0, 0, identifier[0], identifier[1], 0, 1];
    message.extend((0..payload).map(|byte| byte as u8));
    if target.is_ipv4() {
        // The kernel does this for ICMPv6 only (RFC 3542 section 3.1).
        let checksum = internet_checksum(&message).to_be_bytes();
        message[2..4].copy_from_slice(&checksum);
    }
    let deadline = Instant::now() + patience;
    let to = SockaddrStorage::from(SocketAddr::new(target, 0));
    let mut buffer = vec![0; 65_536];
    let (mut sent, mut next) = (deadline, Instant::now());
    loop {
        let now = Instant::now();
        if now >= deadline {
            bail!("nothing within {patience:?}");
        }
        if now >= next {
            sendto(socket.as_raw_fd(), &message, &to, MsgFlags::empty())?;
            (sent, next) = (now, now + INTERVAL);
        }
        let wait = next.min(deadline) - now;
        let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX).max(1);
        setsockopt(socket, ReceiveTimeout, &TimeVal::microseconds(micros))?;
        let got = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(got) => &buffer[..got],
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => continue,
            Err(errno) => bail!(io::Error::from(errno)),
        };
        // IPv4 raw sockets give the IP header too.
        let header =
            if target.is_ipv4() { usize::from(got.first().map_or(0, |byte| byte & 15)) * 4 } else { 0 };
        let Some(answer) = got.get(header..) else { continue };
        if answer.len() == message.len() && answer[0] == reply && answer[4..] == message[4..] {
            return Ok(sent.elapsed());
        }
    }
}

/// RFC 1071.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    !((folded & 0xFFFF) + (folded >> 16)) as u16
}
