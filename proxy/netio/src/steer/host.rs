//! The host as the kernel describes it: links, addresses, what is local.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::netlink::{Attributes, CREATE, Message, NetlinkSocket};
use crate::sysctl::{Group, Knob};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;

const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;

/// An address family, as far as routing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// Those that this kernel has.
    pub(crate) fn available() -> Vec<Self> {
        let ipv6 = Path::new("/proc/sys/net/ipv6/conf/all/forwarding").exists();
        if ipv6 { vec![Self::Ipv4, Self::Ipv6] } else { vec![Self::Ipv4] }
    }

    pub(crate) const fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// `AF_INET` or `AF_INET6`.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Ipv4 => libc::AF_INET as u8,
            Self::Ipv6 => libc::AF_INET6 as u8,
        }
    }

    /// The address that stands for all.
    pub(crate) const fn unspecified(self) -> IpAddr {
        match self {
            Self::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// An address that is nobody's (RFC 5737, RFC 3849): the way to it is the way to the rest of the world.
    pub(crate) const fn far_away(self) -> IpAddr {
        match self {
            Self::Ipv4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            Self::Ipv6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        }
    }

    /// Length of a host prefix.
    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) up: bool,
    pub(crate) loopback: bool,
    /// Resolves neighbours, so that others may ask for an address on it.
    pub(crate) resolves: bool,
    /// Its frames are those of Ethernet.
    pub(crate) ethernet: bool,
    /// What comes by it is another device's, of which it is a part (bridge, bond).
    pub(crate) part: bool,
    pub(crate) mtu: u32,
}

impl Link {
    /// The largest packet of a family: a router may have advertised less for IPv6 (RFC 4861 section 4.6.4).
    pub(crate) fn mtu_of(&self, family: Family) -> u32 {
        let advertised = match family {
            Family::Ipv4 => None,
            Family::Ipv6 => Knob::new(Group::Ipv6Conf, "mtu", 0).at(&self.name).read().ok(),
        };
        advertised.and_then(|mtu| u32::try_from(mtu).ok()).map_or(self.mtu, |mtu| mtu.min(self.mtu))
    }
}

/// An address of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) device: u32,
    pub(crate) ip: IpAddr,
    pub(crate) prefix: u8,
    /// `RT_SCOPE_UNIVERSE` is 0, link 253, host 254.
    pub(crate) scope: u8,
    /// In use: duplicate address detection (RFC 4862) is over.
    pub(crate) usable: bool,
}

/// One look at the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) links: BTreeMap<u32, Link>,
    pub(crate) addresses: Vec<Address>,
    /// Addresses with a route of type `local`,
    local: BTreeSet<IpAddr>,
    /// and prefixes with one (`ip route add local ...`, prefixes on `lo`).
    local_prefixes: Vec<(IpAddr, u8)>,
    /// Connected subnets of devices that resolve neighbours.
    subnets: Vec<(IpAddr, u8, u32)>,
}

impl Host {
    pub(crate) fn read(netlink: &mut NetlinkSocket, families: &[Family]) -> io::Result<Self> {
        let mut host = Self { links: links(netlink)?, ..Self::default() };
        for &family in families {
            host.addresses.extend(addresses(netlink, family)?);
            let (single, prefixes): (Vec<_>, Vec<_>) = super::routes::local(netlink, family)?
                .into_iter()
                .partition(|(_, bits)| *bits == family.bits());
            host.local.extend(single.into_iter().map(|(ip, _)| ip));
            host.local_prefixes.extend(prefixes);
        }
        let resolves = |index| host.links.get(&index).is_some_and(|link: &Link| link.up && link.resolves);
        let connected =
            host.addresses.iter().filter(|a| a.prefix < Family::of(a.ip).bits() && resolves(a.device));
        host.subnets = connected.map(|a| (a.ip, a.prefix, a.device)).collect();
        Ok(host)
    }

    /// Whether packets for the address are delivered here.
    pub(crate) fn is_local(&self, ip: IpAddr) -> bool {
        self.local.contains(&ip) || self.local_prefixes.iter().any(|&(net, prefix)| covers(net, prefix, ip))
    }

    /// The host's own addresses.
    pub(crate) fn own(&self) -> BTreeSet<IpAddr> {
        self.addresses.iter().map(|address| address.ip).collect()
    }

    /// Devices that are up and other than `tun`, by number, with their names: those that frames come by for the host
    /// itself, so bridges and bonds and not their parts.
    pub(crate) fn ethernet(&self, tun: u32) -> impl Iterator<Item = (u32, &str)> {
        let links = self.links.iter().filter(move |(index, link)| {
            link.up && link.ethernet && !link.loopback && !link.part && **index != tun
        });
        links.map(|(index, link)| (*index, link.name.as_str()))
    }

    /// Connected subnets of devices other than `tun`, each as an address of the host's and a length.
    pub(crate) fn subnets(&self, tun: u32) -> BTreeSet<(IpAddr, u8)> {
        self.subnets
            .iter()
            .filter(|(.., device)| *device != tun)
            .map(|(ip, prefix, _)| (*ip, *prefix))
            .collect()
    }

    /// Devices other than `tun` in whose connected subnet the address lies, narrowest subnet only.
    pub(crate) fn neighbourhood(&self, ip: IpAddr, tun: u32) -> BTreeSet<u32> {
        let around =
            || self.subnets.iter().filter(|&&(net, prefix, device)| device != tun && covers(net, prefix, ip));
        let narrowest = around().map(|(_, prefix, _)| *prefix).max();
        around().filter(|(_, prefix, _)| Some(*prefix) == narrowest).map(|(.., device)| *device).collect()
    }
}

/// What we change of a device itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) up: bool,
    pub(crate) mtu: u32,
    /// Packets that wait (`txqueuelen`).
    pub(crate) queue: u32,
}

impl Device {
    /// Makes the device be like this.
    pub(crate) fn apply(self, netlink: &mut NetlinkSocket, index: u32) -> io::Result<()> {
        const RTM_SETLINK: u16 = 19;
        let up = libc::IFF_UP.cast_unsigned();
        let mut fixed = [0; 16];
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        fixed[8..12].copy_from_slice(&(if self.up { up } else { 0 }).to_ne_bytes());
        fixed[12..].copy_from_slice(&up.to_ne_bytes());
        let message = Message::new(RTM_SETLINK, 0, &fixed);
        netlink.request(message.u32(IFLA_MTU, self.mtu).u32(IFLA_TXQLEN, self.queue))
    }
}

/// Reads a device's state.
pub(crate) fn device(netlink: &mut NetlinkSocket, index: u32) -> io::Result<Device> {
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut device = None;
    netlink.query(Message::new(RTM_GETLINK, 0, &fixed), |_, payload| {
        let attributes = Attributes::after(payload, 16);
        device = device_of(payload, attributes);
    })?;
    device.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn device_of(payload: &[u8], attributes: Attributes<'_>) -> Option<Device> {
    let flags = u32::from_ne_bytes(*payload.get(8..)?.first_chunk()?).cast_signed();
    let (mtu, queue) = (attributes.u32(IFLA_MTU)?, attributes.u32(IFLA_TXQLEN)?);
    Some(Device { up: flags & libc::IFF_UP != 0, mtu, queue })
}

/// Gives a device an address that is never chosen as a source, or takes it away: of scope host, which IPv6 does not let
/// one say, or deprecated (RFC 4862 section 5.5.4) and without duplicate address detection.
pub(crate) fn set_host_address(
    netlink: &mut NetlinkSocket,
    index: u32,
    ip: IpAddr,
    add: bool,
) -> io::Result<()> {
    const RTM_DELADDR: u16 = 21;
    const RT_SCOPE_HOST: u8 = 254;
    let family = Family::of(ip);
    let mut fixed = [family.number(), family.bits(), 0, RT_SCOPE_HOST, 0, 0, 0, 0];
    fixed[4..].copy_from_slice(&index.to_ne_bytes());
    let (kind, flags) = if add { (RTM_NEWADDR, CREATE) } else { (RTM_DELADDR, 0) };
    let message = Message::new(kind, flags, &fixed).address(IFA_LOCAL, ip).address(IFA_ADDRESS, ip);
    netlink.request(match family {
        Family::Ipv4 => message,
        Family::Ipv6 => message.u32(IFA_FLAGS, libc::IFA_F_NODAD).bytes(IFA_CACHEINFO, &deprecated()),
    })
}

/// `struct ifa_cacheinfo` of an address that is not preferred and valid for ever.
fn deprecated() -> [u8; 16] {
    let mut info = [0; 16];
    info[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    info
}

/// Whether the prefix holds the address.
pub(crate) fn covers(net: IpAddr, prefix: u8, ip: IpAddr) -> bool {
    let same = |a: &[u8], b: &[u8]| {
        let (whole, rest) = (usize::from(prefix / 8), prefix % 8);
        a[..whole] == b[..whole] && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0)
    };
    match (net, ip) {
        (IpAddr::V4(a), IpAddr::V4(b)) => prefix <= 32 && same(&a.octets(), &b.octets()),
        (IpAddr::V6(a), IpAddr::V6(b)) => prefix <= 128 && same(&a.octets(), &b.octets()),
        _ => false,
    }
}

fn links(netlink: &mut NetlinkSocket) -> io::Result<BTreeMap<u32, Link>> {
    const IFLA_IFNAME: u16 = 3;
    const IFLA_MASTER: u16 = 10;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_INFO_SLAVE_KIND: u16 = 4;
    const IFLA_EXT_MASK: u16 = 29;
    const RTEXT_FILTER_SKIP_STATS: u32 = 8;
    const ARPHRD_ETHER: u16 = 1;
    let query = Message::new(RTM_GETLINK, 0, &[0; 16]).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    let links = netlink.dump(&query, |kind, payload| {
        let fixed: &[u8; 16] = payload.first_chunk()?;
        let index = u32::from_ne_bytes(*fixed[4..].first_chunk()?);
        let flags = u32::from_ne_bytes(*fixed[8..].first_chunk()?).cast_signed();
        let attributes = Attributes::after(payload, 16);
        // A VRF only lends its parts a routing table.
        let part_of = attributes.nested(IFLA_LINKINFO).string(IFLA_INFO_SLAVE_KIND);
        let link = Link {
            name: attributes.string(IFLA_IFNAME)?,
            ethernet: u16::from_ne_bytes([fixed[2], fixed[3]]) == ARPHRD_ETHER,
            part: attributes.u32(IFLA_MASTER).is_some() && part_of.is_none_or(|kind| kind != "vrf"),
            up: flags & libc::IFF_UP != 0,
            loopback: flags & libc::IFF_LOOPBACK != 0,
            resolves: flags & (libc::IFF_NOARP | libc::IFF_LOOPBACK | libc::IFF_POINTOPOINT) == 0,
            mtu: attributes.u32(IFLA_MTU)?,
        };
        (kind == RTM_NEWLINK).then_some((index, link))
    })?;
    Ok(links.into_iter().collect())
}

fn addresses(netlink: &mut NetlinkSocket, family: Family) -> io::Result<Vec<Address>> {
    const UNUSABLE: u32 = libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;
    let query = Message::new(RTM_GETADDR, 0, &[family.number(), 0, 0, 0, 0, 0, 0, 0]);
    netlink.dump(&query, |kind, payload| {
        let fixed: &[u8; 8] = payload.first_chunk()?;
        if kind != RTM_NEWADDR || fixed[0] != family.number() {
            return None;
        }
        let attributes = Attributes::after(payload, 8);
        let flags = attributes.u32(IFA_FLAGS).unwrap_or_else(|| fixed[2].into());
        Some(Address {
            device: u32::from_ne_bytes(*fixed[4..].first_chunk()?),
            // A point-to-point device has the peer's address in the other attribute.
            ip: attributes.address(IFA_LOCAL).or_else(|| attributes.address(IFA_ADDRESS))?,
            prefix: fixed[1],
            scope: fixed[3],
            usable: flags & UNUSABLE == 0 || flags & libc::IFA_F_OPTIMISTIC != 0,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_cover_what_they_should() {
        for (net, prefix, ip, want) in [
            ("10.0.0.1", 24, "10.0.0.200", true),
            ("10.0.0.1", 24, "10.0.1.1", false),
            ("10.0.0.1", 25, "10.0.0.200", false),
            ("10.0.0.1", 0, "192.0.2.1", true),
            ("10.0.0.1", 32, "10.0.0.1", true),
            ("fd00::", 63, "fd00:0:0:1::5", true),
            ("fd00::", 64, "fd00:0:0:1::5", false),
            ("::", 0, "10.0.0.1", false),
        ] {
            assert_eq!(
                covers(net.parse().unwrap(), prefix, ip.parse().unwrap()),
                want,
                "{net}/{prefix} {ip}"
            );
        }
    }
}
