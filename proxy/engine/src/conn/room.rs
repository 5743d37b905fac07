//! How many entries there may be, connections and templates together.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Room for a bounded number of entries, shared by the tables that hold them.
#[derive(Debug)]
pub(crate) struct Room {
    held: AtomicUsize,
    max: usize,
}

impl Room {
    pub(crate) const fn new(max: usize) -> Self {
        Self { held: AtomicUsize::new(0), max }
    }

    /// As much room, of which as much is taken.
    pub(crate) fn copied(&self) -> Self {
        Self { held: self.held().into(), max: self.max }
    }

    pub(crate) const fn max(&self) -> usize {
        self.max
    }

    /// Places that nobody has taken.
    pub(crate) fn free(&self) -> usize {
        self.max.saturating_sub(self.held())
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Takes a place. False when there is none.
    #[must_use]
    pub(crate) fn take(&self) -> bool {
        let free = self.held.fetch_add(1, Relaxed) < self.max;
        if !free {
            self.give_back();
        }
        free
    }

    pub(crate) fn give_back(&self) {
        self.held.fetch_sub(1, Relaxed);
    }
}
