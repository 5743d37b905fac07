//! Telling the neighbours where an address is that nobody has, as whoever gets an address does (RFC 5227 section 2.3,
//! RFC 4861 section 7.2.6): those who know it from before, from another director, learn the new place.
//!
//! Each is said twice, in case a packet is lost. Nothing depends on it: who does not hear it asks in the end.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use netlink_sys::protocols::NETLINK_ROUTE;
use wire::{arp, ndp};

use super::view::{self, Header};
use super::{LinkHeader, LinkSocket};
use crate::netlink::{Message, NetlinkSocket};

/// RFC 5227 section 1.1.
const INTERVAL: Duration = Duration::from_secs(2);

/// Where an address is told of: the index of a device, and the address.
pub(crate) type Announcement = (u32, IpAddr);

/// Announces addresses. Belongs to the network namespace of the thread that uses it first.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    open: Option<(LinkSocket, NetlinkSocket)>,
    /// When to say it again.
    again: BTreeMap<Announcement, Instant>,
}

impl Announcer {
    /// Announces these now, and once more when [`Self::repeat`] is called later.
    pub(crate) fn announce(&mut self, new: &[Announcement]) {
        let at = Instant::now() + INTERVAL;
        self.again.extend(new.iter().map(|it| (*it, at)));
        self.say(new);
    }

    /// Announces again what has been announced once, some time ago, if it is still `wanted`.
    pub(crate) fn repeat(&mut self, wanted: impl Fn(&Announcement) -> bool) {
        let now = Instant::now();
        let mut due = Vec::new();
        self.again.retain(|it, at| {
            let (wanted, is_due) = (wanted(it), *at <= now);
            due.extend((wanted && is_due).then_some(*it));
            wanted && !is_due
        });
        self.say(&due);
    }

    fn say(&mut self, announcements: &[Announcement]) {
        if announcements.is_empty() {
            return;
        }
        let mut links = BTreeMap::new();
        for &(device, ip) in announcements {
            let result = self.open().and_then(|(socket, netlink)| {
                let at = *links.entry(device).or_insert_with(|| link_address(netlink, device));
                at.map_or(Ok(()), |at| announce(socket, device, at, ip))
            });
            if let Err(error) = result {
                // Without CAP_NET_RAW, or the link is down.
                tracing::debug!(%ip, device, %error, "an address is not announced");
            }
        }
    }

    fn open(&mut self) -> io::Result<&mut (LinkSocket, NetlinkSocket)> {
        match &mut self.open {
            Some(open) => Ok(open),
            none => Ok(none.insert((LinkSocket::open()?, NetlinkSocket::open(NETLINK_ROUTE)?))),
        }
    }
}

fn announce(socket: &LinkSocket, device: u32, at: [u8; 6], ip: IpAddr) -> io::Result<()> {
    match ip {
        IpAddr::V4(ip) => {
            let header = LinkHeader::between(at, [0xff; 6]);
            socket.send_bytes(&arp::announcement(ip, at), libc::ETH_P_ARP as u16, device, &header)
        }
        IpAddr::V6(ip) => {
            let header = LinkHeader::between(at, ndp::ALL_AT);
            socket.send_bytes(&ndp::announcement(ip, at), libc::ETH_P_IPV6 as u16, device, &header)
        }
    }
}

/// Our link address on a device; None where there are none, or where the device is gone.
pub(super) fn link_address(netlink: &mut NetlinkSocket, device: u32) -> Option<[u8; 6]> {
    const RTM_GETLINK: u16 = 18;
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&device.to_ne_bytes());
    let mut found = None;
    let query = Message::new(RTM_GETLINK, 0, &fixed);
    netlink.query(query, |_, payload| found = view::link(payload)).ok()?;
    match found?.1.header {
        Header::Ethernet(address) => Some(address),
        Header::Bare | Header::Other => None,
    }
}
