//! Devices, their addresses, and what is known of the neighbours on them.

use std::fmt;
use std::io;
use std::net::IpAddr;

use crate::netlink::{Attributes, Message, NetlinkSocket};
use crate::steer::host::Family;

/// A link address of Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Somebody has brought it up.
    pub up: bool,
    /// It resolves neighbours: others may ask for an address on it.
    pub resolves: bool,
    /// In bytes.
    pub mtu: u32,
    /// Packets that may wait (`txqueuelen`).
    pub queue: u32,
    /// Its link address, where it is of Ethernet.
    pub mac: Option<Mac>,
    /// The bridge or bond whose port it is: that has what comes in here.
    pub master: Option<u32>,
    /// The device that it is a VLAN or the like of, in the same namespace: what comes in there may be for this one.
    pub lower: Option<u32>,
}

/// An address of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of the device.
    pub device: u32,
    /// The address.
    pub ip: IpAddr,
    /// The length of its subnet's prefix.
    pub prefix: u8,
}

/// What the kernel believes of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the device.
    pub device: u32,
    /// Who.
    pub ip: IpAddr,
    /// Where, if that is known.
    pub mac: Option<Mac>,
    /// Somebody has said so once and for all.
    pub permanent: bool,
}

pub(super) fn links(netlink: &mut NetlinkSocket) -> io::Result<Vec<Link>> {
    const RTM_NEWLINK: u16 = 16;
    const RTM_GETLINK: u16 = 18;
    const IFLA_ADDRESS: u16 = 1;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_MTU: u16 = 4;
    const IFLA_LINK: u16 = 5;
    const IFLA_MASTER: u16 = 10;
    const IFLA_TXQLEN: u16 = 13;
    const IFLA_LINK_NETNSID: u16 = 37;
    const ARPHRD_ETHER: u16 = 1;
    netlink.dump(&Message::new(RTM_GETLINK, 0, &[0; 16]), |kind, payload| {
        let fixed: &[u8; 16] = payload.first_chunk()?;
        let flags = u32::from_ne_bytes(*fixed[8..].first_chunk()?).cast_signed();
        let attributes = Attributes::after(payload, 16);
        let ethernet = u16::from_ne_bytes([fixed[2], fixed[3]]) == ARPHRD_ETHER;
        let mac = attributes.get(IFLA_ADDRESS).and_then(|bytes| bytes.try_into().ok()).map(Mac);
        let link = Link {
            index: u32::from_ne_bytes(*fixed[4..].first_chunk()?),
            name: attributes.string(IFLA_IFNAME)?,
            up: flags & libc::IFF_UP != 0,
            resolves: flags & (libc::IFF_NOARP | libc::IFF_LOOPBACK | libc::IFF_POINTOPOINT) == 0,
            mtu: attributes.u32(IFLA_MTU)?,
            queue: attributes.u32(IFLA_TXQLEN).unwrap_or_default(),
            mac: mac.filter(|_| ethernet),
            master: attributes.u32(IFLA_MASTER),
            lower: attributes.u32(IFLA_LINK).filter(|_| attributes.get(IFLA_LINK_NETNSID).is_none()),
        };
        (kind == RTM_NEWLINK).then_some(link)
    })
}

pub(super) fn addresses(netlink: &mut NetlinkSocket, family: Family) -> io::Result<Vec<Address>> {
    const RTM_NEWADDR: u16 = 20;
    const RTM_GETADDR: u16 = 22;
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    let query = Message::new(RTM_GETADDR, 0, &[family.number(), 0, 0, 0, 0, 0, 0, 0]);
    netlink.dump(&query, |kind, payload| {
        let fixed: &[u8; 8] = payload.first_chunk()?;
        let attributes = Attributes::after(payload, 8);
        let address = Address {
            device: u32::from_ne_bytes(*fixed[4..].first_chunk()?),
            ip: attributes.address(IFA_LOCAL).or_else(|| attributes.address(IFA_ADDRESS))?,
            prefix: fixed[1],
        };
        (kind == RTM_NEWADDR && fixed[0] == family.number()).then_some(address)
    })
}

pub(super) fn neighbours(netlink: &mut NetlinkSocket) -> io::Result<Vec<Neighbour>> {
    const RTM_NEWNEIGH: u16 = 28;
    const RTM_GETNEIGH: u16 = 30;
    const NDA_DST: u16 = 1;
    const NDA_LLADDR: u16 = 2;
    const NTF_PROXY: u8 = 8;
    const NUD_NOARP: u16 = 0x40;
    const NUD_PERMANENT: u16 = 0x80;
    netlink.dump(&Message::new(RTM_GETNEIGH, 0, &[0; 12]), |kind, payload| {
        let fixed: &[u8; 12] = payload.first_chunk()?;
        let is_ip = [libc::AF_INET as u8, libc::AF_INET6 as u8].contains(&fixed[0]);
        let attributes = Attributes::after(payload, 12);
        let state = u16::from_ne_bytes([fixed[8], fixed[9]]);
        let neighbour = Neighbour {
            device: u32::from_ne_bytes(*fixed[4..].first_chunk()?),
            ip: attributes.address(NDA_DST)?,
            mac: attributes.get(NDA_LLADDR).and_then(|bytes| bytes.try_into().ok()).map(Mac),
            permanent: state & NUD_PERMANENT != 0,
        };
        let real = kind == RTM_NEWNEIGH && is_ip && fixed[10] & NTF_PROXY == 0 && state & NUD_NOARP == 0;
        real.then_some(neighbour)
    })
}
