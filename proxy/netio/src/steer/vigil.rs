//! When to look at the host again: after events, which come in bursts, and now and then without any.

use std::time::Duration;

use tokio::time::Instant;

use super::events::{Event, Events};

/// How often everything is compared when nothing happens: settings change without an event, path MTUs too.
const REFRESH: Duration = Duration::from_secs(5);
/// Events come in bursts.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// Whoever waits for that.
#[derive(Debug)]
pub(super) struct Vigil {
    events: Events,
    /// Something may have happened that was not looked at yet.
    dirty: Event,
    next_refresh: Instant,
}

impl Vigil {
    /// Of somebody who has looked at everything just now.
    pub(super) fn new(events: Events) -> Self {
        Self { events, dirty: Event::Nothing, next_refresh: Instant::now() + REFRESH }
    }

    /// Waits until something has happened and no more comes, and says what: nothing is due any more then. May be dropped
    /// while waiting.
    pub(super) async fn next(&mut self) -> Event {
        while self.dirty == Event::Nothing {
            tokio::select! {
                event = self.events.next() => self.dirty = event,
                () = tokio::time::sleep_until(self.next_refresh) => self.dirty = Event::Anything,
            }
        }
        let burst_over = Instant::now() + DEBOUNCE;
        while let Ok(event) = tokio::time::timeout_at(burst_over, self.events.next()).await {
            self.dirty = self.dirty.max(event);
        }
        std::mem::replace(&mut self.dirty, Event::Nothing)
    }

    /// Everything is looked at now, whatever has happened.
    pub(super) fn looked(&mut self) {
        self.next_refresh = Instant::now() + REFRESH;
        self.dirty = Event::Nothing;
    }

    /// Whether all that has happened has been looked at.
    pub(super) fn is_quiet(&self) -> bool {
        self.dirty == Event::Nothing
    }

    /// Passes over changes of nf_tables that this socket asks for.
    pub(super) fn pass_over_nftables(&mut self, ours: u32) {
        self.events.pass_over_nftables(ours);
    }
}
