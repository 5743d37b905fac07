//! When paced requests are due. epoll counts in milliseconds, which is too coarse: a timer of the kernel's wakes us.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Requests that are due within so long are made together.
const TICK: Duration = Duration::from_micros(100);
/// No connection's.
const TIMER: Token = Token(usize::MAX);

pub(super) struct Pace {
    /// Nobody reads it: each expiration is an edge.
    _timer: TimerFd,
    gap: Duration,
    next: Instant,
}

impl Pace {
    pub(super) fn new(per_s: u32, registry: &Registry) -> io::Result<Self> {
        let gap = Duration::from_secs(1) / per_s.max(1);
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        timer
            .set(Expiration::Interval(TimeSpec::from_duration(gap.max(TICK))), TimerSetTimeFlags::empty())?;
        registry.register(&mut SourceFd(&timer.as_fd().as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self { _timer: timer, gap, next: Instant::now() + gap })
    }

    /// When the next request was due, if it was.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next;
        if due > now {
            return None;
        }
        self.next += self.gap;
        Some(due)
    }
}
