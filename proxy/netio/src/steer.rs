//! Steering: has the kernel hand packets to and from VIPs to a TUN device, and undoes it exactly.
//!
//! Mechanism only: the caller says what the VIPs and the NAT servers are. Everything follows from that and from the
//! state of the host, and is compared with what the kernel has at each change and every few seconds: a VIP that
//! becomes an address of the host or stops being one, a setting that somebody changes, a rule that somebody
//! deletes. So each step may be repeated at any time.
//!
//! - `rules` and `routes`: which packets go to the device;
//! - `marks`: replies of servers, and what else no rule can tell (nf_tables);
//! - `knobs`: settings, with the values to put back in `journal`;
//! - `rings`: what the kernel is kept from, because rings on the real devices take it (nf_tables);
//! - `proxies`: answering ARP and neighbour solicitations for VIPs that are nobody's address.
//!
//! The cost per packet never grows with the number of services: the rules are constant, there is one route per VIP
//! and one set element per server.
//!
//! Bits of the packet mark that are used, while the others are left as they are: 0x1000_0000 for packets to fronts, 0x2000_0000 for packets on their way
//! to the device, 0x4000_0000 for those of this host's own sockets.
//!
//! What was learnt by experiment (Linux 6.18) and is not obvious:
//! - Early demux gives a packet to the socket of an established connection before it is routed, and `ip_forward`
//!   drops packets that belong to a socket. So connections to other ports of a local VIP would stall, and so would
//!   this host's own connections to a real server. `net.ipv4.ip_early_demux` becomes 0; where that cannot be, nf_tables
//!   marks packets that have a socket here, at the price of a second look-up.
//! - With `rp_filter` on, loose or strict, a packet from a device without any IPv4 address is dropped. Where
//!   `all.rp_filter` is on, the device gets 192.0.0.8/32 (the dummy address of RFC 7600), of scope host so that it is
//!   never chosen as a source.

mod alone;
mod apply;
mod error;
mod events;
pub(crate) mod host;
mod journal;
mod knobs;
mod marks;
mod proxies;
pub(crate) mod rings;
mod routes;
mod rules;
mod step;
mod targets;
mod undo;
mod view;
mod vigil;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tracing::{info, warn};

pub use self::apply::DUMMY;
use self::events::{Event, Events};
use self::host::{Family, Host};
use self::journal::Journal;
use self::knobs::Knobs;
use self::marks::Marks;
use self::proxies::Proxies;
use self::rings::{Ingress, Rings};
use self::rules::Displaced;
use self::vigil::Vigil;
use crate::netlink::NetlinkSocket;

pub use alone::{Alone, Wanted};
pub use error::{Notice, SteerError};
pub(crate) use journal::KIND as NOTES;
pub(crate) use marks::OWN;
pub use rings::{Published, Taken, Taker};
pub use step::{Part, TargetsChange};
pub use targets::{SteerConfig, Targets};
pub use undo::{Report, clean};
pub use view::{HostChange, HostView, Path};

/// Protocol of our rules, routes and proxy entries (`RTPROT_*`): nobody else's, so that they are found again.
pub(crate) const TAG: u8 = 117;

/// Traffic steered into a device. Everything is put back when it is dropped; [`Self::stop`] tells how that went.
#[derive(Debug)]
pub struct Steering {
    config: SteerConfig,
    netlink: NetlinkSocket,
    vigil: Vigil,
    families: Vec<Family>,
    /// Or why there are none.
    marks: Result<Marks, String>,
    rings: Rings,
    journal: Journal,
    knobs: Knobs,
    displaced: Vec<Displaced>,
    proxies: Proxies,
    device_before: host::Device,
    targets: Targets,
    host: Host,
    view: HostView,
    paths: BTreeMap<IpAddr, Path>,
    /// The source that the VIPs' routes have, for each family that has VIPs.
    sources: BTreeMap<Family, Option<IpAddr>>,
    notices: BTreeSet<Notice>,
    change: HostChange,
    /// The last look found or made everything as it should be.
    complete: bool,
    complaint: Option<String>,
    stopped: bool,
}

impl Steering {
    /// Undoes what a dead process left behind, brings the device up and installs everything, for no VIPs yet. Has to
    /// be called in the network namespace of the device and in a tokio runtime; all that follows has to stay on a
    /// thread of that namespace, because `/proc/sys` shows each thread its own.
    ///
    /// # Errors
    /// [`SteerError`]; nothing is left changed then.
    pub fn start(config: SteerConfig) -> Result<Self, SteerError> {
        let mut netlink = NetlinkSocket::open(netlink_sys::protocols::NETLINK_ROUTE)
            .map_err(SteerError::netlink("open a netlink socket"))?;
        let mut journal = Journal::open(&config.state_dir)?;
        let left = undo::undo(&mut netlink, &mut journal, Marks::open(0).ok(), Ingress::unused().ok())?;
        if left.any() {
            info!("undid what an earlier run had left behind: {left}");
        }
        let events = Events::open(netlink.port()).map_err(SteerError::netlink("listen to netlink events"))?;
        let families = Family::available();
        let host =
            Host::read(&mut netlink, &families).map_err(SteerError::netlink("read links and addresses"))?;
        let device_before = host::device(&mut netlink, config.tun_index)
            .map_err(|_| SteerError::DeviceGone { name: config.tun_name.clone() })?;

        let mut steering = Self {
            marks: Err("turned off".to_owned()),
            rings: Rings::default(),
            knobs: Knobs::default(),
            displaced: Vec::new(),
            proxies: Proxies::default(),
            targets: Targets::default(),
            view: HostView::default(),
            paths: BTreeMap::new(),
            sources: BTreeMap::new(),
            notices: BTreeSet::new(),
            // Nobody has been told anything yet.
            change: HostChange { view: true, paths: true, notices: true },
            complete: false,
            complaint: None,
            stopped: false,
            config,
            netlink,
            vigil: Vigil::new(events),
            families,
            journal,
            device_before,
            host,
        };
        if steering.config.nftables {
            steering.marks = Marks::open(steering.config.tun_index).map_err(|e| e.to_string());
            if let Ok(marks) = &steering.marks {
                steering.vigil.pass_over_nftables(marks.port());
            }
        }
        steering.reconcile()?;
        Ok(steering)
    }

    /// Steers these from now on, and nothing else.
    ///
    /// # Errors
    /// [`SteerError`]: as much as possible was done, the rest is tried again with each event.
    pub fn set_targets(&mut self, targets: &Targets) -> Result<(), SteerError> {
        if self.complete && self.vigil.is_quiet() && self.targets == *targets {
            return Ok(());
        }
        self.targets.clone_from(targets);
        self.reconcile()
    }

    /// Waits until the host has changed in a way that the engine should know of. What steering itself needs has been
    /// seen to by then. May be dropped while waiting.
    ///
    /// # Errors
    /// [`SteerError::DeviceGone`]: nothing can be steered any more.
    pub async fn next_change(&mut self) -> Result<HostChange, SteerError> {
        loop {
            if self.change.any() {
                return Ok(std::mem::take(&mut self.change));
            }
            match self.vigil.next().await {
                Event::Nothing => {}
                Event::Route => {
                    self.refresh_paths();
                    if self.targets.ways {
                        self.refresh_view();
                    }
                }
                Event::Anything => self.look_again()?,
            }
        }
    }

    /// What is different already, so that there is nothing to wait for.
    pub fn changed(&mut self) -> HostChange {
        std::mem::take(&mut self.change)
    }

    /// What is steered.
    pub const fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The host as it is now.
    pub const fn host_view(&self) -> &HostView {
        &self.view
    }

    /// Whether the host takes packets to this address for its own: it has the address, or a prefix around it is local.
    pub fn is_local(&self, ip: IpAddr) -> bool {
        self.host.is_local(ip)
    }

    /// How packets get to a server. None where there is no way.
    pub fn path(&self, server: IpAddr) -> Option<Path> {
        self.paths.get(&server).copied()
    }

    /// The host's Ethernet devices that are up, by number, with their names: those that frames come by for the host itself,
    /// so bridges and bonds and not their parts.
    pub fn ethernet(&self) -> impl Iterator<Item = (u32, &str)> {
        self.host.ethernet(self.config.tun_index)
    }

    /// What works less well here than it could.
    pub const fn notices(&self) -> &BTreeSet<Notice> {
        &self.notices
    }

    /// Puts everything back as it was found.
    ///
    /// # Errors
    /// The first failure; all else was tried. [`clean`] can try again.
    pub fn stop(mut self) -> Result<Report, SteerError> {
        self.put_back()
    }

    fn put_back(&mut self) -> Result<Report, SteerError> {
        self.stopped = true;
        // What hangs on open sockets.
        self.proxies = Proxies::default();
        let marks = std::mem::replace(&mut self.marks, Err("stopped".to_owned()));
        let marks = marks.or_else(|_| Marks::open(0)).ok();
        let ingress = self.rings.ingress.take().or_else(|| Ingress::unused().ok());
        let report = undo::undo(&mut self.netlink, &mut self.journal, marks, ingress);
        // It may be gone already, and the address was seldom needed.
        let _ = host::set_host_address(&mut self.netlink, self.config.tun_index, DUMMY, false);
        let _ = self.device_before.apply(&mut self.netlink, self.config.tun_index);
        report
    }

    fn look_again(&mut self) -> Result<(), SteerError> {
        match self.reconcile() {
            Ok(()) => self.complaint = None,
            Err(e @ SteerError::DeviceGone { .. }) => return Err(e),
            Err(e) => {
                let text = e.to_string();
                if self.complaint.as_ref() != Some(&text) {
                    warn!("{text}");
                    self.complaint = Some(text);
                }
            }
        }
        Ok(())
    }

    /// Compares everything with what it should be and sees to the differences. Goes on after a setting that cannot be
    /// changed, and reports it.
    fn reconcile(&mut self) -> Result<(), SteerError> {
        // What was not looked at yet is looked at now.
        self.vigil.looked();
        self.complete = false;
        self.host = Host::read(&mut self.netlink, &self.families)
            .map_err(SteerError::netlink("read links and addresses"))?;
        if !self.host.links.contains_key(&self.config.tun_index) {
            return Err(SteerError::DeviceGone { name: self.config.tun_name.clone() });
        }
        let mut notices = BTreeSet::new();
        let proxies = self.wanted_proxies();
        let (early_demux, settings) = self.apply_settings(&proxies)?;
        self.apply_device()?;
        self.apply_marks(early_demux, &mut notices);
        self.keep_rings(&mut notices);
        self.apply_routes()?;
        self.apply_rules(notices.contains(&Notice::EarlyDemux))?;
        self.apply_proxies(&proxies, &mut notices)?;
        self.refresh_view();
        self.refresh_paths();
        for notice in notices.difference(&self.notices) {
            warn!("{notice}");
        }
        self.change.notices |= notices != self.notices;
        self.notices = notices;
        self.complete = settings.is_ok();
        settings
    }
}

impl Drop for Steering {
    fn drop(&mut self) {
        if !self.stopped
            && let Err(e) = self.put_back()
        {
            warn!("{e}");
        }
    }
}
