//! Answers neighbours who ask for addresses that nobody has, where the kernel cannot be told to (without
//! CAP_NET_ADMIN): with sockets that CAP_NET_RAW is enough for.
//!
//! Only for addresses that are not the host's, on links that it was told: the kernel answers for the others, and
//! nobody is told twice. It has a thread of its own; who asks need not wait for anything else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use netlink_sys::protocols::NETLINK_ROUTE;
use tracing::{debug, info};
use wire::{arp, ndp};

use super::announce::link_address;
use super::{Announcement, Announcer, ETHERNET, LinkHeader, LinkSocket};
use crate::netlink::NetlinkSocket;
use crate::poll::{Waker, wait};
use crate::sys::questions;

/// What is answered for on a link.
#[derive(Debug)]
struct Site {
    /// Our link address.
    at: [u8; 6],
    addresses: BTreeSet<IpAddr>,
}

#[derive(Debug, Default)]
struct Shared {
    sites: ArcSwap<HashMap<u32, Site>>,
    stop: AtomicBool,
}

/// Answers until it is dropped.
#[derive(Debug)]
pub(crate) struct Responder {
    shared: Arc<Shared>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
    netlink: NetlinkSocket,
    places: BTreeSet<Announcement>,
    /// Membership in the groups that solicitations are sent to.
    groups: BTreeMap<(u32, Ipv6Addr), UdpSocket>,
    announcer: Announcer,
}

impl Responder {
    /// Answers for nobody yet. Belongs to the network namespace of the calling thread, as [`Self::set`] does.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`.
    pub(crate) fn start() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let waker = Waker::new()?;
        let listener = Listener {
            shared: Arc::clone(&shared),
            waker: waker.clone(),
            arp: questions::arp()?,
            solicitations: questions::solicitations()?,
            link: LinkSocket::open()?,
        };
        let thread =
            std::thread::Builder::new().name("responder".to_owned()).spawn(move || listener.run())?;
        Ok(Self {
            shared,
            waker,
            thread: Some(thread),
            netlink: NetlinkSocket::open(NETLINK_ROUTE)?,
            places: BTreeSet::new(),
            groups: BTreeMap::new(),
            announcer: Announcer::default(),
        })
    }

    /// Answers for exactly these from now on (the indexes of devices, and addresses), and announces those that are new. To be
    /// called again now and then: link addresses change, and what was announced is announced a second time.
    pub(crate) fn set(&mut self, places: &BTreeSet<Announcement>) {
        let mut sites = HashMap::<u32, Site>::new();
        for &(device, ip) in places {
            if let Some(site) = sites.get_mut(&device) {
                site.addresses.insert(ip);
            } else if let Some(at) = link_address(&mut self.netlink, device) {
                sites.insert(device, Site { at, addresses: BTreeSet::from([ip]) });
            }
        }
        self.shared.sites.store(Arc::new(sites));
        self.join(places);
        let new: Vec<_> = places.difference(&self.places).copied().collect();
        new.iter().for_each(|(device, ip)| info!("answering for {ip} on device {device}"));
        self.places.clone_from(places);
        self.announcer.announce(&new);
        self.announcer.repeat(|place| places.contains(place));
    }

    /// So that the link, which may look at memberships (RFC 4541), brings solicitations here.
    fn join(&mut self, places: &BTreeSet<Announcement>) {
        let group = |&(device, ip): &Announcement| match ip {
            IpAddr::V6(v6) => Some((device, ndp::solicited_node(v6))),
            IpAddr::V4(_) => None,
        };
        let wanted: BTreeSet<_> = places.iter().filter_map(group).collect();
        self.groups.retain(|group, _| wanted.contains(group));
        for (device, group) in wanted {
            if self.groups.contains_key(&(device, group)) {
                continue;
            }
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0));
            match socket.and_then(|socket| socket.join_multicast_v6(&group, device).map(|()| socket)) {
                Ok(socket) => drop(self.groups.insert((device, group), socket)),
                Err(error) => debug!(device, %group, %error, "solicitations may not come here"),
            }
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // Its panic has been told already.
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Listener {
    shared: Arc<Shared>,
    waker: Waker,
    arp: OwnedFd,
    solicitations: OwnedFd,
    link: LinkSocket,
}

impl Listener {
    fn run(self) {
        let mut bytes = [0; 2048];
        while !self.shared.stop.load(Ordering::Relaxed) {
            if let Err(error) = wait(&self.arp, Some(self.solicitations.as_fd()), &self.waker, None) {
                tracing::error!("cannot wait for neighbours who ask, nobody is answered any more: {error}");
                return;
            }
            for (socket, ethertype) in [(&self.arp, libc::ETH_P_ARP), (&self.solicitations, libc::ETH_P_IPV6)]
            {
                self.heed(socket, ethertype as u16, &mut bytes);
            }
        }
    }

    fn heed(&self, socket: &OwnedFd, ethertype: u16, bytes: &mut [u8]) {
        // A device that is down is told once by an error, after which there is more.
        while let Ok(came) = questions::recv(socket, bytes) {
            let frame = &bytes[..came.len];
            if !came.for_us {
                continue;
            }
            let sites = self.shared.sites.load();
            let Some(site) = sites.get(&came.device) else { continue };
            let Some((header, question)) = frame.split_first_chunk::<ETHERNET>() else { continue };
            let send = |to, answer: &[u8]| {
                let header = LinkHeader::between(site.at, to);
                if let Err(error) = self.link.send_bytes(answer, ethertype, came.device, &header) {
                    debug!(device = came.device, %error, "a neighbour is not answered");
                }
            };
            if i32::from(ethertype) == libc::ETH_P_ARP {
                let ours = |ip| site.addresses.contains(&IpAddr::V4(ip));
                if let Some((to, answer)) = arp::answer(question, ours, site.at) {
                    send(to, &answer);
                }
            } else {
                let [.., _, _, _, _, _, _, a, b, c, d, e, f, _, _] = *header;
                let ours = |ip| site.addresses.contains(&IpAddr::V6(ip));
                if let Some((to, answer)) = ndp::answer(question, [a, b, c, d, e, f], ours, site.at) {
                    send(to, &answer);
                }
            }
        }
    }
}
