//! Small changes of what is steered: what they need, without a look at all the rest. So one more service costs the
//! same however many there are.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::host::Family;
use super::marks::Sets;
use super::routes::{self, Way};
use super::{SteerError, Steering, apply};

/// Some targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Addresses of services.
    pub vips: BTreeSet<IpAddr>,
    /// Services, as [`super::Targets::services`] has them.
    pub services: BTreeSet<(u8, SocketAddr)>,
    /// NAT servers, as [`super::Targets::servers`] has them.
    pub servers: BTreeSet<(u8, SocketAddr)>,
    /// Servers that answer past us, as [`super::Targets::one_way`] has them.
    pub one_way: BTreeSet<IpAddr>,
}

impl Part {
    fn len(&self) -> usize {
        self.vips.len() + self.services.len() + self.servers.len() + self.one_way.len()
    }

    fn server_ips(&self) -> impl Iterator<Item = IpAddr> {
        self.servers.iter().map(|(_, server)| server.ip()).chain(self.one_way.iter().copied())
    }
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
        if nothing && self.complete && self.vigil.is_quiet() { Ok(()) } else { self.reconcile() }
    }

    /// Changes the targets, and leaves of the change what is new in it.
    fn take_over(&mut self, mut change: TargetsChange) -> TargetsChange {
        change.come.vips.retain(|vip| self.targets.vips.insert(*vip));
        change.gone.vips.retain(|vip| self.targets.vips.remove(vip));
        change.come.services.retain(|service| self.targets.services.insert(*service));
        change.gone.services.retain(|service| self.targets.services.remove(service));
        change.come.servers.retain(|server| self.targets.servers.insert(*server));
        change.gone.servers.retain(|server| self.targets.servers.remove(server));
        change.come.one_way.retain(|server| self.targets.one_way.insert(*server));
        change.gone.one_way.retain(|server| self.targets.one_way.remove(server));
        change
    }

    /// Whether nothing but what [`Self::step`] does is needed.
    fn is_small(&self, change: &TargetsChange) -> bool {
        let TargetsChange { come, gone } = change;
        let families = |part: &Part| {
            part.vips.iter().copied().chain(part.server_ips()).map(Family::of).collect::<BTreeSet<_>>()
        };
        self.complete
            && self.vigil.is_quiet()
            && self.marks.is_ok()
            && come.len() + gone.len() <= MOST
            // The first of a family and the last need settings.
            && families(come).iter().all(|family| self.sources.contains_key(family))
            && families(gone).iter().all(|family| self.in_use(*family))
            && gone.vips.iter().all(|vip| self.has_other_vips(*vip) && !self.targets.lips.contains(vip))
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
        // Those go the long way.
        let (none, no_fronts) = (BTreeSet::new(), BTreeSet::new());
        let others = self.others_at(gone.server_ips());
        let one_way = &self.targets.one_way;
        let one_way_left = gone.server_ips().filter(|ip| one_way.contains(ip)).collect();
        let left = Sets::new(&others, &one_way_left, &BTreeSet::new(), &none, &no_fronts);
        let add = Sets::new(&come.servers, &come.one_way, &come.vips, &none, &no_fronts);
        let remove = Sets::new(&gone.servers, &gone.one_way, &gone.vips, &none, &no_fronts).without(&left);
        let marked = self.marks.as_mut().is_ok_and(|marks| marks.step(add, remove).unwrap_or(false));
        if !marked || !self.step_rings(change, &others) {
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
        let paths = apply::paths(&mut self.netlink, &self.host, come.server_ips().collect());
        self.paths.extend(paths);
        let left: BTreeSet<_> = others.iter().map(|(_, addr)| addr.ip()).chain(one_way_left).collect();
        gone.server_ips().filter(|ip| !left.contains(ip)).for_each(|ip| {
            self.paths.remove(&ip);
        });
        Ok(true)
    }

    fn way_out(&self, family: Family) -> Way {
        Way::through(self.config.tun_index, self.sources.get(&family).copied().flatten())
    }

    /// All servers whose replies are steered and that have one of these addresses.
    fn others_at(&self, ips: impl Iterator<Item = IpAddr>) -> BTreeSet<(u8, SocketAddr)> {
        const PROTOCOLS: [u8; 4] =
            [0, libc::IPPROTO_TCP as u8, libc::IPPROTO_UDP as u8, libc::IPPROTO_SCTP as u8];
        let at = |ip: IpAddr| {
            PROTOCOLS.into_iter().flat_map(move |protocol| {
                let [first, last] = [0, u16::MAX].map(|port| (protocol, SocketAddr::new(ip, port)));
                self.targets.servers.range(first..=last).copied()
            })
        };
        ips.flat_map(at).collect()
    }
}
