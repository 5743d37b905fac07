//! A thread for one socket: whenever something comes, it looks at all that is there.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use mio::event::Source;
use mio::{Events, Interest, Poll, Token, Waker};

use super::Counters;
use crate::node::Node;

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

/// The running thread. It ends when this is dropped.
pub(super) struct Polled {
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Polled {
    /// Starts it. `serve` is to go on until nothing is left to read, or to accept.
    pub(super) fn start<S: Source + Send + 'static>(
        node: &Node,
        mut socket: S,
        interest: Interest,
        mut serve: impl FnMut(&S, &Counters) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let mut poll = Poll::new()?;
        poll.registry().register(&mut socket, SOCKET, interest)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let counters = Arc::new(Counters::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (tally, stopped) = (counters.clone(), stop.clone());
        let thread = thread::Builder::new().name(node.name().to_owned()).spawn(move || {
            let mut events = Events::with_capacity(8);
            while !stopped.load(Ordering::Acquire) {
                serve(&socket, &tally);
                match poll.poll(&mut events, None) {
                    Err(err) if err.kind() != io::ErrorKind::Interrupted => return,
                    _ => {}
                }
            }
        });
        let thread = thread.context("cannot start a server thread")?;
        Ok(Self { counters, stop, waker, thread: Some(thread) })
    }

    /// What it has done so far.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Without a wake-up the thread would never see it, and joining it would hang.
        if self.waker.wake().is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A panic has been printed by the thread itself; a drop must not add one of its own.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Polled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polled").field("counters", &self.counters).finish_non_exhaustive()
    }
}
