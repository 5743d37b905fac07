//! Answering neighbours who ask for a VIP that is nobody's address but lies in a subnet of theirs.
//!
//! IPv4: a proxy ARP entry, tagged with protocol 117. IPv6: the device joins the VIP as an anycast address (RFC 4291
//! section 2.6), because proxied neighbour discovery would need `forwarding` on the device, which drops the routes
//! that it has from router advertisements. The membership ends with its socket. Its route is taken away at once: while
//! it is there, the kernel silently adds none for the same address when the host gets that (Linux 6.18).
//!
//! Whoever is answered for is announced as well.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};

use tracing::info;

use super::host::{Family, Host};
use super::{SteerError, TAG, routes};
use crate::link::Announcer;
use crate::netlink::{Attributes, CREATE, Message, NetlinkSocket, Tolerate};
use crate::sys;

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;

/// A device and the address that it answers for.
pub(super) type Proxy = (u32, IpAddr);

/// What is set up.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    anycast: BTreeMap<Proxy, UdpSocket>,
    /// Devices on which IPv4 is answered for.
    devices: BTreeSet<u32>,
    announcer: Announcer,
}

impl Proxies {
    /// Whether somebody is answered for on this device already, so that its settings are made.
    pub(super) fn answer_on(&self, device: u32, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(_) => self.devices.contains(&device),
            IpAddr::V6(_) => self.anycast.keys().any(|(d, _)| *d == device),
        }
    }

    /// Answers for one more.
    pub(super) fn add(&mut self, proxy: Proxy, netlink: &mut NetlinkSocket) -> io::Result<()> {
        self.set(proxy, netlink)?;
        self.announcer.announce(&[proxy]);
        Ok(())
    }

    fn set(&mut self, (device, ip): Proxy, netlink: &mut NetlinkSocket) -> io::Result<()> {
        match ip {
            IpAddr::V4(_) => netlink.request(pack(RTM_NEWNEIGH, CREATE, device, ip)),
            IpAddr::V6(_) if self.anycast.contains_key(&(device, ip)) => Ok(()),
            IpAddr::V6(v6) => {
                self.anycast.insert((device, ip), join(v6, device)?);
                routes::forget_anycast(netlink, ip, device)
            }
        }
    }

    /// No longer answers for this one.
    pub(super) fn take(
        &mut self,
        (device, ip): Proxy,
        netlink: &mut NetlinkSocket,
    ) -> Result<(), SteerError> {
        match ip {
            IpAddr::V4(_) => delete(netlink, device, ip),
            IpAddr::V6(_) => {
                self.anycast.remove(&(device, ip));
                Ok(())
            }
        }
    }

    /// Answers for exactly these. Returns those that failed.
    pub(super) fn become_(
        &mut self,
        want: &BTreeSet<Proxy>,
        host: &Host,
        netlink: &mut NetlinkSocket,
    ) -> Result<Vec<(Proxy, io::Error)>, SteerError> {
        let name = |device: u32| host.links.get(&device).map_or("a former device", |link| link.name.as_str());
        let found = entries(netlink)?;
        self.devices = want.iter().filter(|(_, ip)| ip.is_ipv4()).map(|(device, _)| *device).collect();
        let (mut new, mut failures) = (Vec::new(), Vec::new());
        for &(device, ip) in want {
            if found.contains_key(&(device, ip)) || self.anycast.contains_key(&(device, ip)) {
                continue;
            }
            match self.set((device, ip), netlink) {
                Ok(()) => {
                    info!("answering for {ip} on {}", name(device));
                    new.push((device, ip));
                }
                Err(e) => failures.push(((device, ip), e)),
            }
        }
        self.announcer.announce(&new);
        self.announcer.repeat(|proxy| want.contains(proxy));
        self.anycast.retain(|(device, ip), _| {
            let keep = want.contains(&(*device, *ip));
            if !keep {
                info!("no longer answering for {ip} on {}", name(*device));
            }
            keep
        });
        for ((device, ip), tag) in found {
            if tag == TAG && !want.contains(&(device, ip)) {
                delete(netlink, device, ip)?;
                info!("no longer answering for {ip} on {}", name(device));
            }
        }
        Ok(failures)
    }
}

/// Removes all entries of ours, an earlier process's too. Returns how many there were.
pub(super) fn clear(netlink: &mut NetlinkSocket) -> Result<usize, SteerError> {
    let ours: Vec<_> = entries(netlink)?.into_iter().filter(|(_, tag)| *tag == TAG).collect();
    for ((device, ip), _) in &ours {
        delete(netlink, *device, *ip)?;
    }
    Ok(ours.len())
}

fn join(ip: Ipv6Addr, device: u32) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    sys::anycast::join(&socket, ip, device)?;
    Ok(socket)
}

const NTF_PROXY: u8 = 8;
const NDA_DST: u16 = 1;
const NDA_PROTOCOL: u16 = 12;

/// The proxy ARP entries, anybody's, with their protocol tag.
fn entries(netlink: &mut NetlinkSocket) -> Result<BTreeMap<Proxy, u8>, SteerError> {
    let query = Message::new(RTM_GETNEIGH, 0, &header(0));
    let found = netlink.dump(&query, |kind, payload| {
        let fixed: &[u8; 12] = payload.first_chunk()?;
        let attributes = Attributes::after(payload, 12);
        let device = u32::from_ne_bytes(*fixed[4..].first_chunk()?);
        let entry = ((device, attributes.address(NDA_DST)?), attributes.u8(NDA_PROTOCOL).unwrap_or(0));
        (kind == RTM_NEWNEIGH && fixed[10] & NTF_PROXY != 0).then_some(entry)
    });
    Ok(found.map_err(SteerError::netlink("read the proxy ARP entries"))?.into_iter().collect())
}

fn delete(netlink: &mut NetlinkSocket, device: u32, ip: IpAddr) -> Result<(), SteerError> {
    netlink
        .request(pack(RTM_DELNEIGH, 0, device, ip))
        .tolerate(libc::ENOENT)
        .map_err(SteerError::netlink("delete a proxy ARP entry"))
}

fn pack(kind: u16, flags: u16, device: u32, ip: IpAddr) -> Message {
    Message::new(kind, flags, &header(device)).address(NDA_DST, ip).u8(NDA_PROTOCOL, TAG)
}

/// `struct ndmsg`.
fn header(device: u32) -> [u8; 12] {
    let mut fixed = [0; 12];
    fixed[0] = Family::Ipv4.number();
    fixed[4..8].copy_from_slice(&device.to_ne_bytes());
    fixed[10] = NTF_PROXY;
    fixed
}
