//! Where traffic is steered, and what the engine knows of the host.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use control::settings::Sysctl;
use engine::HostView;
use netio::link::NextHop;
use netio::steer::{Targets, TargetsChange};
use sched::marks::Prefix;
use sched::{ForwardMethod, Path, Proto, ReplySource, Service, ServiceTable};
use wire::packet::Family;

use super::ground::Ground;
use super::{Director, taken};
use crate::daemon::{local_ports, marks, methods};

impl Director {
    /// Tells the engine what it does not know of the host yet: packets of the host's own connections to a VIP that is
    /// its address would be refused.
    pub(super) fn prepare(&mut self, before: &ServiceTable) {
        let table = self.engine.services();
        let host = self.engine.host();
        let mut vips = before.changes(&table).filter_map(|(_, new)| new?.key.vip());
        let unknown = vips.any(|vip| self.ground.is_local(vip) && !host.is_local(vip));
        if self.ground.changed().any() || unknown {
            self.tell_engine();
        }
    }

    /// Brings steering in line with the table, and tells the engine about the host. Costs what is different from the
    /// table before.
    pub(super) fn steer(&mut self, before: &ServiceTable) -> anyhow::Result<()> {
        let table = self.engine.services();
        let rules_changed = !Arc::ptr_eq(before.marks(), table.marks());
        let changed = || before.changes(&table).flat_map(|(old, new)| old.into_iter().chain(new));
        let of_mark = changed().any(|service| service.key.vip().is_none());
        let lips_changed = self.heed_lips(before, &table);
        let fronts = self.fronts.addresses();
        let targets = self.ground.targets();
        let fronts_changed = fronts != targets.fronts || self.fronts.any() != targets.front_sockets;
        let all = fronts_changed || rules_changed || lips_changed || of_mark && !table.marks().is_empty();
        let steered = match &mut self.ground {
            Ground::Steered(steering) if !all => {
                let mut change = TargetsChange::default();
                for vip in changed().filter_map(|service| service.key.vip()) {
                    let part = if table.is_vip(vip) { &mut change.come } else { &mut change.gone };
                    part.vips.insert(vip);
                }
                let keys = before.changes(&table).filter_map(|(old, new)| Some(new.or(old)?.key));
                for (key, service) in keys.filter_map(|key| Some((key, taken::of_service(&key)?))) {
                    let wanted =
                        table.get(&key).is_some() || taken::of_marks(&table).any(|other| other == service);
                    let part = if wanted { &mut change.come } else { &mut change.gone };
                    part.services.insert(service);
                }
                let forgotten = std::mem::take(&mut self.forgotten);
                for source in changed().flat_map(|service| service.reply_sources()).chain(forgotten) {
                    // Connections of removed servers go on in the other direction until they end.
                    let wanted = table.has_server(&source) || self.trash.has_server(&source);
                    let part = if wanted { &mut change.come } else { &mut change.gone };
                    part.servers.insert(target(source));
                }
                for server in changed().flat_map(|service| service.one_way_servers()) {
                    let part =
                        if table.has_one_way_server(server) { &mut change.come } else { &mut change.gone };
                    part.one_way.insert(server);
                }
                if let Some(rings) = &mut self.rings {
                    rings.widen(&change);
                }
                steering.change_targets(change).map_err(Into::into)
            }
            _ => self.steer_all(&table),
        };
        if self.ground.changed().any() {
            self.tell_engine();
        }
        for service in before.changes(&table).filter_map(|(_, new)| new) {
            self.tell_paths(service);
            self.neighbours.add(next_hops(service));
        }
        if fronts_changed
            || rules_changed
            || of_mark
            || lips_changed
            || changed().any(|service| methods::concerns(service))
        {
            self.tell_notices();
        }
        steered
    }

    /// Whether local addresses have come or gone. From those that have gone servers are heard as long as they have
    /// connections.
    fn heed_lips(&mut self, before: &ServiceTable, table: &ServiceTable) -> bool {
        let gone: Vec<_> = before.lips().filter(|lip| !table.is_lip(*lip)).collect();
        let come = table.lips().any(|lip| !before.is_lip(lip));
        if come || !gone.is_empty() {
            self.leaving.extend(gone);
            self.retain_leaving();
            return true;
        }
        false
    }

    /// Lets those local addresses go that no connection has any more. Whether there was one.
    pub(super) fn retain_leaving(&mut self) -> bool {
        if self.leaving.is_empty() {
            return false;
        }
        let (before, mut busy) = (self.leaving.len(), BTreeSet::new());
        self.engine.local_ports_in_use(|ports| {
            busy.insert(ports.lip);
        });
        let table = self.engine.services();
        self.leaving.retain(|lip| busy.contains(lip) && !table.is_lip(*lip));
        self.leaving.len() < before
    }

    pub(super) fn steer_all(&mut self, table: &ServiceTable) -> anyhow::Result<()> {
        self.forgotten.clear();
        let wanted = self.wanted(table)?;
        self.set_scope(&wanted.targets);
        Ok(self.ground.set(wanted)?)
    }

    /// What this table wants steered.
    pub(super) fn targets(&self, table: &ServiceTable) -> Targets {
        Targets {
            vips: table.vips().chain(self.fronts.addresses().iter().map(SocketAddr::ip)).collect(),
            services: taken::of_table(table),
            fronts: self.fronts.addresses(),
            front_sockets: self.fronts.any(),
            prefixes: table.marked_prefixes().map(|prefix| (prefix.addr(), prefix.len())).collect(),
            ways: table.marks().ask_for_input(),
            lips: table.lips().chain(self.leaving.iter().copied()).collect(),
            servers: table.servers().chain(self.trash.servers()).map(target).collect(),
            one_way: table.one_way_servers().collect(),
        }
    }

    /// Gives the engine what steering knows of the host.
    pub(super) fn tell_engine(&mut self) {
        self.tell_ports();
        self.tell_notices();
        self.tell_host();
        let table = self.engine.services();
        table.services().for_each(|service| self.tell_paths(service));
        self.neighbours.keep(&table.services().flat_map(|service| next_hops(service)).collect());
    }

    pub(super) fn tell_notices(&self) {
        let table = self.engine.services();
        let mut notices = self.ground.notices();
        notices.extend(self.alone_notices(&table));
        notices.extend(self.no_rings.iter().cloned());
        notices.extend(self.source_notice.iter().cloned());
        notices.extend(self.front_notices.iter().cloned());
        notices.extend(marks::notices(&table));
        notices.extend(methods::notices(&table, self.no_link.as_deref()));
        let host = self.ground.host_view();
        notices.extend(local_ports::notices(&table, self.no_host_ports, |addr| host.local.contains(&addr)));
        self.notices.store(Arc::new(notices));
    }

    /// Says what is new about fronts.
    pub(super) fn tell_front_notices(&mut self) {
        let notices = self.fronts.notices();
        if notices == self.front_notices {
            return;
        }
        for line in notices.iter().filter(|line| !self.front_notices.contains(line)) {
            tracing::warn!("{line}");
        }
        self.front_notices = notices;
        self.tell_notices();
    }

    /// The ports of local addresses: of those that are nobody's, and of the host's own. Its settings change without an
    /// event; this is asked for now and then.
    pub(super) fn tell_ports(&mut self) {
        match self.host_ports() {
            Ok((ours, hosts)) => {
                let hosts = match &self.ground {
                    Ground::Alone(alone) => alone.pool(),
                    Ground::Steered(_) => hosts,
                };
                self.engine.set_local_ports(&ours, &hosts);
                self.no_host_ports = hosts.is_empty();
            }
            Err(error) => tracing::warn!("cannot tell which ports the host uses itself: {error}"),
        }
    }

    /// All that there are, and those that the host does not use itself.
    pub(super) fn host_ports(&self) -> std::io::Result<(Vec<u16>, Vec<u16>)> {
        let settings = self.settings.load();
        let end = |sysctl| u16::try_from(settings.get(sysctl)).unwrap_or(u16::MAX);
        let (one, other) = (end(Sysctl::LipPortFirst), end(Sysctl::LipPortLast));
        let range = one.min(other)..=one.max(other);
        let hosts = netio::ports::unused()?.into_iter().filter(|port| range.contains(port)).collect();
        Ok((range.collect(), hosts))
    }

    fn tell_host(&self) {
        let host = self.ground.host_view();
        let table = self.engine.services();
        // Those that are delivered to it for another reason than being its address.
        let vips = table.vips().filter(|vip| self.ground.is_local(*vip));
        let mut view = HostView::new(host.local.iter().copied().chain(vips));
        for (closed, family) in [(host.closed4, Family::V4), (host.closed6, Family::V6)] {
            if closed {
                view = view.closed(family);
            }
        }
        let ways = host
            .ways
            .iter()
            .filter_map(|((ip, len), device)| Some((Prefix::new(*ip, *len)?, device.as_str())));
        view = view.with_links(host.subnets.iter().filter_map(|(ip, len)| Prefix::new(*ip, *len)));
        self.engine.set_host(view.with_ways(ways.map(|(prefix, device)| (prefix, device.into()))));
    }

    fn tell_paths(&self, service: &Service) {
        for dest in service.everyone() {
            let path = self.ground.path(dest.live.key.ip());
            dest.live.mtu.store(path.map_or(0, |path| path.mtu), Relaxed);
            dest.live.set_path(path.map(|p| Path {
                device: p.device,
                next_hop: p.next_hop,
                source: p.source,
            }));
        }
    }
}

/// Whom packets are sent to by link address.
fn next_hops(service: &Service) -> impl Iterator<Item = NextHop> {
    let by_link = service.everyone().filter(|dest| dest.method == ForwardMethod::Route);
    by_link.filter_map(|dest| dest.live.path()).map(|path| (path.device, path.next_hop))
}

/// As steering has it.
fn target((proto, addr): ReplySource) -> (u8, SocketAddr) {
    (proto.map_or(0, Proto::number), addr)
}
