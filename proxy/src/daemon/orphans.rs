//! Connections whose servers have been removed: ended when those have been gone for a while, as the settings want it.

use std::time::Duration;

use engine::Engine;
use tokio::time::Instant;

use super::walk::{BREATH, STEP};

/// How long a server has to be gone before its connections end: a script that flushes all and restores it takes less.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Where in the table the walk goes on.
    at: u32,
    next_look: Option<Instant>,
    /// Servers have been removed since the walk began.
    again: bool,
}

impl Orphans {
    /// Servers have been removed, and some may have connections.
    pub(super) fn expect(&mut self, now: Instant) {
        self.again |= self.at > 0;
        self.next_look.get_or_insert(now + GRACE);
    }

    pub(super) const fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// Does a step; the workers, who end what it finds, have to be woken.
    pub(super) fn look(&mut self, engine: &Engine, now: Instant) {
        let (next, _) = engine.end_orphans_from(self.at, STEP);
        self.at = next.unwrap_or(0);
        self.next_look = match next {
            Some(_) => Some(now + BREATH),
            None => std::mem::take(&mut self.again).then(|| now + GRACE),
        };
    }
}
