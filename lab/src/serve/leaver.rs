//! A TCP server that forgets every connection at once, without a word.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};

use super::{Counters, bind_any, count};
use crate::load::forget;
use crate::node::Node;

/// The server's end of [`leave_idle`](crate::load::leave_idle).
#[derive(Debug)]
pub struct Leaver {
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

const LISTENER: Token = Token(0);
const WAKE: Token = Token(1);

impl Leaver {
    /// Serves on the port, in both families.
    pub fn start(node: &Node, l4_port: u16) -> anyhow::Result<Self> {
        let mut listener = node
            .run(|| bind_any(l4_port, TcpListener::bind))?
            .with_context(|| format!("{node} cannot listen on TCP port {l4_port}"))?;
        let mut poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let counters = Arc::new(Counters::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (tally, stopped) = (counters.clone(), stop.clone());
        let thread = thread::Builder::new().name(node.name().to_owned()).spawn(move || {
            let mut events = Events::with_capacity(8);
            while !stopped.load(Ordering::Acquire) {
                while let Ok((stream, _)) = listener.accept() {
                    // One that has been reset meanwhile is gone already.
                    if forget(stream.into()).is_ok() {
                        count(&tally.connections, 1);
                    }
                }
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
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for Leaver {
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
