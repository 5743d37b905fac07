//! What a real server needs so that direct routing and tunnels reach it: the virtual addresses as its own, and nobody
//! on its links finding out.
//!
//! The director sends it packets to the VIP unchanged (direct routing) or in tunnels, and it answers the client itself.
//! So it has to have the VIP, on a device that no neighbour sees (`lo`), and must neither answer ARP for it
//! (`arp_ignore`) nor ask with it (`arp_announce`): the link would take this host for the director. Requests come in
//! by another way than answers leave, which a strict `rp_filter` refuses; those in tunnels come from the director, which
//! it lets pass. IPv6 needs none of that: neighbour discovery answers for the addresses of the link's own device alone.
//!
//! Tunnels take somebody who takes packets out of them: a [`FarEnd`].
//!
//! Addresses are of scope host (IPv6: deprecated, RFC 4862 section 5.5.4), so that the host never chooses one as the
//! source of what it begins itself. What was changed is noted in a journal before it is done; [`stop`] puts back exactly
//! that, whoever did it and however it ended. A value that is right already, an address that is there already, is left
//! alone both times.

mod change;
mod error;
mod far_end;
mod settings;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::journal::{Held, Journal};
use crate::netlink::{NetlinkSocket, Tolerate};
use crate::steer::host::{self, Family, Host};

pub use change::Change;
pub use error::RealError;
pub use far_end::{FarEnd, FarEndError, TunnelOptions, Tunnels};

/// Kind of the journal.
const KIND: &str = "real";

/// How the director forwards to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Direct routing: packets come as they are.
    Dr,
    /// Tunnels: packets come in others.
    Tun,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dr => "dr",
            Self::Tun => "tun",
        })
    }
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealConfig {
    /// The virtual addresses, unicast, at least one.
    pub vips: Vec<IpAddr>,
    /// How they are reached.
    pub method: Method,
    /// Name of the device that gets them.
    pub device: String,
    /// How packets are taken out of tunnels, if by any.
    pub tunnels: TunnelOptions,
    /// Directory for the journal; created when missing.
    pub state_dir: PathBuf,
}

/// A virtual address that this server serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vip {
    /// The address.
    pub ip: IpAddr,
    /// How packets for it come.
    pub method: Method,
    /// Name of the device that has it.
    pub device: String,
    /// Interface index of that device.
    index: u32,
    /// Whether we have given it to the device: it had it already if not.
    added: bool,
}

impl Vip {
    fn is_tunnelled(&self) -> bool {
        self.method == Method::Tun
    }

    /// Packets for it come as they are, and a reverse path filter may refuse them.
    fn is_plain_v4(&self) -> bool {
        self.ip.is_ipv4() && self.method == Method::Dr
    }
}

/// The contents of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entries {
    vips: Vec<Vip>,
    held: Vec<Held>,
    /// Some while there are VIPs that are reached by them.
    tunnels: Option<Tunnels>,
}

impl Entries {
    fn have(&self, what: impl Fn(&Vip) -> bool) -> bool {
        self.vips.iter().any(what)
    }
}

/// What was started, and whether it is still so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// The virtual addresses, in the order in which they were started.
    pub vips: Vec<Vip>,
    /// How packets are taken out of tunnels, if some address is reached by them.
    pub tunnels: Option<Tunnels>,
    /// What has been lost since, in words: empty while all is well. Says nothing of who takes packets out of tunnels.
    pub lost: Vec<String>,
}

/// Makes the host of the calling thread's network namespace a real server for these addresses, besides those that it
/// serves already. Returns what it had to change for that. All or nothing: what was done before an error is undone.
///
/// # Errors
/// [`RealError`] names what is in the way and how to get it out.
pub fn start(config: &RealConfig, far_end: &mut dyn FarEnd) -> Result<Vec<Change>, RealError> {
    let mut real = Real::open(&config.state_dir)?;
    let before = real.journal.entries().clone();
    let mut tried = false;
    let result = real.start(config).and_then(|mut changes| {
        tried = true;
        changes.extend(serve(far_end, real.journal.entries(), &before)?);
        Ok(changes)
    });
    if result.is_err() {
        let after = real.journal.entries().clone();
        // The first error is the one to tell; what could not be undone stays in the journal.
        let _ = real.leave(&|vip| before.have(|had| had.ip == vip.ip), Some(&before));
        if tried {
            let _ = serve(far_end, real.journal.entries(), &after);
        }
    }
    result
}

/// Ends that for some addresses, or for all of them, and puts back what was changed for their sake. Returns what it has
/// put back; nothing where nothing was started.
///
/// # Errors
/// [`RealError::NotStarted`] for an address that is not served; else the first failure, after all the rest was tried.
pub fn stop(
    state_dir: &Path,
    vips: Option<&[IpAddr]>,
    far_end: &mut dyn FarEnd,
) -> Result<Vec<Change>, RealError> {
    let mut real = Real::open(state_dir)?;
    let before = real.journal.entries().clone();
    let served = |ip: &IpAddr| before.have(|vip| vip.ip == *ip);
    if let Some(vip) = vips.unwrap_or_default().iter().find(|ip| !served(ip)) {
        return Err(RealError::NotStarted { vip: *vip });
    }
    let keep = |vip: &Vip| vips.is_some_and(|vips| !vips.contains(&vip.ip));
    let mut kept = before.clone();
    kept.vips.retain(keep);
    kept.tunnels = kept.tunnels.filter(|_| kept.have(Vip::is_tunnelled));
    // First, so that nothing comes for an address that is not here.
    let ended = match (vips, kept.tunnels) {
        // Even one that the journal knows nothing of.
        (None, None) => far_end.end().map_err(RealError::FarEnd),
        _ => serve(far_end, &kept, &before),
    };
    let left = real.leave(&keep, None);
    let mut changes = ended?;
    changes.extend(left?);
    Ok(changes)
}

/// What was started in the network namespace of the calling thread.
///
/// # Errors
/// The journal cannot be read, or the kernel does not answer.
pub fn state(state_dir: &Path) -> Result<State, RealError> {
    let entries: Entries = Journal::peek(state_dir, KIND)?;
    let mut netlink = open()?;
    let host = look(&mut netlink)?;
    let has = |vip: &Vip| host.addresses.iter().any(|a| a.ip == vip.ip && a.device == vip.index);
    let lost = entries.vips.iter().filter(|vip| !has(vip));
    let mut lost: Vec<_> = lost.map(|vip| format!("{} is no longer on {}", vip.ip, vip.device)).collect();
    if entries.have(|vip| vip.ip.is_ipv4()) {
        lost.extend(settings::unmet(&host, entries.have(Vip::is_plain_v4)));
    }
    Ok(State { vips: entries.vips, tunnels: entries.tunnels, lost })
}

/// Has the far end of tunnels be as the entries say, which was as `before`.
fn serve(far_end: &mut dyn FarEnd, entries: &Entries, before: &Entries) -> Result<Vec<Change>, RealError> {
    let changes = match entries.tunnels {
        Some(tunnels) => {
            let vips = entries.vips.iter().filter(|vip| vip.is_tunnelled());
            far_end.serve(&vips.map(|vip| vip.ip).collect::<Vec<_>>(), tunnels)
        }
        None if before.tunnels.is_some() => far_end.end(),
        None => Ok(Vec::new()),
    };
    changes.map_err(RealError::FarEnd)
}

struct Real {
    netlink: NetlinkSocket,
    host: Host,
    journal: Journal<Entries>,
}

impl Real {
    fn open(state_dir: &Path) -> Result<Self, RealError> {
        let mut netlink = open()?;
        let host = look(&mut netlink)?;
        Ok(Self { netlink, host, journal: Journal::open(state_dir, KIND)? })
    }

    fn start(&mut self, config: &RealConfig) -> Result<Vec<Change>, RealError> {
        let (index, link) = self
            .host
            .links
            .iter()
            .find(|(_, link)| link.name == config.device)
            .ok_or_else(|| RealError::NoDevice { name: config.device.clone() })?;
        if !link.up {
            return Err(RealError::DeviceDown { name: config.device.clone() });
        }
        let mut entries = self.journal.entries().clone();
        let mut add = BTreeSet::new();
        for &ip in &config.vips {
            let added = self.is_new(ip, *index)?;
            let vip = Vip { ip, method: config.method, device: config.device.clone(), index: *index, added };
            match entries.vips.iter_mut().find(|had| had.ip == ip) {
                // Started again: perhaps by another method, perhaps because it was lost.
                Some(had) => *had = Vip { added: added || had.added, ..vip },
                None => entries.vips.push(vip),
            }
            add.extend(added.then_some(ip));
        }
        let tunnelled = entries.have(Vip::is_tunnelled);
        entries.tunnels = tunnelled.then(|| config.tunnels.over(entries.tunnels));
        let mut changes = Vec::new();
        // Before the address, or the link would hear of it.
        if config.vips.iter().any(IpAddr::is_ipv4) {
            let journal = &mut self.journal;
            let (held, plain) = (entries.held.clone(), entries.have(Vip::is_plain_v4));
            settings::apply(&self.host, &mut self.netlink, &mut changes, plain, held, |held| {
                entries.held = held;
                Ok(journal.write(entries.clone())?)
            })?;
        } else {
            self.journal.write(entries)?;
        }
        for ip in add {
            let (device, index) = (config.device.clone(), *index);
            host::set_host_address(&mut self.netlink, index, ip, true)
                .map_err(|source| RealError::Address { vip: ip, device: device.clone(), source })?;
            changes.push(Change::Added { ip, device });
        }
        Ok(changes)
    }

    /// Whether the address has to be added: the device may have it, and others that nobody sees may.
    fn is_new(&self, ip: IpAddr, index: u32) -> Result<bool, RealError> {
        if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
            return Err(RealError::NoVip { vip: ip });
        }
        let mut on = self.host.addresses.iter().filter(|address| address.ip == ip);
        let seen = |device: &u32| self.host.links.get(device).filter(|link| link.resolves);
        match on.clone().find_map(|address| seen(&address.device)) {
            Some(link) => Err(RealError::Elsewhere { vip: ip, device: link.name.clone() }),
            None => Ok(!on.any(|address| address.device == index)),
        }
    }

    /// Puts everything back but what is for addresses to `keep`, and makes that be as `before`, or else as what is kept
    /// needs it. Goes on after a failure and returns the first.
    fn leave(
        &mut self,
        keep: &dyn Fn(&Vip) -> bool,
        before: Option<&Entries>,
    ) -> Result<Vec<Change>, RealError> {
        let (mut changes, mut result) = (Vec::new(), Ok(()));
        let mut entries = self.journal.entries().clone();
        entries.vips.retain(|vip| {
            keep(vip)
                || match self.remove(vip, &mut changes) {
                    Ok(()) => false,
                    Err(error) => {
                        result = std::mem::replace(&mut result, Ok(())).and(Err(error));
                        true
                    }
                }
        });
        let needed = match entries.have(|vip| vip.ip.is_ipv4()) {
            true => settings::needed(&entries.held, entries.have(Vip::is_plain_v4)),
            false => vec![],
        };
        let keep = before.map_or(&needed, |before| &before.held);
        for vip in before.into_iter().flat_map(|before| &before.vips) {
            entries.vips.iter_mut().filter(|now| now.ip == vip.ip).for_each(|now| now.method = vip.method);
        }
        let tunnels = before.map_or(entries.tunnels, |before| before.tunnels);
        entries.tunnels = tunnels.filter(|_| entries.have(Vip::is_tunnelled));
        let released =
            settings::release(&self.host, &mut self.netlink, &mut changes, &mut entries.held, keep);
        let empty = entries == Entries::default();
        let kept = if empty { self.journal.remove() } else { self.journal.write(entries) };
        let kept = kept.map_err(RealError::from);
        result.and(released).and(kept).map(|()| changes)
    }

    fn remove(&mut self, vip: &Vip, changes: &mut Vec<Change>) -> Result<(), RealError> {
        // A device that is gone has taken its addresses along, and what was noted first may not have been done.
        let now = look(&mut self.netlink)?;
        let mut there = now.addresses.iter().filter(|had| had.ip == vip.ip && had.device == vip.index);
        if !vip.added || there.next().is_none() {
            return Ok(());
        }
        host::set_host_address(&mut self.netlink, vip.index, vip.ip, false)
            .tolerate(libc::EADDRNOTAVAIL)
            .map_err(|source| RealError::Address { vip: vip.ip, device: vip.device.clone(), source })?;
        changes.push(Change::Removed { ip: vip.ip, device: vip.device.clone() });
        Ok(())
    }
}

fn open() -> Result<NetlinkSocket, RealError> {
    NetlinkSocket::open(netlink_sys::protocols::NETLINK_ROUTE)
        .map_err(|source| RealError::Netlink { action: "open a netlink socket", source })
}

fn look(netlink: &mut NetlinkSocket) -> Result<Host, RealError> {
    Host::read(netlink, &Family::available())
        .map_err(|source| RealError::Netlink { action: "read the host's addresses", source })
}
