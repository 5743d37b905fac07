//! The nf_tables table that drops the kernel's copy of what rings take, and its equal, the value that rings ask.
//!
//! The table ends with our socket where the kernel can do that (Linux 5.12): without rings nobody would take what it
//! drops.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::chains::{self, Needs};
use super::entry::{Counts, Entry};
use super::taken::{Published, Taken};
use crate::nft::{Change, Family, Keeping, Table};
use crate::poll::Waker;

/// Name of the table, family `netdev`.
const TABLE: &str = "ulvs";

/// Names of devices by their numbers.
pub(super) type Devices = BTreeMap<u32, String>;

/// The table and the value.
#[derive(Debug)]
pub(in crate::steer) struct Ingress {
    table: Table,
    published: Published,
    wakers: Vec<Waker>,
    /// What holds in both, once the table exists.
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    entries: BTreeSet<Entry>,
    counts: Counts,
    devices: Devices,
    /// How many objects the table consists of.
    objects: Option<u32>,
}

impl Ingress {
    /// A socket for it; the table itself comes with the first [`Self::become_`]. `wakers`: of all whose rings ask the
    /// value.
    pub(super) fn open(published: Published, wakers: Vec<Waker>) -> io::Result<Self> {
        Ok(Self { table: Table::open(Family::Netdev, TABLE)?, published, wakers, made: None })
    }

    /// For nothing but [`Self::remove`].
    pub(in crate::steer) fn unused() -> io::Result<Self> {
        Self::open(Published::default(), Vec::new())
    }

    /// Calls these from now on.
    pub(super) fn wake(&mut self, wakers: &[Waker]) {
        self.wakers = wakers.to_vec();
    }

    /// The number by which the kernel tells others that a change was ours.
    pub(super) const fn port(&self) -> u32 {
        self.table.port()
    }

    /// What the rings take.
    #[cfg(test)]
    pub(super) fn published(&self) -> &Published {
        &self.published
    }

    /// Has the rings of these devices take exactly this, and the kernel nothing of it. Without devices there is no table.
    /// Returns whether there was anything to do.
    ///
    /// After an error the rings take nothing, and the kernel drops nothing if that could be had.
    pub(super) fn become_(&mut self, want: BTreeSet<Entry>, devices: &Devices) -> io::Result<bool> {
        if devices.is_empty() {
            return if self.made.is_some() { self.remove() } else { Ok(false) };
        }
        if let Some(made) = &self.made
            && self.table.objects()? == made.objects
        {
            if made.entries == want && made.devices == *devices {
                return Ok(false);
            }
            let gone: Vec<_> = made.entries.difference(&want).copied().collect();
            let come: Vec<_> = want.difference(&made.entries).copied().collect();
            if self.change(&gone, &come, devices).is_ok() {
                return Ok(true);
            }
        }
        let result = self.create(want, devices);
        if result.is_err() {
            // What was there may drop what nobody takes any more.
            let _ = self.remove();
        }
        result.map(|()| true)
    }

    /// Takes away and adds these, and looks at nothing else. Returns false where that is not all that it takes: then
    /// [`Self::become_`] has to see to it.
    pub(super) fn step(&mut self, gone: &[Entry], come: &[Entry]) -> io::Result<bool> {
        let Some(made) = &self.made else { return Ok(true) };
        if self.table.objects()? != made.objects {
            return Ok(false);
        }
        let gone: Vec<_> = gone.iter().copied().filter(|entry| made.entries.contains(entry)).collect();
        let come: Vec<_> = come.iter().copied().filter(|entry| !made.entries.contains(entry)).collect();
        if gone.is_empty() && come.is_empty() {
            return Ok(true);
        }
        let devices = made.devices.clone();
        self.change(&gone, &come, &devices).map(|()| true)
    }

    /// Removes the table, whoever left it there. Returns whether there was one.
    pub(in crate::steer) fn remove(&mut self) -> io::Result<bool> {
        self.made = None;
        self.publish(Taken::emptied);
        match self.table.commit(vec![self.table.delete()]) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Changes the value and the table in such an order that the rings never take what the kernel has. After an error
    /// nothing is made.
    fn change(&mut self, gone: &[Entry], come: &[Entry], devices: &Devices) -> io::Result<()> {
        let Some(mut made) = self.made.take() else { return Err(io::ErrorKind::NotFound.into()) };
        let needs = Needs::from(made.counts);
        for entry in gone {
            made.entries.remove(entry);
            made.counts.take(*entry);
        }
        for entry in come {
            made.entries.insert(*entry);
            made.counts.add(*entry);
        }
        let mut changes = Vec::new();
        if needs != made.counts.into() {
            changes.extend(chains::flush(&self.table));
            changes.extend(chains::rules(&self.table, made.counts.into()));
        }
        changes.extend(elements(come, |set, keys| self.table.add(set, keys)));
        changes.extend(elements(gone, |set, keys| self.table.remove(set, keys)));
        for (index, _) in without(&made.devices, devices) {
            changes.push(self.table.delete_chain(&chain(index)));
        }
        for (index, name) in without(devices, &made.devices) {
            changes.extend(chains::of_device(&self.table, &chain(index), name));
        }
        made.devices.clone_from(devices);

        let takes = |entry: &&Entry| entry.takes();
        let holds_back = |entry: &&Entry| !entry.takes();
        let mut less = gone.iter().filter(takes).chain(come.iter().filter(holds_back)).peekable();
        if less.peek().is_some() {
            let gone = gone.iter().filter(takes).copied();
            self.publish(|now| now.with(gone, come.iter().filter(holds_back).copied()));
        }
        self.table.commit(changes)?;
        let mut more = gone.iter().filter(holds_back).chain(come.iter().filter(takes)).peekable();
        if more.peek().is_some() {
            let gone = gone.iter().filter(holds_back).copied();
            self.publish(|now| now.with(gone, come.iter().filter(takes).copied()));
        }
        made.objects = self.table.objects()?;
        self.made = Some(made);
        Ok(())
    }

    /// Makes the table anew; the rings take nothing meanwhile. The chains of devices come last, as what there is may be more
    /// than one transaction holds.
    fn create(&mut self, want: BTreeSet<Entry>, devices: &Devices) -> io::Result<()> {
        self.remove()?;
        let mut counts = Counts::default();
        want.iter().for_each(|entry| counts.add(*entry));
        let all: Vec<_> = want.iter().copied().collect();
        let mut changes: Vec<_> = chains::sets().map(|(name, key)| self.table.set(name, key)).collect();
        changes.extend(chains::subchains(&self.table));
        changes.extend(chains::rules(&self.table, counts.into()));
        changes.extend(elements(&all, |set, keys| self.table.add(set, keys)));
        for (index, name) in devices {
            changes.extend(chains::of_device(&self.table, &chain(*index), name));
        }
        let mut make = |keeping| {
            let table = self.table.create(keeping);
            self.table.commit(std::iter::once(table).chain(changes.iter().cloned()).collect())
        };
        if make(Keeping::Owned).is_err() {
            make(Keeping::Everybodys)?;
        }
        self.publish(|now| now.with([], all));
        let objects = self.table.objects()?;
        self.made = Some(Made { entries: want, counts, devices: devices.clone(), objects });
        Ok(())
    }

    fn publish(&self, next: impl FnOnce(&Taken) -> Taken) {
        self.published.store(Arc::new(next(&self.published.load())));
        self.wakers.iter().for_each(Waker::wake);
    }
}

/// Those of `of` that are not the same in `others`.
fn without<'a>(of: &'a Devices, others: &'a Devices) -> impl Iterator<Item = (u32, &'a str)> {
    let new = of.iter().filter(|(index, name)| others.get(index) != Some(*name));
    new.map(|(index, name)| (*index, name.as_str()))
}

/// Changes for each set that some of the entries are in.
fn elements(of: &[Entry], change: impl Fn(&str, &[Vec<u8>]) -> Vec<Change>) -> Vec<Change> {
    let mut sets: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    for entry in of {
        sets.entry(chains::set_of(*entry)).or_default().push(entry.element());
    }
    sets.into_iter().flat_map(|(set, keys)| change(set, &keys)).collect()
}

/// Name of a device's chain.
fn chain(device: u32) -> String {
    format!("device-{device}")
}
