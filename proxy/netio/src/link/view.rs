//! What has to be known besides routes and neighbours to make a link header and to remember an answer: the devices,
//! and what the policy rules look at.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;

use crate::netlink::route::RTM_GETROUTE;
use crate::netlink::rule::{self, FRA_IIFNAME, FRA_IP_PROTO, FRA_PROTOCOL, FRA_SRC, Fixed, is_inverted};
use crate::netlink::{Attributes, Message, NetlinkSocket};
use crate::steer::TAG;
use crate::steer::host::Family;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;

const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
const ARPHRD_INFINIBAND: u16 = 32;

/// Devices and rules as they were at one time.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) links: HashMap<u32, Link>,
    /// The VLANs that have a device: of which other device, by [`wire::frame::Tagged::vlan`].
    pub(super) vlans: HashSet<Vlan>,
    /// For IPv4 and for IPv6.
    pub(super) rules: [Sight; 2],
}

/// A VLAN on a device: type and number.
pub(super) type Vlan = (u32, [u8; 4]);

/// A device, as far as headers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) header: Header,
    /// The largest packet, by family: a router may have advertised less for IPv6 (RFC 4861 section 4.6.4).
    mtu: u32,
    mtu6: u32,
    /// What it is the device of.
    vlan: Option<Vlan>,
}

impl Link {
    pub(super) fn mtu(&self, to: IpAddr) -> u32 {
        if to.is_ipv4() { self.mtu } else { self.mtu6 }
    }
}

/// What goes before packets on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// Ethernet, from this address of ours.
    Ethernet([u8; 6]),
    /// Nothing.
    Bare,
    /// What we cannot make.
    Other,
}

/// What of a packet the policy rules look at, so far as they concern what we ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sight {
    /// Nothing but its destination.
    #[default]
    Destination,
    /// Its source as well.
    Source,
    /// Something else: class, protocol, ports. An answer for one packet says nothing about another.
    Inside,
}

impl View {
    /// Looks at everything. `input` is the device that packets are taken to come in by; `by_source` says whether there are
    /// [IPv6 routes that look at the source](has_source_routes).
    pub(super) fn read(netlink: &mut NetlinkSocket, input: Option<u32>, by_source: bool) -> io::Result<Self> {
        const IFLA_EXT_MASK: u16 = 29;
        const RTEXT_FILTER_SKIP_STATS: u32 = 8;
        let query = Message::new(RTM_GETLINK, 0, &[0; 16]).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        let found = netlink
            .dump(&query, |kind, payload| if kind == RTM_NEWLINK { link(payload) } else { None })?
            .into_iter();
        let links: HashMap<_, _> = found.collect();
        let vlans = links.values().filter_map(|link: &Link| link.vlan).collect();
        let mut view = Self { links, vlans, ..Self::default() };
        let input = input.and_then(|index| view.links.get(&index)).map(|link| link.name.as_str());
        for (family, sight) in [Family::Ipv4, Family::Ipv6].into_iter().zip(&mut view.rules) {
            *sight = rules(netlink, family, input)?;
        }
        if by_source {
            view.rules[1] = view.rules[1].max(Sight::Source);
        }
        Ok(view)
    }
}

/// Whether there are IPv6 routes that are for some sources only (`ip -6 route add default from ...`).
pub(super) fn has_source_routes(netlink: &mut NetlinkSocket) -> bool {
    let query = Message::new(RTM_GETROUTE, 0, &[libc::AF_INET6 as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // A kernel without IPv6 has none.
    let found = netlink.dump(&query, |_, payload| looks_at_source(payload).then_some(()));
    found.is_ok_and(|found| !found.is_empty())
}

/// Whether the message is about such a route.
pub(super) fn looks_at_source(payload: &[u8]) -> bool {
    payload.first_chunk().is_some_and(|fixed: &[u8; 12]| fixed[0] == libc::AF_INET6 as u8 && fixed[2] != 0)
}

/// A device of a message about one.
pub(super) fn link(payload: &[u8]) -> Option<(u32, Link)> {
    const IFLA_ADDRESS: u16 = 1;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_MTU: u16 = 4;
    let fixed: &[u8; 16] = payload.first_chunk()?;
    let kind = u16::from_ne_bytes([fixed[2], fixed[3]]);
    let index = u32::from_ne_bytes(*fixed[4..].first_chunk()?);
    let attributes = Attributes::after(payload, 16);
    let address = attributes.get(IFLA_ADDRESS).and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
    let header = match (kind, address) {
        (ARPHRD_ETHER, Some(address)) => Header::Ethernet(address),
        (ARPHRD_ETHER | ARPHRD_LOOPBACK | ARPHRD_INFINIBAND, _) => Header::Other,
        _ => Header::Bare,
    };
    let mtu = attributes.u32(IFLA_MTU)?;
    let mtu6 = advertised(attributes).map_or(mtu, |advertised| advertised.min(mtu));
    Some((index, Link { name: attributes.string(IFLA_IFNAME)?, header, mtu, mtu6, vlan: vlan(attributes) }))
}

/// What a VLAN's device is for.
fn vlan(attributes: Attributes<'_>) -> Option<Vlan> {
    const IFLA_LINK: u16 = 5;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_INFO_KIND: u16 = 1;
    const IFLA_INFO_DATA: u16 = 2;
    const IFLA_VLAN_ID: u16 = 1;
    const IFLA_VLAN_PROTOCOL: u16 = 5;
    let info = attributes.nested(IFLA_LINKINFO);
    if info.string(IFLA_INFO_KIND)? != "vlan" {
        return None;
    }
    let data = info.nested(IFLA_INFO_DATA);
    let number = u16::from_ne_bytes(*data.get(IFLA_VLAN_ID)?.first_chunk()?);
    let &[a, b] = data.get(IFLA_VLAN_PROTOCOL)?.first_chunk()?;
    let [c, d] = number.to_be_bytes();
    Some((attributes.u32(IFLA_LINK)?, [a, b, c, d]))
}

/// The MTU for IPv6.
fn advertised(attributes: Attributes<'_>) -> Option<u32> {
    const IFLA_AF_SPEC: u16 = 26;
    const IFLA_INET6_CONF: u16 = 2;
    const DEVCONF_MTU6: usize = 2;
    let settings = attributes.nested(IFLA_AF_SPEC).nested(libc::AF_INET6 as u16).get(IFLA_INET6_CONF)?;
    Some(u32::from_ne_bytes(*settings.get(4 * DEVCONF_MTU6..)?.first_chunk()?))
}

fn rules(netlink: &mut NetlinkSocket, family: Family, input: Option<&str>) -> io::Result<Sight> {
    match rule::all(netlink, family.number(), |fixed, payload| sight(fixed, payload, input)) {
        // A kernel without this family, or without rules.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Sight::Destination),
        found => Ok(found?.into_iter().max().unwrap_or_default()),
    }
}

/// What a rule looks at; None when it is ours (then packets from our device do not meet it, and nothing else that we
/// ask for) or is for what comes in elsewhere. Marks are left out: ours have none.
fn sight(fixed: &Fixed, payload: &[u8], input: Option<&str>) -> Option<Sight> {
    let attributes = Attributes::after(payload, 12);
    let elsewhere = attributes.string(FRA_IIFNAME).is_some_and(|name| Some(name.as_str()) != input);
    if attributes.u8(FRA_PROTOCOL) == Some(TAG) || elsewhere && !is_inverted(fixed) {
        return None;
    }
    // What comes after the protocol: ports, DSCP, flow label, and what there is not yet.
    let inside = fixed[3] != 0 || attributes.into_iter().any(|(kind, _)| kind >= FRA_IP_PROTO);
    Some(match inside {
        true => Sight::Inside,
        false if attributes.get(FRA_SRC).is_some() => Sight::Source,
        false => Sight::Destination,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, bytes: &[u8]) -> Vec<u8> {
        let len = (4 + bytes.len()) as u16;
        let mut all = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), bytes].concat();
        all.resize(all.len().next_multiple_of(4), 0);
        all
    }

    /// As a kernel with such devices tells of one: number 7, on number 2.
    fn device(kind: &[u8]) -> Vec<u8> {
        let data = [attribute(1, &1029_u16.to_ne_bytes()), attribute(5, &[0x88, 0xa8])].concat();
        let info = [attribute(1, kind), attribute(2, &data)].concat();
        let mut fixed = [0; 16];
        fixed[2..4].copy_from_slice(&ARPHRD_ETHER.to_ne_bytes());
        fixed[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        let attributes = [
            attribute(3, b"eth0.1029\0"),
            attribute(4, &1500_u32.to_ne_bytes()),
            attribute(1, &[2, 0, 0, 0, 0, 7]),
            attribute(5, &2_u32.to_ne_bytes()),
            attribute(18, &info),
        ];
        [&fixed[..], &attributes.concat()].concat()
    }

    #[test]
    fn the_device_of_a_vlan_says_so() {
        let (index, vlan) = link(&device(b"vlan\0")).unwrap();
        assert_eq!((index, vlan.vlan), (7, Some((2, [0x88, 0xa8, 4, 5]))));
        assert_eq!(link(&device(b"macvlan\0")).unwrap().1.vlan, None);
    }
}
