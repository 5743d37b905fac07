//! What a virtual server, a real server and a checker can each say about checks; the innermost has the last word.

use sched::{Check, CheckKind};

use super::tree::Item;
use super::value;
use crate::foreign::note::Notes;

/// The keywords of [`Timers::take`].
pub(super) const KEYWORDS: [&str; 7] =
    ["delay_loop", "connect_timeout", "retry", "nb_get_retry", "delay_before_retry", "warmup", "alpha"];

/// `delay_loop` of those that do not say; milliseconds, as all times here.
const DELAY_LOOP: u32 = 60_000;
/// More often would be a flood.
const LEAST: u32 = 10;
const CONNECT_TIMEOUT: u32 = 5_000;

/// What is said about checks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timers {
    delay_loop: Option<u32>,
    connect_timeout: Option<u32>,
    retry: Option<u32>,
    delay_before_retry: Option<u32>,
    warmup: Option<u32>,
    /// A server is down until it has been asked.
    pub(super) alpha: Option<bool>,
}

/// What a kind of checker does unless it is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    retry: u32,
    /// Without it, `delay_loop`.
    delay_before_retry: Option<u32>,
}

impl Defaults {
    pub(super) const PLAIN: Self = Self { retry: 1, delay_before_retry: Some(1_000) };
    pub(super) const HTTP: Self = Self { retry: 1, delay_before_retry: Some(3_000) };
    pub(super) const DNS: Self = Self { retry: 3, delay_before_retry: None };
    pub(super) const MISC: Self = Self { retry: 0, delay_before_retry: Some(1_000) };
}

impl Timers {
    /// Whether the keyword is one of these; then it is taken.
    pub(super) fn take(&mut self, item: &Item, notes: &mut Notes) -> bool {
        match item.name() {
            "delay_loop" => self.delay_loop = value::timer(item, LEAST, notes),
            "connect_timeout" => self.connect_timeout = value::timer(item, 1, notes),
            // Its name of old.
            "retry" | "nb_get_retry" => self.retry = value::small(item, 0..=u32::from(u16::MAX), notes),
            "delay_before_retry" => self.delay_before_retry = value::timer(item, 0, notes),
            "warmup" => self.warmup = value::timer(item, 0, notes),
            "alpha" => self.alpha = Some(value::switch(item, notes)),
            _ => return false,
        }
        true
    }

    /// With what is said further out, where nothing is said here.
    pub(super) fn within(self, outer: Self) -> Self {
        Self {
            delay_loop: self.delay_loop.or(outer.delay_loop),
            connect_timeout: self.connect_timeout.or(outer.connect_timeout),
            retry: self.retry.or(outer.retry),
            delay_before_retry: self.delay_before_retry.or(outer.delay_before_retry),
            warmup: self.warmup.or(outer.warmup),
            alpha: self.alpha.or(outer.alpha),
        }
    }

    /// Milliseconds between two questions.
    pub(super) fn interval(self) -> u32 {
        self.delay_loop.unwrap_or(DELAY_LOOP)
    }

    /// A check that keeps these times. So many retries are one failure more; one success is enough.
    pub(super) fn check(self, kind: CheckKind, defaults: Defaults) -> Check {
        let interval = self.interval();
        let retry = self.retry.unwrap_or(defaults.retry);
        let again = self.delay_before_retry.or(defaults.delay_before_retry).unwrap_or(interval);
        Check {
            interval,
            fast_interval: (retry > 0 && again != interval).then_some(again.max(LEAST)),
            timeout: self.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            fall: retry + 1,
            rise: 1,
            warmup: self.warmup,
            ..Check::new(kind)
        }
    }
}
