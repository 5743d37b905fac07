//! Notes of what was there before: written down before the first change, so that it can be put back after any end.
//!
//! One file of each kind per network namespace, named after the namespace's cookie and locked while its writer has it
//! open. What was noted in another boot of the kernel describes nothing that still exists, and is forgotten.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::place;
use crate::sysctl::Knob;

/// A setting that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) knob: Knob,
    /// The device's name when it was written.
    pub(crate) device: String,
    /// What it was, or what somebody else has set it to since.
    pub(crate) original: i64,
    /// What we set it to.
    pub(crate) ours: i64,
}

/// Why there is no journal.
#[derive(Debug)]
pub(crate) enum JournalError {
    /// Another process holds it.
    Busy { path: PathBuf },
    /// The file, or what names it, cannot be used.
    Io { path: PathBuf, source: io::Error },
}

/// The contents of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Contents<E> {
    /// The boot that they are about.
    boot: String,
    #[serde(flatten)]
    entries: E,
}

/// The file, locked.
#[derive(Debug)]
pub(crate) struct Journal<E> {
    path: PathBuf,
    /// Keeps the lock; none before there is anything to write.
    file: Option<File>,
    contents: Contents<E>,
}

impl<E: Clone + Default + PartialEq + Serialize + DeserializeOwned> Journal<E> {
    /// The journal of this kind of the namespace of the calling thread: what an earlier process left behind, or empty.
    pub(crate) fn open(directory: &Path, kind: &str) -> Result<Self, JournalError> {
        let path = path(directory, kind)?;
        let empty = Contents { boot: boot()?, entries: E::default() };
        let Some(file) = lock(&path)? else {
            return Ok(Self { path, file: None, contents: empty });
        };
        let contents = parse(&path, &file, empty)?;
        Ok(Self { path, file: Some(file), contents })
    }

    /// What the journal says now, without locking it: another process may be about to change it.
    pub(crate) fn peek(directory: &Path, kind: &str) -> Result<E, JournalError> {
        let path = path(directory, kind)?;
        let empty = Contents { boot: boot()?, entries: E::default() };
        match File::open(&path) {
            Ok(file) => parse(&path, &file, empty).map(|contents| contents.entries),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(empty.entries),
            Err(source) => Err(JournalError::Io { path, source }),
        }
    }

    pub(crate) fn entries(&self) -> &E {
        &self.contents.entries
    }

    /// Writes down new contents, on disk before this returns. Nothing is done where nothing is new.
    pub(crate) fn write(&mut self, entries: E) -> Result<(), JournalError> {
        if entries == self.contents.entries && self.file.is_some() {
            return Ok(());
        }
        self.contents.entries = entries;
        self.save().map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }

    /// Everything is back as it was.
    pub(crate) fn remove(&mut self) -> Result<(), JournalError> {
        if self.file.is_some()
            && let Err(source) = fs::remove_file(&self.path)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(JournalError::Io { path: self.path.clone(), source });
        }
        self.file = None;
        self.contents.entries = E::default();
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
        file.write_all(serde_json::to_string_pretty(&self.contents)?.as_bytes())?;
        file.sync_data()?;
        fs::rename(&new, &self.path)?;
        self.file = Some(file);
        Ok(())
    }
}

pub(crate) fn path(directory: &Path, kind: &str) -> Result<PathBuf, JournalError> {
    let proc = Path::new("/proc/thread-self/ns/net");
    let namespace = place::netns_id().map_err(|source| JournalError::Io { path: proc.to_owned(), source })?;
    Ok(directory.join(match namespace.cookie {
        Some(cookie) => format!("{kind}-{cookie}.json"),
        None => format!("{kind}-inode-{}.json", namespace.inode),
    }))
}

fn boot() -> Result<String, JournalError> {
    let proc = Path::new("/proc/sys/kernel/random/boot_id");
    place::boot_id().map_err(|source| JournalError::Io { path: proc.to_owned(), source })
}

/// What the file says, or `empty` if it is about another boot.
fn parse<E: DeserializeOwned>(
    path: &Path,
    mut file: &File,
    empty: Contents<E>,
) -> Result<Contents<E>, JournalError> {
    let failed = |source| JournalError::Io { path: path.to_owned(), source };
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    let left: Contents<E> = serde_json::from_str(&text).map_err(|e| failed(e.into()))?;
    Ok(if left.boot == empty.boot { left } else { empty })
}

/// Opens and locks the file that has this name now, None where there is none.
fn lock(path: &Path) -> Result<Option<File>, JournalError> {
    let failed = |source| JournalError::Io { path: path.to_owned(), source };
    loop {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        // Its owner may have replaced or removed it between the two calls.
        let inode = file.metadata().map_err(failed)?.ino();
        if fs::metadata(path).is_ok_and(|now| now.ino() == inode) {
            return Ok(Some(file));
        }
    }
}
