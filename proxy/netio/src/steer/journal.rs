//! What was there before steering began. What can be told by itself (rules and proxy entries by protocol 117, routes by
//! table, the nf_tables table by name) is not in it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SteerError;
use super::rules::Displaced;
use crate::journal::{self, Held};
use crate::sysctl::Knob;

/// The kind of this journal: files `netns-COOKIE.json`.
pub(crate) const KIND: &str = "netns";

/// The contents of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entries {
    /// Settings that we changed.
    pub(super) held: Vec<Held>,
    /// Rules that we moved away from preference 0.
    pub(super) displaced: Vec<Displaced>,
}

/// The file, locked.
#[derive(Debug)]
pub(super) struct Journal(journal::Journal<Entries>);

impl Journal {
    /// The journal of the namespace of the calling thread: what an earlier process left behind, or empty.
    ///
    /// # Errors
    /// [`SteerError::Busy`] while another process holds it.
    pub(super) fn open(directory: &Path) -> Result<Self, SteerError> {
        Ok(Self(journal::Journal::open(directory, KIND)?))
    }

    pub(super) fn entries(&self) -> &Entries {
        self.0.entries()
    }

    /// Writes down new contents, on disk before this returns. Nothing is done where nothing is new.
    pub(super) fn write(
        &mut self,
        held: &BTreeMap<Knob, Held>,
        displaced: &[Displaced],
    ) -> Result<(), SteerError> {
        let held = held.values().cloned().collect();
        Ok(self.0.write(Entries { held, displaced: displaced.to_vec() })?)
    }

    /// Everything is back as it was.
    pub(super) fn remove(&mut self) -> Result<(), SteerError> {
        Ok(self.0.remove()?)
    }
}
