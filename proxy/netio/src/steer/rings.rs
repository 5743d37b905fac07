//! Rings on real devices ([`super::Steering::set_rings`]): which frames are theirs, so that the kernel does not answer
//! them as well.
//!
//! A ring gets a copy of each frame that its device receives. What it takes of them is published as a value
//! ([`Taken`]); the kernel's copy of exactly that is dropped by an nf_tables table of family `netdev` before any
//! protocol sees it. All else is the kernel's, and where steering wants it, it comes by the TUN device as ever:
//! fragments, ICMP, options, packets to fronts, packets to the host's own connections.
//!
//! Taken are also packets that are no service's, where one service or server has every port. The engine gives them
//! back to the kernel through the TUN device.
//!
//! Both are kept equal by [`table::Ingress`], and a property test against the kernel says whether they are.

mod chains;
mod entry;
mod table;
mod taken;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use tracing::info;

use self::entry::{Entry, Kind, entries, of_fronts, of_host};
pub(super) use self::table::Ingress;
pub use self::taken::{Published, Taken, Taker};
use super::host::Host;
use super::{Notice, Part, SteerError, Steering, TargetsChange};
use crate::poll::Waker;

/// The rings as they were asked for.
#[derive(Debug, Default)]
pub(super) struct Rings {
    pub(super) published: Published,
    devices: BTreeSet<u32>,
    /// Once there was a device.
    pub(super) ingress: Option<Ingress>,
}

impl Steering {
    /// What rings take, from now on. It is nothing without [`Self::set_rings`].
    pub fn taken(&self) -> Published {
        Published::clone(&self.rings.published)
    }

    /// Has rings on these devices, by number, and on no others. A ring is to be opened after this has been told of its
    /// device, and closed before this is told that it is no more: in between its packets are lost, and never
    /// doubled. `wakers` are those of all workers with rings, who have to
    /// [catch up](Taker::catch_up) when [`Self::taken`] changes.
    ///
    /// A device that does not exist is passed over, now and whenever it is gone, and has no part in anything even if it
    /// comes back by the same name.
    ///
    /// # Errors
    /// [`SteerError::NoIngress`] where the kernel cannot be kept from answering too: then there are no rings, and what they
    /// took goes by the TUN device.
    pub fn set_rings(&mut self, devices: &BTreeSet<u32>, wakers: &[Waker]) -> Result<(), SteerError> {
        self.rings.devices.clone_from(devices);
        self.host = Host::read(&mut self.netlink, &self.families)
            .map_err(SteerError::netlink("read links and addresses"))?;
        let result = self.open_ingress(wakers).and_then(|()| self.apply_rings());
        if result.is_err() {
            self.rings.devices.clear();
        }
        result
    }

    fn open_ingress(&mut self, wakers: &[Waker]) -> Result<(), SteerError> {
        if let Some(ingress) = &mut self.rings.ingress {
            ingress.wake(wakers);
        } else if !self.rings.devices.is_empty() {
            let ingress = Ingress::open(self.taken(), wakers.to_vec()).map_err(|e| self.no_ingress(e))?;
            self.vigil.pass_over_nftables(ingress.port());
            self.rings.ingress = Some(ingress);
        }
        Ok(())
    }

    /// Sees to it that the table is as it should be.
    pub(super) fn apply_rings(&mut self) -> Result<(), SteerError> {
        let devices: BTreeMap<_, _> = self
            .rings
            .devices
            .iter()
            .filter_map(|device| Some((*device, self.host.links.get(device)?.name.clone())))
            .collect();
        let want = if devices.is_empty() { BTreeSet::new() } else { self.wanted_entries() };
        let Some(ingress) = &mut self.rings.ingress else { return Ok(()) };
        let count = want.len();
        match ingress.become_(want, &devices) {
            Ok(false) => Ok(()),
            Ok(true) => {
                let names: Vec<_> = devices.into_values().collect();
                info!("nftables: table netdev ulvs has {count} entries for {}", or_none(&names));
                Ok(())
            }
            Err(e) => Err(self.no_ingress(e)),
        }
    }

    /// The same when it is not asked for: rings go on as soon as they can.
    pub(super) fn keep_rings(&mut self, notices: &mut BTreeSet<Notice>) {
        if let Err(e) = self.apply_rings() {
            notices.insert(Notice::NoRings { reason: e.to_string() });
        }
    }

    /// What a small change of the targets, which they have already, needs. Returns false where it takes more.
    pub(super) fn step_rings(&mut self, change: &TargetsChange, others: &BTreeSet<(u8, SocketAddr)>) -> bool {
        let Some(ingress) = &mut self.rings.ingress else { return true };
        let of = |part: &Part| -> Vec<Entry> {
            entries(Kind::Service, &part.services).chain(entries(Kind::Server, &part.servers)).collect()
        };
        let left: BTreeSet<_> = entries(Kind::Server, others).collect();
        let gone: Vec<_> = of(&change.gone).into_iter().filter(|entry| !left.contains(entry)).collect();
        ingress.step(&gone, &of(&change.come)).unwrap_or(false)
    }

    fn wanted_entries(&self) -> BTreeSet<Entry> {
        let targets = &self.targets;
        // What comes to a local address is a server's answer.
        let own = self.host.own().into_iter().filter(|ip| !targets.lips.contains(ip));
        entries(Kind::Service, &targets.services)
            .chain(entries(Kind::Server, &targets.servers))
            .chain(of_host(own))
            .chain(of_fronts(&targets.fronts))
            .collect()
    }

    fn no_ingress(&self, source: std::io::Error) -> SteerError {
        let name = |device| self.host.links.get(device).map(|link| link.name.clone());
        let names: Vec<_> = self.rings.devices.iter().filter_map(name).collect();
        SteerError::NoIngress { devices: or_none(&names), source }
    }
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "no device".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
