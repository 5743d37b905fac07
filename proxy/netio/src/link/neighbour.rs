//! The kernel's neighbours, one at a time: what it knows of one, and having it find out.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use socket2::{Domain, Protocol, Socket, Type};

use super::NextHop;
use crate::netlink::{Attributes, CREATE, Message, NetlinkSocket};
use crate::sys::batch::set_option;

pub(super) const RTM_NEWNEIGH: u16 = 28;
pub(super) const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;

const NDA_DST: u16 = 1;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) at: NextHop,
    /// Its link address while that is good.
    pub(super) address: Option<[u8; 6]>,
    /// Somebody has said so once and for all.
    pub(super) fixed: bool,
}

/// Reads a message.
pub(super) fn parse(kind: u16, payload: &[u8]) -> Option<Neighbour> {
    const NDA_LLADDR: u16 = 2;
    const NTF_PROXY: u8 = 8;
    /// No ARP, permanent.
    const FIXED: u16 = 0x40 | 0x80;
    /// Those, reachable, stale, delay and probe.
    const VALID: u16 = FIXED | 0x02 | 0x04 | 0x08 | 0x10;
    let fixed: &[u8; 12] = payload.first_chunk()?;
    // Others are what bridges and tunnels know of link addresses.
    let is_ip = [libc::AF_INET as u8, libc::AF_INET6 as u8].contains(&fixed[0]);
    if !matches!(kind, RTM_NEWNEIGH | RTM_DELNEIGH) || !is_ip || fixed[10] & NTF_PROXY != 0 {
        return None;
    }
    let attributes = Attributes::after(payload, 12);
    let device = u32::from_ne_bytes(*fixed[4..].first_chunk()?);
    let state = u16::from_ne_bytes([fixed[8], fixed[9]]);
    let address = attributes.get(NDA_LLADDR).and_then(|bytes| bytes.try_into().ok());
    Some(Neighbour {
        at: (device, attributes.address(NDA_DST)?),
        address: address.filter(|_| kind == RTM_NEWNEIGH && state & VALID != 0),
        fixed: kind == RTM_NEWNEIGH && state & FIXED != 0,
    })
}

/// All that the kernel knows.
pub(super) fn all(netlink: &mut NetlinkSocket) -> io::Result<Vec<Neighbour>> {
    netlink.dump(&Message::new(RTM_GETNEIGH, 0, &[0; 12]), parse)
}

/// What it knows of one.
pub(super) fn find(netlink: &mut NetlinkSocket, at: NextHop) -> Option<Neighbour> {
    let mut found = None;
    // Its only error is that there is none.
    let _ = netlink.query(about(RTM_GETNEIGH, 0, at, 0), |kind, payload| found = parse(kind, payload));
    found
}

/// Has the kernel look for one, or find out whether it is still there, as if a packet had been sent to it. That ends
/// what is fixed (Linux 6.18).
pub(super) fn use_(netlink: &mut NetlinkSocket, at: NextHop) -> io::Result<()> {
    const NTF_USE: u8 = 1;
    match netlink.request(about(RTM_NEWNEIGH, CREATE, at, NTF_USE)) {
        // Without CAP_NET_ADMIN it takes a packet, and CAP_NET_RAW.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => send_something(at),
        done => done,
    }
}

/// The answer to a ping that it has not asked for, which it passes over (RFC 1122 section 3.2.2.6) and which goes no
/// further than the link.
fn send_something((device, ip): NextHop) -> io::Result<()> {
    let index = device.cast_signed();
    let (domain, protocol, to, answer) = match ip {
        IpAddr::V4(_) => {
            (Domain::IPV4, Protocol::ICMPV4, SocketAddr::new(ip, 0), [0, 0, 0xff, 0xff, 0, 0, 0, 0])
        }
        // Its checksum is the kernel's business.
        IpAddr::V6(v6) => {
            let to = SocketAddrV6::new(v6, 0, 0, device).into();
            (Domain::IPV6, Protocol::ICMPV6, to, [129, 0, 0, 0, 0, 0, 0, 0])
        }
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, index)?;
    match ip {
        IpAddr::V4(_) => socket.set_ttl_v4(1)?,
        IpAddr::V6(_) => socket.set_unicast_hops_v6(1)?,
    }
    socket.send_to(&answer, &to.into()).map(drop)
}

/// `struct ndmsg` and the address.
fn about(kind: u16, flags: u16, (device, ip): NextHop, use_: u8) -> Message {
    let mut fixed = [0; 12];
    fixed[0] = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
    fixed[4..8].copy_from_slice(&device.to_ne_bytes());
    fixed[10] = use_;
    Message::new(kind, flags, &fixed).address(NDA_DST, ip)
}
