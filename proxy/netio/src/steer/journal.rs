//! What was there before: written down before the first change, so that it can be put back after any end.
//!
//! One file per network namespace, named after the namespace's cookie and locked while its writer lives. What can
//! be told by itself (rules and proxy entries by protocol 117, routes by table, the nf_tables table by name) is not
//! in it.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::SteerError;
use super::rules::Displaced;
use crate::place;
use crate::sysctl::Knob;

/// A setting that we hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) knob: Knob,
    /// The device's name when it was written.
    pub(super) device: String,
    /// What it was, or what somebody else has set it to since.
    pub(super) original: i64,
    /// What we set it to.
    pub(super) ours: i64,
}

/// The contents of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entries {
    /// The boot that they are about.
    boot: String,
    /// Settings that we changed.
    pub(super) held: Vec<Held>,
    /// Rules that we moved away from preference 0.
    pub(super) displaced: Vec<Displaced>,
}

/// The file, locked.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// Keeps the lock; none before there is anything to write.
    file: Option<File>,
    entries: Entries,
}

impl Journal {
    /// The journal of the namespace of the calling thread: what an earlier process left behind, or empty.
    ///
    /// # Errors
    /// [`SteerError::Busy`] while another process holds it.
    pub(super) fn open(directory: &Path) -> Result<Self, SteerError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SteerError::Journal { path, source }
        };
        let proc = Path::new("/proc/thread-self/ns/net");
        let namespace = place::netns_id().map_err(failed(proc))?;
        let name = match namespace.cookie {
            Some(cookie) => format!("netns-{cookie}.json"),
            None => format!("netns-inode-{}.json", namespace.inode),
        };
        let path = directory.join(name);
        let boot = place::boot_id().map_err(failed(Path::new("/proc/sys/kernel/random/boot_id")))?;
        let empty = Entries { boot, ..Entries::default() };
        let Some(mut file) = lock(&path)? else {
            return Ok(Self { path, file: None, entries: empty });
        };
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed(&path))?;
        let left: Entries = serde_json::from_str(&text)
            .map_err(|e| SteerError::Journal { path: path.clone(), source: e.into() })?;
        let entries = if left.boot == empty.boot { left } else { empty };
        Ok(Self { path, file: Some(file), entries })
    }

    pub(super) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Writes down new contents, on disk before this returns. Nothing is done where nothing is new.
    pub(super) fn write(
        &mut self,
        held: &BTreeMap<Knob, Held>,
        displaced: &[Displaced],
    ) -> Result<(), SteerError> {
        let entries = Entries {
            boot: self.entries.boot.clone(),
            held: held.values().cloned().collect(),
            displaced: displaced.to_vec(),
        };
        if entries == self.entries && self.file.is_some() {
            return Ok(());
        }
        self.entries = entries;
        self.save().map_err(|source| SteerError::Journal { path: self.path.clone(), source })
    }

    /// Everything is back as it was.
    pub(super) fn remove(&mut self) -> Result<(), SteerError> {
        if self.file.is_some()
            && let Err(source) = fs::remove_file(&self.path)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(SteerError::Journal { path: self.path.clone(), source });
        }
        self.file = None;
        self.entries.held.clear();
        self.entries.displaced.clear();
        Ok(())
    }

    fn save(&mut self) -> io::Result<()> {
        if let Some(directory) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        }
        let new = self.path.with_extension("new");
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        // Before it gets its name, so that nobody finds it unlocked.
        file.lock()?;
        file.write_all(serde_json::to_string_pretty(&self.entries)?.as_bytes())?;
        file.sync_data()?;
        fs::rename(&new, &self.path)?;
        self.file = Some(file);
        Ok(())
    }
}

/// Opens and locks the file that has this name now, None where there is none.
fn lock(path: &Path) -> Result<Option<File>, SteerError> {
    let failed = |source| SteerError::Journal { path: path.to_owned(), source };
    loop {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SteerError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        // Its owner may have replaced or removed it between the two calls.
        let inode = file.metadata().map_err(failed)?.ino();
        if fs::metadata(path).is_ok_and(|now| now.ino() == inode) {
            return Ok(Some(file));
        }
    }
}
