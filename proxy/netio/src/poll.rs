//! Sleeping until a queue has a packet, somebody calls, or time is up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

/// Interrupts the [`wait`] of a worker from any thread. Clones wake the same worker. A call is never lost: it lasts
/// until the worker has seen it.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<EventFd>,
}

/// Why [`wait`] returned. Neither field is set when time was up or a signal came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// A read will not find the descriptor empty: a packet is there, or an error that the read will tell.
    pub readable: bool,
    /// [`Waker::wake`] was called since the last time this was set.
    pub woken: bool,
}

impl Waker {
    /// A waker that nobody has called yet.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { event: Arc::new(event) })
    }

    /// Ends the worker's wait, or its next one. Safe to call as often as one likes.
    pub fn wake(&self) {
        // Fails only with EAGAIN, when 2^64 - 2 calls are waiting to be seen: then the worker is called already.
        let _ = self.event.write(1);
    }

    fn take(&self) {
        // Fails only with EAGAIN, when a clone's worker was faster.
        let _ = self.event.read();
    }
}

/// So many descriptors may be waited for besides the source.
pub const MOST_OTHERS: usize = 3;

/// Sleeps until `source` or one of the `others` (at most [`MOST_OTHERS`]) is readable or `waker` was called, at most for `timeout` (without one: for as
/// long as it takes). A zero timeout only looks.
///
/// # Errors
/// The kernel has no memory for the wait.
pub fn wait<'a>(
    source: &impl AsFd,
    others: impl IntoIterator<Item = BorrowedFd<'a>>,
    waker: &Waker,
    timeout: Option<Duration>,
) -> io::Result<Wake> {
    let of = |fd| PollFd::new(fd, PollFlags::POLLIN);
    // The waker stands for those that there are not.
    let mut fds = [waker.event.as_fd(); 2 + MOST_OTHERS].map(of);
    fds[0] = of(source.as_fd());
    for (place, other) in fds[2..].iter_mut().zip(others) {
        *place = of(other);
    }
    match ppoll(&mut fds, timeout.map(TimeSpec::from_duration), None) {
        Ok(_) => {}
        Err(nix::errno::Errno::EINTR) => return Ok(Wake::default()),
        Err(e) => return Err(e.into()),
    }
    let [readable, woken, ..] = fds.map(|fd| fd.any().unwrap_or(true));
    if woken {
        waker.take();
    }
    Ok(Wake { readable, woken })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use super::*;

    #[test]
    fn returns_for_the_source_the_waker_and_the_clock() {
        let (mut far, near) = UnixStream::pair().unwrap();
        let waker = Waker::new().unwrap();

        let start = Instant::now();
        assert_eq!(wait(&near, None, &waker, Some(Duration::from_millis(20))).unwrap(), Wake::default());
        assert!(start.elapsed() >= Duration::from_millis(20));

        far.write_all(b"x").unwrap();
        assert_eq!(wait(&near, None, &waker, None).unwrap(), Wake { readable: true, woken: false });

        let remote = waker.clone();
        let thread = std::thread::spawn(move || {
            remote.wake();
            remote.wake();
        });
        thread.join().unwrap();
        assert_eq!(wait(&near, None, &waker, None).unwrap(), Wake { readable: true, woken: true });
        let now = Some(Duration::ZERO);
        assert_eq!(wait(&near, None, &waker, now).unwrap(), Wake { readable: true, woken: false });
    }

    #[test]
    fn a_wake_ends_a_wait_without_a_timeout() {
        let (_far, near) = UnixStream::pair().unwrap();
        let waker = Waker::new().unwrap();
        let remote = waker.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            remote.wake();
        });
        assert_eq!(wait(&near, None, &waker, None).unwrap(), Wake { readable: false, woken: true });
        thread.join().unwrap();
    }

    #[test]
    fn a_closed_peer_counts_as_readable() {
        let (far, near) = UnixStream::pair().unwrap();
        drop(far);
        let waker = Waker::new().unwrap();
        assert!(wait(&near, None, &waker, None).unwrap().readable);
    }
}
