//! When counting begins and ends, and what the generator itself has used meanwhile.

use std::io;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::Report;

/// Of one run.
pub(super) struct Clock<'a> {
    start: Instant,
    warm_up: Duration,
    duration: Duration,
    /// When counting began, and the thread's CPU then.
    begun: Option<(Instant, Duration)>,
    mark: &'a mut (dyn FnMut() + Send),
}

impl<'a> Clock<'a> {
    /// It starts now.
    pub(super) fn new(warm_up: Duration, duration: Duration, mark: &'a mut (dyn FnMut() + Send)) -> Self {
        Self { start: Instant::now(), warm_up, duration, begun: None, mark }
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    pub(super) fn end(&self) -> Instant {
        match self.begun {
            Some((begun, _)) => begun + self.duration,
            None => self.start + self.warm_up + self.duration,
        }
    }

    /// Whether counting begins just now: what was counted so far does not count.
    pub(super) fn begins(&mut self, now: Instant) -> io::Result<bool> {
        if self.begun.is_some() || now < self.start + self.warm_up {
            return Ok(false);
        }
        (self.mark)();
        self.begun = Some((Instant::now(), cpu()?));
        Ok(true)
    }

    /// The report with its times.
    pub(super) fn finish(self, report: Report, now: Instant) -> io::Result<Report> {
        let used = cpu()?;
        (self.mark)();
        let (begun, before) = self.begun.unwrap_or((now, used));
        Ok(Report {
            seconds: now.saturating_duration_since(begun).as_secs_f64(),
            cpu: used.saturating_sub(before).as_secs_f64(),
            ..report
        })
    }
}

/// The calling thread's.
fn cpu() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}
