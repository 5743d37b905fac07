//! The link addresses of next hops, kept fresh: the kernel resolves them and finds out whether they still answer; we
//! ask it to, as its own traffic would, and hear what comes of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::LinkHeader;
use crate::netlink::message::split;
use crate::netlink::{Attributes, CREATE, Message, NetlinkSocket};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const IFLA_ADDRESS: u16 = 1;

/// `NTF_USE`: as if a packet had been sent, so that the kernel looks for the neighbour, or finds out whether it is
/// still there.
const NTF_USE: u8 = 1;
/// States in which the link address is good: reachable, stale, delay, probe, no ARP, permanent.
const VALID: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;

const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
const ARPHRD_INFINIBAND: u16 = 32;

/// `RTNLGRP_LINK`, `RTNLGRP_NEIGH`.
const GROUPS: [u32; 2] = [1, 3];

/// How often each is used. The kernel forgets after a minute, and checks five seconds after a use that came later
/// than `base_reachable_time` (30 s) after the last sign of life.
const USE: Duration = Duration::from_secs(5);
/// How soon those that have not answered are asked again when packets wait for them.
const AGAIN: Duration = Duration::from_millis(200);

/// A neighbour: the index of a device, and an address on its link.
pub type NextHop = (u32, IpAddr);

/// Who can be sent to, and what goes before a packet.
pub type Table = HashMap<NextHop, LinkHeader>;

/// What workers see of it.
#[derive(Debug, Default)]
pub struct Neighbours {
    /// The table as it is now.
    pub table: Arc<arc_swap::ArcSwap<Table>>,
    waiting: Notify,
}

impl Neighbours {
    /// Packets wait for somebody who is not in the table: the kernel is to ask now.
    pub fn hurry(&self) {
        self.waiting.notify_one();
    }
}

/// Keeps the table.
pub struct Keeper {
    netlink: NetlinkSocket,
    events: TokioSocket,
    wanted: BTreeSet<NextHop>,
    known: BTreeMap<NextHop, LinkHeader>,
    links: BTreeMap<u32, Link>,
    shared: Arc<Neighbours>,
    next_use: Instant,
    last_hurry: Instant,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("known", &self.known).finish_non_exhaustive()
    }
}

/// A device, as far as headers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Ethernet([u8; 6]),
    /// No header.
    Bare,
    /// Headers that we cannot make.
    Other,
}

impl Keeper {
    /// Keeps nothing yet. Needs a tokio runtime; belongs to the network namespace of the calling thread.
    ///
    /// # Errors
    /// What netlink says.
    pub fn open() -> io::Result<Self> {
        let mut events = TokioSocket::new(NETLINK_ROUTE)?;
        events.socket_mut().bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            events.socket_mut().add_membership(group)?;
        }
        let now = Instant::now();
        Ok(Self {
            netlink: NetlinkSocket::open(NETLINK_ROUTE)?,
            events,
            wanted: BTreeSet::new(),
            known: BTreeMap::new(),
            links: BTreeMap::new(),
            shared: Arc::default(),
            next_use: now + USE,
            last_hurry: now,
        })
    }

    /// What workers look at.
    pub fn shared(&self) -> Arc<Neighbours> {
        Arc::clone(&self.shared)
    }

    /// Keeps these in addition.
    pub fn add(&mut self, wanted: impl IntoIterator<Item = NextHop>) {
        let new: Vec<_> = wanted.into_iter().filter(|hop| self.wanted.insert(*hop)).collect();
        if !new.is_empty() {
            self.read();
            self.use_(new);
        }
    }

    /// Keeps these and nobody else.
    pub fn keep(&mut self, wanted: BTreeSet<NextHop>) {
        if self.wanted.iter().any(|hop| !wanted.contains(hop)) {
            self.wanted.retain(|hop| wanted.contains(hop));
            self.known.retain(|hop, _| wanted.contains(hop));
            self.publish();
        }
        self.add(wanted);
    }

    /// Waits until the table is another. May be dropped while it waits.
    pub async fn next_change(&mut self) {
        loop {
            let changed = tokio::select! {
                received = self.events.recv_from_full() => match received {
                    Ok((datagram, _)) => self.heed(&datagram),
                    // Too much at once for the socket's buffer.
                    Err(_) => self.read(),
                },
                () = self.shared.waiting.notified() => {
                    if self.last_hurry.elapsed() >= AGAIN {
                        self.last_hurry = Instant::now();
                        let unknown = self.wanted.iter().filter(|hop| !self.known.contains_key(hop));
                        let unknown: Vec<_> = unknown.copied().collect();
                        self.use_(unknown);
                    }
                    false
                }
                () = sleep_until(self.next_use), if !self.wanted.is_empty() => {
                    self.next_use = Instant::now() + USE;
                    self.use_(self.wanted.iter().copied().collect());
                    false
                }
            };
            if changed {
                return;
            }
        }
    }

    /// Has the kernel look for them. What comes of it is an event; a device that is gone says so elsewhere.
    fn use_(&mut self, hops: Vec<NextHop>) {
        for (device, ip) in hops {
            if self.links.get(&device) == Some(&Link::Bare) {
                continue;
            }
            let message =
                Message::new(RTM_NEWNEIGH, CREATE, &header(ip, device, NTF_USE)).address(NDA_DST, ip);
            if let Err(error) = self.netlink.request(message) {
                tracing::debug!(%ip, device, %error, "the kernel does not look for a neighbour");
            }
        }
    }

    /// Takes news in; true when the table is another.
    fn heed(&mut self, datagram: &[u8]) -> bool {
        let mut changed = false;
        for (header, payload) in split(datagram) {
            match header.kind {
                RTM_NEWNEIGH | RTM_DELNEIGH => {
                    let Some((hop, address)) = neighbour(header.kind, payload) else { continue };
                    if self.wanted.contains(&hop) {
                        changed |= self.learn(hop, address);
                    }
                }
                RTM_NEWLINK => {
                    let Some((index, link)) = link(payload) else { continue };
                    if self.wanted.iter().any(|(device, _)| *device == index)
                        && self.links.get(&index) != Some(&link)
                    {
                        return self.read();
                    }
                }
                _ => {}
            }
        }
        if changed {
            self.publish();
        }
        changed
    }

    /// Reads everything again; true when the table is another.
    fn read(&mut self) -> bool {
        let before = self.known.clone();
        let request = Message::new(RTM_GETLINK, 0, &[0; 16]);
        let links = self.netlink.dump(
            &request,
            |kind, payload| {
                if kind == RTM_NEWLINK { link(payload) } else { None }
            },
        );
        self.links = links.unwrap_or_default().into_iter().collect();
        self.known.clear();
        let request = Message::new(RTM_GETNEIGH, 0, &[0; 12]);
        let neighbours = self.netlink.dump(&request, neighbour).unwrap_or_default();
        for (hop, address) in neighbours {
            if self.wanted.contains(&hop) {
                self.learn(hop, address);
            }
        }
        for hop in &self.wanted {
            if self.links.get(&hop.0) == Some(&Link::Bare) {
                self.known.insert(*hop, LinkHeader::None);
            }
        }
        let changed = before != self.known;
        if changed {
            self.publish();
        }
        changed
    }

    /// True when it is news.
    fn learn(&mut self, hop: NextHop, address: Option<[u8; 6]>) -> bool {
        let header = match (self.links.get(&hop.0), address) {
            (Some(Link::Ethernet(ours)), Some(theirs)) => {
                let mut addresses = [0; 12];
                addresses[..6].copy_from_slice(&theirs);
                addresses[6..].copy_from_slice(ours);
                Some(LinkHeader::Ethernet(addresses))
            }
            (Some(Link::Bare), _) => Some(LinkHeader::None),
            _ => None,
        };
        match header {
            Some(header) => self.known.insert(hop, header) != Some(header),
            None => self.known.remove(&hop).is_some(),
        }
    }

    fn publish(&self) {
        self.shared.table.store(Arc::new(self.known.iter().map(|(hop, header)| (*hop, *header)).collect()));
    }
}

/// `struct ndmsg`.
fn header(ip: IpAddr, device: u32, flags: u8) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
    bytes[4..8].copy_from_slice(&device.to_ne_bytes());
    bytes[10] = flags;
    bytes
}

/// Who a message is about, and its link address while that is good.
fn neighbour(kind: u16, payload: &[u8]) -> Option<(NextHop, Option<[u8; 6]>)> {
    let fixed: &[u8; 12] = payload.first_chunk()?;
    let attributes = Attributes::after(payload, 12);
    let device = u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    let good = kind == RTM_NEWNEIGH && u16::from_ne_bytes([fixed[8], fixed[9]]) & VALID != 0;
    let address = attributes.get(NDA_LLADDR).and_then(|bytes| bytes.try_into().ok());
    Some(((device, attributes.address(NDA_DST)?), address.filter(|_| good)))
}

fn link(payload: &[u8]) -> Option<(u32, Link)> {
    let fixed: &[u8; 16] = payload.first_chunk()?;
    let kind = u16::from_ne_bytes([fixed[2], fixed[3]]);
    let index = u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    let address = Attributes::after(payload, 16).get(IFLA_ADDRESS);
    let link = match (kind, address.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok())) {
        (ARPHRD_ETHER, Some(address)) => Link::Ethernet(address),
        (ARPHRD_ETHER | ARPHRD_LOOPBACK | ARPHRD_INFINIBAND, _) => Link::Other,
        _ => Link::Bare,
    };
    Some((index, link))
}
