//! A host that is left as it is, for want of the right to change it: rings on its devices get a copy of all packets, and
//! nothing else hands any over. This sees to it that the kernel has nothing to say about them, and knows of the host what
//! [`super::Steering`] knows.
//!
//! - At addresses of the host's own the kernel is kept silent by sockets ([`crate::silence`]): one for each service, and one
//!   for each port that servers are spoken to from (FullNAT).
//! - For addresses that are nobody's, and packets between two others, it has nothing to say unless it forwards, or knows no
//!   way for IPv6: whether it does is told ([`Alone::forwards`], [`Alone::without_route`]), and it is for the caller not to have
//!   any then.
//! - Neighbours who ask for addresses that are nobody's are answered ([`Responder`]).
//! - Clients on this host itself are refused ([`crate::silence`]).
//!
//! All of that ends with the process, whatever its end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use tracing::{info, warn};

use super::events::Events;
use super::host::{Family, Host};
use super::vigil::Vigil;
use super::{HostChange, HostView, Path, SteerError, Targets, apply, routes};
use crate::link::{Announcement, Responder};
use crate::netlink::NetlinkSocket;
use crate::netlink::route::{Question, ask};
use crate::silence::{NotSilent, Port, Refuser, Silence};
use crate::sysctl::{Group, Knob};

/// So many ports of each local address of the host's own: each costs a socket for TCP and one for UDP.
const POOL: usize = 1024;
/// Descriptors that are left to everything else.
const SPARE: usize = 256;

/// What the rings take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// As for [`super::Steering::set_targets`].
    pub targets: Targets,
    /// Servers that are spoken to from an address of the host's own, as they have been given no other.
    pub spoken_to: BTreeSet<IpAddr>,
    /// Ports that the host does not use itself: from among them those of local addresses of its own are chosen, the last
    /// ones first.
    pub ports: Vec<u16>,
}

/// The host. Belongs to the network namespace of the thread that made it.
#[derive(Debug)]
pub struct Alone {
    netlink: NetlinkSocket,
    vigil: Vigil,
    families: Vec<Family>,
    host: Host,
    wanted: Wanted,
    view: HostView,
    /// What makes it forward IPv4, and IPv6.
    forwarding: [Option<String>; 2],
    paths: BTreeMap<IpAddr, Path>,
    silence: Silence,
    refuser: Refuser,
    /// Ports that are held at each of these addresses.
    pool: BTreeSet<u16>,
    lips: BTreeSet<IpAddr>,
    responder: Responder,
    notices: BTreeSet<String>,
    change: HostChange,
}

impl Alone {
    /// Takes nothing yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// No `CAP_NET_RAW`; what netlink says.
    pub fn start() -> Result<Self, SteerError> {
        let mut netlink = NetlinkSocket::open(netlink_sys::protocols::NETLINK_ROUTE)
            .map_err(SteerError::netlink("open a netlink socket"))?;
        let events = Events::open(netlink.port()).map_err(SteerError::netlink("listen to netlink events"))?;
        let families = Family::available();
        let host =
            Host::read(&mut netlink, &families).map_err(SteerError::netlink("read links and addresses"))?;
        let responder = Responder::start().map_err(SteerError::netlink("hear neighbours who ask"))?;
        let refuser = Refuser::start().map_err(SteerError::netlink("hear clients on this host"))?;
        // As many as may be had: what there is of them is looked at when it matters.
        let _ = crate::process::raise_open_files();
        let mut alone = Self {
            netlink,
            vigil: Vigil::new(events),
            families,
            host,
            wanted: Wanted::default(),
            view: HostView::default(),
            forwarding: [None, None],
            paths: BTreeMap::new(),
            silence: Silence::default(),
            refuser,
            pool: BTreeSet::new(),
            lips: BTreeSet::new(),
            responder,
            notices: BTreeSet::new(),
            // Nobody has been told anything yet.
            change: HostChange { view: true, paths: true, notices: true },
        };
        alone.refresh();
        Ok(alone)
    }

    /// Keeps the kernel silent about these besides what it is silent about already. To be called before the rings take them.
    /// Says whether there was anything to do.
    ///
    /// # Errors
    /// A service at an address of the host's own that the kernel would go on answering; nothing has changed then.
    pub fn foresee(&mut self, wanted: &Wanted) -> Result<bool, NotSilent> {
        let mut new = false;
        for port in &wanted.targets.services {
            match self.hold(*port) {
                Ok(held) => new |= held,
                Err(error) => {
                    self.let_go();
                    return Err(error);
                }
            }
        }
        Ok(self.fill_pool(wanted) || new)
    }

    /// One of these addresses of IPv6 that are nobody's and that the host has no route to: its kernel would say so to whoever
    /// sends to them, though it does not forward.
    pub fn without_route(&mut self, vips: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        let netlink = &mut self.netlink;
        let nobodys = vips.iter().filter(|vip| vip.is_ipv6() && !self.host.is_local(**vip));
        nobodys.copied().find(|vip| ask(netlink, &Question::to(*vip)).is_err())
    }

    /// Goes on with these and no others.
    pub fn set(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        self.look_again();
    }

    /// Waits until the host has changed in a way that matters. May be dropped while waiting.
    pub async fn next_change(&mut self) -> HostChange {
        loop {
            if self.change.any() {
                return std::mem::take(&mut self.change);
            }
            self.vigil.next().await;
            self.look_again();
        }
    }

    /// What is different already, so that there is nothing to wait for.
    pub fn changed(&mut self) -> HostChange {
        std::mem::take(&mut self.change)
    }

    /// What is taken.
    pub const fn targets(&self) -> &Targets {
        &self.wanted.targets
    }

    /// The host as it is now.
    pub const fn host_view(&self) -> &HostView {
        &self.view
    }

    /// As [`super::Steering::is_local`].
    pub fn is_local(&self, ip: IpAddr) -> bool {
        self.host.is_local(ip)
    }

    /// As [`super::Steering::path`].
    pub fn path(&self, server: IpAddr) -> Option<Path> {
        self.paths.get(&server).copied()
    }

    /// As [`super::Steering::ethernet`].
    pub fn ethernet(&self) -> impl Iterator<Item = (u32, &str)> {
        self.host.ethernet(0)
    }

    /// Ports of local addresses of the host's own at which the kernel is silent.
    pub fn pool(&self) -> Vec<u16> {
        self.pool.iter().copied().collect()
    }

    /// The local addresses of the host's own that they are for.
    pub const fn lips(&self) -> &BTreeSet<IpAddr> {
        &self.lips
    }

    /// What works less well here than it could.
    pub const fn notices(&self) -> &BTreeSet<String> {
        &self.notices
    }

    /// The setting by which the kernel forwards packets of this family, and answers what it cannot forward.
    pub fn forwards(&self, of: IpAddr) -> Option<&str> {
        self.forwarding[usize::from(of.is_ipv6())].as_deref()
    }

    fn look_at_forwarding(&self, family: Family) -> Option<String> {
        let on = |knob: Knob, at: &str| {
            let knob = knob.at(at);
            knob.read().is_ok_and(|value| value != 0).then(|| knob.to_string())
        };
        let mut devices = self.host.links.iter().filter(|(_, link)| link.up && !link.loopback);
        if family == Family::Ipv4 {
            devices.find_map(|(index, link)| on(Knob::new(Group::Ipv4Conf, "forwarding", *index), &link.name))
        } else {
            on(Knob::new(Group::Ipv6Conf, "forwarding", 0), "all").or_else(|| {
                devices.find_map(|(index, link)| {
                    on(Knob::new(Group::Ipv6Conf, "force_forwarding", *index), &link.name)
                })
            })
        }
    }

    /// Holds what can be held at an address; what is not the host's need not be.
    fn hold(&mut self, (protocol, addr): (u8, SocketAddr)) -> Result<bool, NotSilent> {
        let mut new = false;
        for (protocol, addr) in super::marks::one_by_one(protocol, addr) {
            match self.silence.hold((protocol, addr)) {
                Ok(held) => new |= held,
                Err(_) if !self.host.is_local(addr.ip()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(new)
    }

    /// What is neither a service's nor of the pool is the kernel's again.
    fn let_go(&mut self) {
        let services = &self.wanted.targets.services;
        let services: BTreeSet<_> =
            services.iter().flat_map(|(protocol, at)| super::marks::one_by_one(*protocol, *at)).collect();
        self.refuser.set(&services);
        let lips = &self.lips;
        let pool = self.pool.iter().flat_map(|port| lips.iter().flat_map(|lip| at(*lip, *port)));
        self.silence.keep(services.into_iter().chain(pool));
    }

    /// Holds ports at the local addresses of the host's own. Addresses once used stay: connections may have them.
    fn fill_pool(&mut self, wanted: &Wanted) -> bool {
        let netlink = &mut self.netlink;
        let sources =
            wanted.spoken_to.iter().filter_map(|server| ask(netlink, &Question::to(*server)).ok()?.source);
        let lips: BTreeSet<_> = sources.chain(wanted.targets.lips.iter().copied()).collect();
        let before = self.lips.len();
        self.lips.extend(lips.iter().filter(|lip| self.host.is_local(**lip)));
        if self.lips.len() == before {
            return false;
        }
        let room = crate::process::open_files()
            .unwrap_or(usize::MAX)
            .saturating_sub(SPARE + wanted.targets.services.len());
        let known = std::mem::take(&mut self.pool);
        let most = POOL.min(room / (2 * self.lips.len())).max(known.len());
        let candidates =
            known.iter().rev().chain(wanted.ports.iter().rev().filter(|port| !known.contains(port)));
        for port in candidates {
            if self.pool.len() >= most {
                break;
            }
            let held = self
                .lips
                .iter()
                .flat_map(|lip| at(*lip, *port))
                .try_for_each(|at| self.silence.hold(at).map(drop));
            match held {
                Ok(()) => {
                    self.pool.insert(*port);
                }
                Err(error) if error.is_exhaustion() => {
                    warn!("{error}");
                    break;
                }
                // Somebody else has it.
                Err(_) => {}
            }
        }
        let addresses: Vec<_> = self.lips.iter().map(ToString::to_string).collect();
        info!(
            "servers are spoken to from {} ports of {}: at each a socket keeps the kernel silent",
            self.pool.len(),
            addresses.join(", ")
        );
        true
    }

    /// Takes in what the host is like now.
    fn look_again(&mut self) {
        self.vigil.looked();
        let mut notices = BTreeSet::new();
        match Host::read(&mut self.netlink, &self.families) {
            Ok(host) => self.host = host,
            Err(error) => {
                notices.insert(format!("cannot read links and addresses, trying again: {error}"));
            }
        }
        let wanted = std::mem::take(&mut self.wanted);
        notices.extend(self.without_route(&wanted.targets.vips).map(|vip| {
            format!("there is no route to the VIP {vip} any more: this host's kernel tells clients so, who believe it")
        }));
        for port in &wanted.targets.services {
            notices.extend(self.hold(*port).err().map(|error| error.to_string()));
        }
        let pool = self.fill_pool(&wanted);
        self.wanted = wanted;
        self.let_go();
        self.responder.set(&self.places());
        self.refresh();
        for notice in notices.difference(&self.notices) {
            warn!("{notice}");
        }
        self.change.notices |= pool || notices != self.notices;
        self.notices = notices;
    }

    /// Where addresses that nobody has are told of and answered for: on the links in whose subnets they lie.
    fn places(&self) -> BTreeSet<Announcement> {
        let targets = &self.wanted.targets;
        let nobodys = targets.vips.iter().chain(&targets.lips).filter(|ip| !self.host.is_local(**ip));
        nobodys
            .flat_map(|ip| self.host.neighbourhood(*ip, 0).into_iter().map(|device| (device, *ip)))
            .collect()
    }

    fn refresh(&mut self) {
        let targets = &self.wanted.targets;
        let local = targets.vips.iter().chain(&targets.lips).filter(|ip| self.host.is_local(**ip));
        let view = HostView {
            local: self.host.own().into_iter().chain(local.copied()).collect(),
            // Nothing comes here that is to be given back.
            closed4: false,
            closed6: false,
            subnets: self.host.subnets(0),
            ways: if targets.ways {
                routes::ways(&mut self.netlink, &self.families, &self.host)
            } else {
                Vec::new()
            },
        };
        let forwarding = [Family::Ipv4, Family::Ipv6].map(|family| self.look_at_forwarding(family));
        self.change.view |= view != self.view || forwarding != self.forwarding;
        (self.view, self.forwarding) = (view, forwarding);
        let paths = apply::paths(&mut self.netlink, &self.host, targets.server_ips());
        self.change.paths |= paths != self.paths;
        self.paths = paths;
    }
}

/// What is held for a port of the pool.
fn at(lip: IpAddr, port: u16) -> [Port; 2] {
    [libc::IPPROTO_TCP, libc::IPPROTO_UDP].map(|protocol| (protocol as u8, SocketAddr::new(lip, port)))
}
