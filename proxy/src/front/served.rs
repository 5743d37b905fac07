//! A front as those have it who serve it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use arc_swap::ArcSwap;
use sched::{ServiceKey, TlsFront};
use tls::{Counters, Front, RedirectTerms, Terms, Warning};

use super::load::check_secrecy;

/// A front, for as long as its service has one.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) key: ServiceKey,
    pub(crate) counters: Arc<Counters>,
    pub(super) now: ArcSwap<Current>,
    pub(super) rate: Rate,
    /// Connections refused because there were too many.
    pub(super) too_many: AtomicU64,
}

/// What it is at present. Sessions keep what they began with.
pub(crate) struct Current {
    pub(crate) spec: Arc<TlsFront>,
    pub(crate) vips: Vec<IpAddr>,
    pub(crate) front: Arc<Front>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) redirect: Option<Arc<RedirectTerms>>,
    pub(crate) warnings: Vec<Warning>,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").field("spec", &self.spec).field("vips", &self.vips).finish_non_exhaustive()
    }
}

impl Served {
    pub(super) fn new(key: ServiceKey, counters: Arc<Counters>, current: Current) -> Self {
        let too_many = AtomicU64::new(0);
        Self { key, counters, now: ArcSwap::from_pointee(current), rate: Rate::default(), too_many }
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        self.now.load_full()
    }

    /// Whether one more client may be served. Counts it as refused if not.
    pub(super) fn has_room(&self) -> bool {
        let limit = u64::from(self.now.load().spec.limits.connections);
        let room = limit == 0 || self.counters.open.get() < limit;
        if !room {
            self.too_many.fetch_add(1, Relaxed);
        }
        room
    }
}

/// Bounds what begins in a second, for all threads together.
#[derive(Debug, Default)]
pub(super) struct Rate(Mutex<Option<(Instant, u32)>>);

impl Rate {
    const SECOND: Duration = Duration::from_secs(1);

    /// When one more may begin, if that is not now. 0 is no bound.
    pub(super) fn full_until(&self, limit: u32, now: Instant) -> Option<Instant> {
        if limit == 0 {
            return None;
        }
        let window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, taken) =
            window.filter(|(began, _)| now.saturating_duration_since(*began) < Self::SECOND)?;
        (taken >= limit).then(|| began + Self::SECOND)
    }

    /// One has begun.
    pub(super) fn count(&self, limit: u32, now: Instant) {
        if limit == 0 {
            return;
        }
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *window {
            Some((began, taken)) if now.saturating_duration_since(*began) < Self::SECOND => *taken += 1,
            _ => *window = Some((now, 1)),
        }
    }
}

/// Secrets of sessions in the format that Wireshark reads (SSLKEYLOGFILE).
#[derive(Debug)]
pub(super) struct KeyLogFile(Mutex<File>);

impl KeyLogFile {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let unwritable = || format!("cannot write {}", path.display());
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let file = file.with_context(unwritable)?;
        // It may have been there.
        check_secrecy(path, &file.metadata().with_context(unwritable)?)?;
        Ok(Self(Mutex::new(file)))
    }
}

impl tls::KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not end sessions.
        let _ = file.write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_so_many_in_a_second_and_says_when_to_come_back() {
        let (rate, now) = (Rate::default(), Instant::now());
        let begin = |at| {
            let full = rate.full_until(5, at);
            if full.is_none() {
                rate.count(5, at);
            }
            full
        };
        assert!((0..5).all(|_| begin(now).is_none()));
        assert_eq!(begin(now + Duration::from_millis(400)), Some(now + Duration::from_secs(1)));
        assert_eq!(begin(now + Duration::from_secs(1)), None);
        assert_eq!(rate.full_until(0, now), None);
    }
}
