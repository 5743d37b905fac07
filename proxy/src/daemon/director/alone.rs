//! Where rings are all there is: what they take for a table, and which tables cannot be served by them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{anyhow, bail, ensure};
use netio::steer::{Alone, Wanted};
use sched::{ClientIdentity, Dest, ForwardMethod, Proto, Service, ServiceTable, TlsFront, TlsStack};

use super::Director;
use super::ground::Ground;

/// The port of FTP's control connections.
const FTP: u16 = 21;
/// Said of whatever needs more than rings.
const WAY_OUT: &str =
    "give the engine a TUN device and CAP_NET_ADMIN (`docker run --cap-add NET_ADMIN --device /dev/net/tun`)";

impl Director {
    /// Before a table comes into force: whether it can be served, and the kernel is silent about what is new in it.
    pub(super) fn foresee(&mut self, table: &ServiceTable) -> anyhow::Result<()> {
        if !self.ground.is_alone() {
            return Ok(());
        }
        let wanted = self.wanted(table)?;
        let Ground::Alone(alone) = &mut self.ground else { return Ok(()) };
        check(table, alone)?;
        if let Some(vip) = alone.without_route(&wanted.targets.vips) {
            bail!(
                "the VIP {vip} is nobody's address, and this host has no route to it: its kernel would say so to clients; give \
                 the host a default route of IPv6, or the VIP"
            );
        }
        if alone.foresee(&wanted)? {
            self.tell_ports();
            // What came before was the kernel's still.
            self.await_rings();
        }
        Ok(())
    }

    /// What this table wants of the host; what only rings alone go by is left empty where they are not.
    pub(super) fn wanted(&self, table: &ServiceTable) -> anyhow::Result<Wanted> {
        let mut targets = self.targets(table);
        if !self.ground.is_alone() {
            return Ok(Wanted { targets, ..Wanted::default() });
        }
        for service in table.services() {
            let Some(tls) = &service.tls else { continue };
            for vip in table.front_vips(service) {
                targets.vips.insert(vip);
                targets.services.insert((Proto::Tcp.number(), SocketAddr::new(vip, tls.port)));
            }
        }
        let spoken_to = table
            .services()
            .filter(|service| table.lips_of(service).is_empty())
            .flat_map(|service| spoken_to(service))
            .collect();
        let (_, ports) = self.host_ports()?;
        Ok(Wanted { targets, spoken_to, ports })
    }

    /// What is to be said where rings are all there is.
    pub(super) fn alone_notices(&self, table: &ServiceTable) -> Vec<String> {
        let Ground::Alone(alone) = &self.ground else { return Vec::new() };
        let mut notices = Vec::new();
        notices.extend(check(table, alone).err().map(|error| error.to_string()));
        if table.services().any(|service| service.key.vip().is_none_or(|vip| alone.is_local(vip))) {
            notices.push(format!(
                "clients on this host itself are refused: their packets cross no device that the packet port is on; to \
                 serve them, {WAY_OUT}"
            ));
        }
        if !alone.lips().is_empty() {
            let lips: Vec<_> = alone.lips().iter().map(ToString::to_string).collect();
            notices.push(format!(
                "{} ports to speak to each server from (FullNAT) at {}: each costs two sockets that keep the kernel \
                 silent; local addresses that are nobody's have all (ipvsadm -P), where the kernel does not forward",
                alone.pool().len(),
                lips.join(", ")
            ));
        }
        notices
    }
}

/// Servers that are spoken to from an address of ours.
fn spoken_to(service: &Service) -> impl Iterator<Item = IpAddr> {
    let ours = |front: &TlsFront| {
        front.stack == TlsStack::Userspace && front.identity != ClientIdentity::Transparent
    };
    let front = service.tls.as_ref().is_some_and(|front| ours(front));
    let fullnat = move |dest: &&Dest| front || dest.method == ForwardMethod::FullNat;
    service.everyone().filter(fullnat).map(|dest| dest.live.key.ip())
}

/// Whether rings alone can serve a table.
///
/// # Errors
/// The first service that they cannot, and the way out.
fn check(table: &ServiceTable, alone: &Alone) -> anyhow::Result<()> {
    let forwards = |ip: IpAddr, what: &str, instead: &str| match alone.forwards(ip) {
        None => Ok(()),
        Some(setting) => {
            let off = if ip.is_ipv4() { "net.ipv4.ip_forward=0" } else { "net.ipv6.conf.all.forwarding=0" };
            Err(anyhow!(
                "{what}, and the kernel would forward it as well ({setting} is 1), as nothing may keep it from that here: \
                 {instead}, turn that off (in a container: `--sysctl {off}`), or {WAY_OUT}"
            ))
        }
    };
    if let Some(prefix) = table.marked_prefixes().next() {
        bail!(
            "a mark rule is for all of {prefix}, which belongs to others: name single addresses, or {WAY_OUT}"
        );
    }
    for lip in table.lips().filter(|lip| !alone.is_local(*lip)) {
        forwards(lip, &format!("the local address {lip} is nobody's"), "use one of this host's")?;
    }
    for vip in table.vips().filter(|vip| !alone.is_local(*vip)) {
        forwards(vip, &format!("the VIP {vip} is nobody's address"), "give it to this host")?;
    }
    for service in table.services() {
        let key = service.key;
        let local = key.vip().is_some_and(|vip| alone.is_local(vip));
        ensure!(
            !(local && key.l4_port() == Some(FTP)),
            "{key} is FTP at an address of this host's own, whose kernel would refuse the data connections: use a VIP that is \
             nobody's, or {WAY_OUT}"
        );
        let kernels = |tls: &Arc<TlsFront>| tls.stack == TlsStack::Kernel || tls.redirect_http.is_some();
        ensure!(
            !service.tls.as_ref().is_some_and(kernels),
            "TLS of {key} ends in the kernel's TCP (stack = \"kernel\", or redirect_http), which is kept silent here: use stack = \
             \"userspace\" alone, or {WAY_OUT}"
        );
        for dest in service.everyone() {
            let server = dest.live.key;
            ensure!(
                !server.ip().is_loopback() && !alone.is_local(server.ip()),
                "server {server} of {key} is this host itself, which the packet port alone cannot reach: use servers on \
                 other hosts, or {WAY_OUT}"
            );
            if dest.method == ForwardMethod::Masq && service.tls.is_none() {
                let what = format!("server {server} of {key} (NAT) answers clients by this host");
                forwards(server.ip(), &what, "use FullNAT (ipvsadm --fullnat) or DR (-g)")?;
            }
        }
    }
    Ok(())
}

/// The addresses whose packets the rings are to receive besides those of services.
pub(super) fn lips(ground: &Ground) -> BTreeSet<IpAddr> {
    match ground {
        Ground::Alone(alone) => alone.lips().iter().chain(&alone.targets().lips).copied().collect(),
        Ground::Steered(_) => BTreeSet::new(),
    }
}
