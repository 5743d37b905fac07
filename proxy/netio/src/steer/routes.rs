//! The routing tables of ours, and what is read of the others.
//!
//! Only the tables that matter are read: a host may have a million routes elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use super::host::{Family, Host};
use super::{SteerError, TAG};
use crate::netlink::route::{Question, RTM_GETROUTE, RTM_NEWROUTE, ask};
use crate::netlink::{Attributes, CREATE, Message, NetlinkSocket, REPLACE, Tolerate};

pub(super) const RTM_DELROUTE: u16 = 25;

/// Table of the VIPs, for the protocols of services.
pub(super) const VIPS: u32 = 11701;
/// Table of one default route to our device, for what is marked.
pub(super) const RETURN: u32 = 11702;
/// Table of the VIPs that are nobody's address, for every protocol. IPv4: to our device, so that they are somewhere
/// else than on the link, and proxy ARP answers. IPv6: to this host, which is who neighbours ask to be told.
pub(super) const NOBODYS: u32 = 11703;

/// Table of the VIPs that have fronts, to this host, for packets to those. (A default route would be found by the reverse
/// path check as well, where `src_valid_mark` is on.)
pub(super) const FRONTS: u32 = 11704;

/// The table that `ip route` shows.
const MAIN: u32 = 254;
/// The kernel's table of its own addresses.
pub(super) const LOCAL: u32 = 255;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;

const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const RTN_ANYCAST: u8 = 4;

/// Where a route of ours is for: address and length of a prefix, None for everything.
type To = Option<(IpAddr, u8)>;

/// The routes of a table of ours, by destination.
pub(super) type Routes = BTreeMap<To, Way>;

/// Where a route of ours leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    device: u32,
    /// Preferred source of this host's own packets.
    source: Option<IpAddr>,
    /// Unicast, or local: to this host's own stack.
    kind: u8,
}

impl Way {
    /// Out through a device.
    pub(super) const fn through(device: u32, source: Option<IpAddr>) -> Self {
        Self { device, source, kind: RTN_UNICAST }
    }

    /// To this host.
    pub(super) const fn here() -> Self {
        // The first device of every network namespace.
        const LOOPBACK: u32 = 1;
        Self { device: LOOPBACK, source: None, kind: RTN_LOCAL }
    }
}

/// The routes of type `local`.
pub(super) fn local(netlink: &mut NetlinkSocket, family: Family) -> io::Result<Vec<(IpAddr, u8)>> {
    dump(netlink, family, LOCAL, |fixed, attributes| {
        let to = || attributes.address(RTA_DST).unwrap_or_else(|| family.unspecified());
        (fixed[7] == RTN_LOCAL).then(|| (to(), fixed[1]))
    })
}

/// The unicast routes of the main table that lead through one device each: prefix and device.
fn main(netlink: &mut NetlinkSocket, family: Family) -> io::Result<Vec<((IpAddr, u8), u32)>> {
    dump(netlink, family, MAIN, |fixed, attributes| {
        let device = attributes.u32(RTA_OIF)?;
        let to = attributes.address(RTA_DST).unwrap_or_else(|| family.unspecified());
        (fixed[7] == RTN_UNICAST).then_some(((to, fixed[1]), device))
    })
}

/// The same of all families, with the names of the devices. A family whose table cannot be read has no ways: nobody knows
/// then what came in where.
pub(super) fn ways(
    netlink: &mut NetlinkSocket,
    families: &[Family],
    host: &Host,
) -> Vec<((IpAddr, u8), String)> {
    let mut ways = Vec::new();
    for &family in families {
        for (to, device) in main(netlink, family).unwrap_or_default() {
            ways.extend(host.links.get(&device).map(|link| (to, link.name.clone())));
        }
    }
    ways
}

/// Makes a table of ours hold exactly these routes, adding first. Returns the number of changes.
pub(super) fn become_(
    netlink: &mut NetlinkSocket,
    family: Family,
    table: u32,
    want: &Routes,
) -> Result<usize, SteerError> {
    let found = ours(netlink, family, table)?;
    let mut changes = 0;
    for (&to, &way) in want {
        if found.contains(&(to, way)) {
            continue;
        }
        changes += 1;
        let message = |way| pack(RTM_NEWROUTE, CREATE | REPLACE, family, table, to, way);
        let mut result = netlink.request(message(way));
        if way.source.is_some() && result.as_ref().is_err_and(|e| e.raw_os_error() == Some(libc::EINVAL)) {
            // The source has just gone: the kernel will choose, and the next look at the host finds a better one.
            result = netlink.request(message(Way { source: None, ..way }));
        }
        result.map_err(SteerError::netlink("add a route"))?;
    }
    for (to, way) in found {
        // A route with the same destination has been replaced, unless it led somewhere else.
        let stays =
            want.get(&to).is_some_and(|wanted| (wanted.device, wanted.kind) == (way.device, way.kind));
        if !stays {
            changes += 1;
            delete(netlink, family, table, to, way)?;
        }
    }
    Ok(changes)
}

/// Adds a route to a table of ours, in place of one for the same destination.
pub(super) fn put(
    netlink: &mut NetlinkSocket,
    table: u32,
    to: (IpAddr, u8),
    way: Way,
) -> Result<(), SteerError> {
    let message = pack(RTM_NEWROUTE, CREATE | REPLACE, Family::of(to.0), table, Some(to), way);
    netlink.request(message).map_err(SteerError::netlink("add a route"))
}

/// Takes a route out of a table of ours, where it is there.
pub(super) fn take(
    netlink: &mut NetlinkSocket,
    table: u32,
    to: (IpAddr, u8),
    way: Way,
) -> Result<(), SteerError> {
    delete(netlink, Family::of(to.0), table, Some(to), way)
}

/// Empties the tables of ours.
pub(super) fn clear(netlink: &mut NetlinkSocket, family: Family) -> Result<usize, SteerError> {
    let mut removed = 0;
    for table in [VIPS, RETURN, NOBODYS, FRONTS] {
        for (to, way) in ours(netlink, family, table)? {
            delete(netlink, family, table, to, way)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// A source for the host's own connections to VIPs: an address that the servers know a way back to. Not a VIP where
/// there is a choice, never one of the loopback.
pub(super) fn source(
    netlink: &mut NetlinkSocket,
    host: &Host,
    family: Family,
    tun: u32,
    vips: &BTreeSet<IpAddr>,
    server: Option<IpAddr>,
) -> Option<IpAddr> {
    let default = family.far_away();
    let candidates = || {
        host.addresses.iter().filter(|address| {
            Family::of(address.ip) == family
                && address.usable
                && address.scope == 0
                && !address.ip.is_loopback()
                && address.device != tun
        })
    };
    let known = |ip: IpAddr| candidates().any(|address| address.ip == ip);
    let mut second = None;
    for answer in server.into_iter().chain([default]).filter_map(|to| ask(netlink, &Question::to(to)).ok()) {
        let same_device = || candidates().filter(|a| Some(a.device) == answer.device).map(|a| a.ip);
        let options = answer.source.into_iter().filter(|&ip| known(ip)).chain(same_device());
        for ip in options {
            if !vips.contains(&ip) {
                return Some(ip);
            }
            second = second.or(Some(ip));
        }
    }
    candidates().map(|address| address.ip).find(|ip| !vips.contains(ip)).or(second)
}

/// Takes the route of an anycast membership out of the kernel's table, without ending the membership: it would keep
/// the kernel from adding a proper one, should the host get the address itself.
pub(super) fn forget_anycast(netlink: &mut NetlinkSocket, ip: IpAddr, device: u32) -> io::Result<()> {
    let family = Family::of(ip);
    let fixed = header(family, family.bits(), 0, 0, RTN_ANYCAST);
    let message = Message::new(RTM_DELROUTE, 0, &fixed).u32(RTA_TABLE, LOCAL);
    netlink.request(message.address(RTA_DST, ip).u32(RTA_OIF, device)).tolerate(libc::ESRCH)
}

fn ours(netlink: &mut NetlinkSocket, family: Family, table: u32) -> Result<BTreeSet<(To, Way)>, SteerError> {
    dump(netlink, family, table, |fixed, attributes| {
        let way = Way {
            device: attributes.u32(RTA_OIF).unwrap_or(0),
            source: attributes.address(RTA_PREFSRC),
            kind: fixed[7],
        };
        Some((attributes.address(RTA_DST).map(|ip| (ip, fixed[1])), way))
    })
    .map(|routes| routes.into_iter().collect())
    .map_err(SteerError::netlink("read our routing tables"))
}

fn delete(
    netlink: &mut NetlinkSocket,
    family: Family,
    table: u32,
    to: To,
    way: Way,
) -> Result<(), SteerError> {
    netlink
        .request(pack(RTM_DELROUTE, 0, family, table, to, Way { source: None, ..way }))
        .tolerate(libc::ESRCH)
        .map_err(SteerError::netlink("delete a route"))
}

fn dump<T>(
    netlink: &mut NetlinkSocket,
    family: Family,
    table: u32,
    mut parse: impl FnMut(&[u8; 12], Attributes<'_>) -> Option<T>,
) -> io::Result<Vec<T>> {
    let query = Message::new(RTM_GETROUTE, 0, &header(family, 0, 0, 0, 0)).u32(RTA_TABLE, table);
    let found = netlink.dump(&query, |kind, payload| {
        let fixed: &[u8; 12] = payload.first_chunk()?;
        let attributes = Attributes::after(payload, 12);
        (kind == RTM_NEWROUTE && table_of(payload) == Some(table)).then(|| parse(fixed, attributes)).flatten()
    });
    match found {
        // No table is an empty table.
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(Vec::new()),
        found => found,
    }
}

/// The table of a route message.
pub(super) fn table_of(payload: &[u8]) -> Option<u32> {
    let fixed: &[u8; 12] = payload.first_chunk()?;
    Some(Attributes::after(payload, 12).u32(RTA_TABLE).unwrap_or_else(|| fixed[4].into()))
}

/// `struct rtmsg`.
fn header(family: Family, bits: u8, protocol: u8, scope: u8, kind: u8) -> [u8; 12] {
    [family.number(), bits, 0, 0, 0, protocol, scope, kind, 0, 0, 0, 0]
}

fn pack(kind: u16, flags: u16, family: Family, table: u32, to: To, way: Way) -> Message {
    const RT_SCOPE_LINK: u8 = 253;
    const RT_SCOPE_HOST: u8 = 254;
    let bits = to.map_or(0, |(_, bits)| bits);
    let scope = match (family, way.kind) {
        (Family::Ipv4, RTN_LOCAL) => RT_SCOPE_HOST,
        (Family::Ipv4, _) => RT_SCOPE_LINK,
        (Family::Ipv6, _) => 0,
    };
    let mut m = Message::new(kind, flags, &header(family, bits, TAG, scope, way.kind)).u32(RTA_TABLE, table);
    if let Some((ip, _)) = to {
        m = m.address(RTA_DST, ip);
    }
    if let Some(source) = way.source {
        m = m.address(RTA_PREFSRC, source);
    }
    m.u32(RTA_OIF, way.device)
}
