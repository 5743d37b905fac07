//! From targets and host to what the kernel should have, one kind of object at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tracing::info;

use super::host::{self, Device, Family, Host};
use super::knobs::{Wanted, is_unknown};
use super::marks::{Marks, Sets};
use super::proxies::Proxy;
use super::routes::{self, Routes, Way};
use super::rules::{Found, Plan};
use super::{HostView, Notice, Path, SteerError, Steering};
use crate::netlink::NetlinkSocket;
use crate::netlink::route::{self, Question};
use crate::sysctl::{Group, Knob};

/// "IPv4 dummy address" (RFC 7600 section 4.8): means nothing to anybody else.
pub const DUMMY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8));

/// Packets that the device queues for us; the default of 500 is lost in one burst.
const QUEUE: u32 = 10_000;
/// MTU of the TUN device in bytes: at least Ethernet's, and no more than a TUN takes.
const LEAST_MTU: u32 = 1500;
const MOST_MTU: u32 = 65_535;

impl Steering {
    /// Addresses that packets are for: VIPs, and local addresses that are nobody else's.
    pub(super) fn destinations(&self) -> BTreeSet<IpAddr> {
        let lips = self.targets.lips.iter().filter(|lip| !self.host.is_local(**lip));
        self.targets.vips.iter().chain(lips).copied().collect()
    }

    /// Where neighbours have to be answered.
    pub(super) fn wanted_proxies(&self) -> BTreeSet<Proxy> {
        let nobodys = self.destinations().into_iter().filter(|vip| !self.host.is_local(*vip));
        nobodys
            .flat_map(|vip| {
                self.host
                    .neighbourhood(vip, self.config.tun_index)
                    .into_iter()
                    .map(move |device| (device, vip))
            })
            .collect()
    }

    /// Returns whether early demux stays on, and the first setting that is indispensable and cannot be had.
    ///
    /// # Errors
    /// What was there cannot be written down.
    pub(super) fn apply_settings(
        &mut self,
        proxies: &BTreeSet<Proxy>,
    ) -> Result<(bool, Result<(), SteerError>), SteerError> {
        let (want, mut result) = self.wanted_settings(proxies);
        let mut early_demux = false;
        let failures =
            self.knobs.become_(&want, &self.host, &mut self.netlink, &mut self.journal, &self.displaced)?;
        for (knob, failure) in failures {
            let missing = matches!(&failure, SteerError::Setting { source, .. } if is_unknown(source));
            match knob.key.as_str() {
                "ip_early_demux" => early_demux = !missing,
                // IPv6 is off on the device, or it has just gone.
                "force_forwarding" | "forwarding" if missing => {}
                "force_forwarding" => {
                    let reason = failure.reason();
                    result = result.and(Err(SteerError::Ipv6Forwarding { reason }));
                }
                "forwarding" | "accept_local" | "rp_filter" => {
                    result = result.and(Err(failure));
                }
                "disable_ipv6" if self.in_use(Family::Ipv6) => result = result.and(Err(failure)),
                // A little noise on the device, a little delay: nothing that matters.
                _ => tracing::debug!("{failure}"),
            }
        }
        Ok((early_demux, result))
    }

    fn wanted_settings(&self, proxies: &BTreeSet<Proxy>) -> (Wanted, Result<(), SteerError>) {
        let tun = self.config.tun_index;
        let mut want = Wanted::new();
        let mut set = |group, key: &str, device, value| {
            want.insert(Knob::new(group, key, device), value);
        };
        let mut result = Ok(());
        set(Group::Ipv4Conf, "forwarding", tun, 1);
        set(Group::Ipv4Conf, "accept_local", tun, 1);
        // The kernel goes by the larger one of `all` and the device's. Off is cheapest; loose needs an address.
        set(Group::Ipv4Conf, "rp_filter", tun, if self.checks_reverse_path() { 2 } else { 0 });
        if self.in_use(Family::Ipv4) {
            self.others().for_each(|device| set(Group::Ipv4Conf, "forwarding", device, 1));
        }
        if self.families.contains(&Family::Ipv6) {
            set(Group::Ipv6Conf, "disable_ipv6", tun, 0);
            set(Group::Ipv6Conf, "accept_ra", tun, 0);
            set(Group::Ipv6Conf, "addr_gen_mode", tun, 1);
        }
        if self.in_use(Family::Ipv6) && all(Group::Ipv6Conf, "forwarding") == Some(0) {
            if all(Group::Ipv6Conf, "force_forwarding").is_some() {
                set(Group::Ipv6Conf, "force_forwarding", tun, 1);
                self.others().for_each(|device| set(Group::Ipv6Conf, "force_forwarding", device, 1));
            } else {
                let reason =
                    "this kernel is older than Linux 6.17, which can turn it on per device".to_owned();
                result = Err(SteerError::Ipv6Forwarding { reason });
            }
        }
        if self.in_use(Family::Ipv4) || self.in_use(Family::Ipv6) {
            set(Group::Ipv4, "ip_early_demux", 0, 0);
        }
        for &(device, vip) in proxies {
            let group = if vip.is_ipv4() { Group::Ipv4Neigh } else { Group::Ipv6Neigh };
            set(group, "proxy_delay", device, 0);
        }
        (want, result)
    }

    /// Brings the device up as it should be.
    pub(super) fn apply_device(&mut self) -> Result<(), SteerError> {
        let tun = self.config.tun_index;
        let gone = |_| SteerError::DeviceGone { name: self.config.tun_name.clone() };
        let now = host::device(&mut self.netlink, tun).map_err(gone)?;
        let want = Device { up: true, mtu: self.device_mtu(), queue: QUEUE };
        if now != want {
            want.apply(&mut self.netlink, tun).map_err(SteerError::netlink("bring the TUN device up"))?;
            info!("{} is up: mtu {}, txqueuelen {QUEUE}", self.config.tun_name, want.mtu);
        }
        let has = self.host.addresses.iter().any(|address| address.device == tun && address.ip == DUMMY);
        if has != self.checks_reverse_path() {
            host::set_host_address(&mut self.netlink, tun, DUMMY, !has)
                .map_err(SteerError::netlink("give the TUN device its address"))?;
        }
        Ok(())
    }

    /// The MTU of the widest device of the host: what has come in on it must fit through ours.
    fn device_mtu(&self) -> u32 {
        let links =
            self.host.links.iter().filter(|(index, link)| **index != self.config.tun_index && !link.loopback);
        links.map(|(_, link)| link.mtu).fold(LEAST_MTU, u32::max).min(MOST_MTU)
    }

    pub(super) fn apply_marks(&mut self, early_demux: bool, notices: &mut BTreeSet<Notice>) {
        let guarded = self.host.links.keys().flat_map(|&device| {
            let turned_on = |group, key| self.knobs.turned_on(&Knob::new(group, key, device));
            let v4 = turned_on(Group::Ipv4Conf, "forwarding").then_some((Family::Ipv4, device));
            let v6 = turned_on(Group::Ipv6Conf, "force_forwarding").then_some((Family::Ipv6, device));
            v4.into_iter().chain(v6)
        });
        let guarded = guarded.filter(|(_, device)| *device != self.config.tun_index).collect();
        let sets = Sets::new(
            &self.targets.servers,
            &self.targets.one_way,
            &self.destinations(),
            &guarded,
            &self.targets.fronts,
        );
        if let Ok(marks) = &mut self.marks {
            marks.tell_sockets_apart(early_demux);
            marks.expect_front_sockets(self.targets.front_sockets);
            match marks.become_(sets) {
                Ok(false) => {}
                Ok(true) => info!("nftables: {} servers in table inet ulvs", self.targets.servers.len()),
                // For good: rules that change their kind with every hiccup would be worse.
                Err(e) => self.marks = Err(e.to_string()),
            }
        }
        match &self.marks {
            Ok(marks) if early_demux && !marks.sockets() => {
                notices.insert(Notice::EarlyDemux);
            }
            Ok(_) => {}
            Err(reason) => {
                notices.insert(Notice::NoNftables { reason: reason.clone() });
                notices.extend(early_demux.then_some(Notice::EarlyDemux));
            }
        }
    }

    pub(super) fn apply_routes(&mut self) -> Result<(), SteerError> {
        let tun = self.config.tun_index;
        self.sources.clear();
        let destinations = self.destinations();
        for &family in &self.families {
            let vips: Vec<_> =
                destinations.iter().copied().filter(|vip| Family::of(*vip) == family).collect();
            let prefixes: Vec<_> =
                self.targets.prefixes.iter().copied().filter(|(ip, _)| Family::of(*ip) == family).collect();
            let source = if vips.is_empty() && prefixes.is_empty() {
                None
            } else {
                let servers = self.targets.server_ips();
                let server = servers.into_iter().find(|ip| Family::of(*ip) == family);
                let vips = &self.targets.vips;
                let source = routes::source(&mut self.netlink, &self.host, family, tun, vips, server);
                self.sources.insert(family, source);
                source
            };
            let out = Way::through(tun, source);
            let elsewhere = if family == Family::Ipv4 { out } else { Way::here() };
            let host = |vip: &IpAddr| (*vip, family.bits());
            let to = |vips: &[IpAddr], prefixes: &[(IpAddr, u8)], way| {
                vips.iter()
                    .map(host)
                    .chain(prefixes.iter().copied())
                    .map(|to| (Some(to), way))
                    .collect::<Routes>()
            };
            let nobodys: Vec<_> = vips.iter().copied().filter(|vip| !self.host.is_local(*vip)).collect();
            let fronts: BTreeSet<_> = self.targets.fronts.iter().map(SocketAddr::ip).collect();
            let fronts: Vec<_> = fronts.into_iter().filter(|vip| Family::of(*vip) == family).collect();
            let mut changes = 0;
            for (table, want) in [
                (routes::RETURN, Routes::from([(None, Way::through(tun, None))])),
                (routes::VIPS, to(&vips, &prefixes, out)),
                (routes::NOBODYS, to(&nobodys, &[], elsewhere)),
                (routes::FRONTS, to(&fronts, &[], Way::here())),
            ] {
                changes += routes::become_(&mut self.netlink, family, table, &want)?;
            }
            if changes > 0 {
                let count = vips.len() + prefixes.len();
                info!("{family:?}: routes for {count} addresses to {}", self.config.tun_name);
            }
        }
        Ok(())
    }

    pub(super) fn apply_rules(&mut self, local_first: bool) -> Result<(), SteerError> {
        for &family in &self.families {
            let found = Found::read(&mut self.netlink, family)?;
            let plan = Plan {
                family,
                tun: &self.config.tun_name,
                marks: self.marks.is_ok(),
                sockets: self.marks.as_ref().is_ok_and(Marks::sockets),
                local_first,
                local_at_0: found.local_at_0.is_some() || self.displaced.iter().any(|d| d.family == family),
                servers: &self.targets.servers,
                fronts: &self.targets.fronts,
            };
            let changes = found.become_(&mut self.netlink, &plan.rules())?;
            if changes > 0 {
                info!(
                    "{family:?}: {changes} policy routing rules changed (`ip rule show proto {}`)",
                    super::TAG
                );
            }
            if let Some(rule) = found.local_at_0 {
                if !self.displaced.iter().any(|d| d.family == family) {
                    self.displaced.push(rule);
                    self.journal.write(self.knobs.held(), &self.displaced)?;
                }
                rule.remove(&mut self.netlink)?;
                info!("{family:?}: moved the rule `lookup local` from preference 0 behind ours");
            }
        }
        Ok(())
    }

    pub(super) fn apply_proxies(
        &mut self,
        want: &BTreeSet<Proxy>,
        notices: &mut BTreeSet<Notice>,
    ) -> Result<(), SteerError> {
        for ((device, vip), reason) in self.proxies.become_(want, &self.host, &mut self.netlink)? {
            let device = self.host.links.get(&device).map_or_else(String::new, |link| link.name.clone());
            notices.insert(Notice::Unanswered { vip, device, reason: reason.to_string() });
        }
        Ok(())
    }

    pub(super) fn refresh_view(&mut self) {
        let mut local = self.host.own();
        local.remove(&DUMMY);
        let known = self.targets.vips.iter().chain(&self.targets.lips);
        local.extend(known.filter(|ip| self.host.is_local(**ip)));
        let view = HostView {
            local,
            closed4: self.is_closed(Group::Ipv4Conf, "forwarding"),
            closed6: self.is_closed(Group::Ipv6Conf, "force_forwarding"),
            subnets: self.host.subnets(self.config.tun_index),
            ways: if self.targets.ways {
                routes::ways(&mut self.netlink, &self.families, &self.host)
            } else {
                Vec::new()
            },
        };
        self.change.view |= view != self.view;
        self.view = view;
    }

    pub(super) fn refresh_paths(&mut self) {
        let paths = paths(&mut self.netlink, &self.host, self.targets.server_ips());
        self.change.paths |= paths != self.paths;
        self.paths = paths;
    }

    pub(super) fn in_use(&self, family: Family) -> bool {
        let of_family = |ip: IpAddr| Family::of(ip) == family;
        self.targets.vips.iter().chain(&self.targets.lips).any(|ip| of_family(*ip))
            || self.targets.prefixes.iter().any(|(ip, _)| of_family(*ip))
            || self.targets.servers.iter().any(|(_, server)| of_family(server.ip()))
            || self.targets.one_way.iter().any(|server| of_family(*server))
    }

    /// Whether we have turned this on for every other device.
    fn is_closed(&self, group: Group, key: &str) -> bool {
        let mut others = self.others().peekable();
        others.peek().is_some() && others.all(|device| self.knobs.turned_on(&Knob::new(group, key, device)))
    }

    /// Devices that are up and lead to somebody else.
    fn others(&self) -> impl Iterator<Item = u32> {
        let tun = self.config.tun_index;
        let links = self.host.links.iter();
        links
            .filter(move |(index, link)| **index != tun && link.up && !link.loopback)
            .map(|(index, _)| *index)
    }

    fn checks_reverse_path(&self) -> bool {
        all(Group::Ipv4Conf, "rp_filter").is_some_and(|value| value != 0)
    }
}

/// The paths to these servers, as far as there is a way.
pub(super) fn paths(
    netlink: &mut NetlinkSocket,
    host: &Host,
    servers: BTreeSet<IpAddr>,
) -> BTreeMap<IpAddr, Path> {
    let mut of_devices = BTreeMap::new();
    let path = |ip| {
        let answer = route::ask(netlink, &Question::to(ip)).ok()?;
        let (index, family) = (answer.device?, Family::of(ip));
        let device = host.links.get(&index)?;
        let widest = *of_devices.entry((index, family)).or_insert_with(|| device.mtu_of(family));
        let path = Path {
            device: index,
            next_hop: answer.gateway.unwrap_or(ip),
            source: answer.source,
            mtu: answer.mtu.unwrap_or(device.mtu).min(widest),
        };
        Some((ip, path))
    };
    servers.into_iter().filter_map(path).collect()
}

/// The value for all devices.
fn all(group: Group, key: &str) -> Option<i64> {
    Knob::new(group, key, 0).at("all").read().ok()
}
