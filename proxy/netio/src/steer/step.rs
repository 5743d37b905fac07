//! Small changes of what is steered: what they need, without a look at all the rest. So one more service costs the
//! same however many there are.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::host::Family;
use super::marks::Sets;
use super::routes::{self, Way};
use super::{Event, SteerError, Steering};

/// Some targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Addresses of services.
    pub vips: BTreeSet<IpAddr>,
    /// NAT servers, as [`super::Targets::servers`] has them.
    pub servers: BTreeSet<(u8, SocketAddr)>,
}

/// What is different in the targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetsChange {
    /// What comes.
    pub come: Part,
    /// What goes.
    pub gone: Part,
}

/// More than this is not small: the whole is compared then.
const MOST: usize = 64;

impl Steering {
    /// Steers these in addition, those no longer.
    ///
    /// # Errors
    /// [`SteerError`]: as much as possible was done, the rest is tried again with each event.
    pub fn change_targets(&mut self, change: TargetsChange) -> Result<(), SteerError> {
        let change = self.take_over(change);
        if self.is_small(&change) && self.step(&change).unwrap_or(false) {
            return Ok(());
        }
        let nothing = change == TargetsChange::default();
        if nothing && self.complete && self.dirty == Event::Nothing { Ok(()) } else { self.reconcile() }
    }

    /// Changes the targets, and leaves of the change what is new in it.
    fn take_over(&mut self, mut change: TargetsChange) -> TargetsChange {
        change.come.vips.retain(|vip| self.targets.vips.insert(*vip));
        change.gone.vips.retain(|vip| self.targets.vips.remove(vip));
        change.come.servers.retain(|server| self.targets.servers.insert(*server));
        change.gone.servers.retain(|server| self.targets.servers.remove(server));
        change
    }

    /// Whether nothing but what [`Self::step`] does is needed.
    fn is_small(&self, change: &TargetsChange) -> bool {
        let TargetsChange { come, gone } = change;
        let size = come.vips.len() + come.servers.len() + gone.vips.len() + gone.servers.len();
        let families = |part: &Part| {
            let servers = part.servers.iter().map(|(_, server)| server.ip());
            part.vips.iter().copied().chain(servers).map(Family::of).collect::<BTreeSet<_>>()
        };
        self.complete
            && self.dirty == Event::Nothing
            && self.marks.is_ok()
            && size <= MOST
            // The first of a family and the last need settings.
            && families(come).iter().all(|family| self.sources.contains_key(family))
            && families(gone).iter().all(|family| self.in_use(*family))
            && gone.vips.iter().all(|vip| self.has_other_vips(*vip))
            && come.vips.iter().all(|vip| self.sources.values().all(|source| *source != Some(*vip)))
            // What the engine knows of the host stays as it is.
            && come.vips.iter().chain(&gone.vips).all(|vip| !self.host.is_local(*vip) || self.is_own(*vip))
            && come.vips.iter().all(|vip| {
                self.neighbours(*vip).iter().all(|device| self.proxies.answer_on(*device, *vip))
            })
    }

    /// Whether a family has VIPs left, or had none to begin with.
    fn has_other_vips(&self, gone: IpAddr) -> bool {
        self.targets.vips.iter().any(|vip| Family::of(*vip) == Family::of(gone))
    }

    fn is_own(&self, ip: IpAddr) -> bool {
        self.host.addresses.iter().any(|address| address.ip == ip)
    }

    /// Devices on which somebody may ask for a VIP that is nobody's.
    fn neighbours(&self, vip: IpAddr) -> Vec<u32> {
        if self.host.is_local(vip) {
            return Vec::new();
        }
        self.host.neighbourhood(vip, self.config.tun_index).into_iter().collect()
    }

    /// Returns false where it takes more.
    fn step(&mut self, change: &TargetsChange) -> Result<bool, SteerError> {
        let TargetsChange { come, gone } = change;
        let none = BTreeSet::new();
        let left = Sets::new(&self.others_at(&gone.servers), &BTreeSet::new(), &none);
        let add = Sets::new(&come.servers, &come.vips, &none);
        let remove = Sets::new(&gone.servers, &gone.vips, &none).without(&left);
        let marked = self.marks.as_mut().is_ok_and(|marks| marks.step(add, remove).unwrap_or(false));
        if !marked {
            return Ok(false);
        }
        for &vip in &come.vips {
            let (family, to) = (Family::of(vip), (vip, Family::of(vip).bits()));
            let out = self.way_out(family);
            routes::put(&mut self.netlink, routes::VIPS, to, out)?;
            if !self.host.is_local(vip) {
                let elsewhere = if family == Family::Ipv4 { out } else { Way::here() };
                routes::put(&mut self.netlink, routes::NOBODYS, to, elsewhere)?;
            }
            for device in self.neighbours(vip) {
                let added = self.proxies.add((device, vip), &mut self.netlink);
                added.map_err(SteerError::netlink("answer for a VIP"))?;
            }
        }
        for &vip in &gone.vips {
            let (family, to) = (Family::of(vip), (vip, Family::of(vip).bits()));
            let out = self.way_out(family);
            routes::take(&mut self.netlink, routes::VIPS, to, out)?;
            if !self.host.is_local(vip) {
                let elsewhere = if family == Family::Ipv4 { out } else { Way::here() };
                routes::take(&mut self.netlink, routes::NOBODYS, to, elsewhere)?;
            }
            for device in self.neighbours(vip) {
                self.proxies.take((device, vip), &mut self.netlink)?;
            }
        }
        let servers = come.servers.iter().map(|(_, server)| server.ip()).collect();
        let paths = self.paths_to(servers);
        self.paths.extend(paths);
        let left: BTreeSet<_> = self.others_at(&gone.servers).iter().map(|(_, addr)| addr.ip()).collect();
        for (_, server) in &gone.servers {
            if !left.contains(&server.ip()) {
                self.paths.remove(&server.ip());
            }
        }
        Ok(true)
    }

    fn way_out(&self, family: Family) -> Way {
        Way::through(self.config.tun_index, self.sources.get(&family).copied().flatten())
    }

    /// All servers that are steered and have an address of one of these.
    fn others_at(&self, servers: &BTreeSet<(u8, SocketAddr)>) -> BTreeSet<(u8, SocketAddr)> {
        const PROTOCOLS: [u8; 4] =
            [0, libc::IPPROTO_TCP as u8, libc::IPPROTO_UDP as u8, libc::IPPROTO_SCTP as u8];
        let at = |ip: IpAddr| {
            PROTOCOLS.into_iter().flat_map(move |protocol| {
                let [first, last] = [0, u16::MAX].map(|port| (protocol, SocketAddr::new(ip, port)));
                self.targets.servers.range(first..=last).copied()
            })
        };
        servers.iter().flat_map(|(_, server)| at(server.ip())).collect()
    }
}
