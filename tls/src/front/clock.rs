//! The wall clock as its owner last set it. This crate has no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Unix time in whole seconds. Whoever has a real clock sets it about once a second; fronts and tickets read it.
#[derive(Debug)]
pub struct Clock(AtomicU64);

impl Clock {
    /// A clock that shows `now` until it is set.
    pub fn at(now: SystemTime) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seconds(now))))
    }

    /// It is `now`. Going back is allowed.
    pub fn set(&self, now: SystemTime) {
        self.0.store(seconds(now), Ordering::Relaxed);
    }

    pub(super) fn seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.seconds())))
    }
}

/// Before 1970 is 1970.
fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
