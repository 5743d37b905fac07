//! Fronts by the host's own TCP: threads with listeners and sockets.
//!
//! Each thread has a listener of its own at each address, among which the kernel shares the clients out; a session
//! stays on the thread that has accepted it, and nothing of it is shared.

mod accept;
mod leg;
mod tcp;
mod thread;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context;

pub(super) use self::leg::HostLeg;
pub(super) use self::tcp::HostTcp;
use self::thread::Thread;
use super::served::Served;

/// What a thread is told.
pub(super) enum Command {
    /// Clients come here.
    Listen { served: Arc<Served>, at: SocketAddr, kind: Kind, listener: TcpListener },
    /// No longer; dropped when that is done.
    Close { at: SocketAddr, done: SyncSender<()> },
    /// It ends, and with it all its sessions.
    Stop,
}

/// What is spoken at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// TLS.
    Tls,
    /// Plain HTTP, which is told to speak TLS.
    Redirect,
}

/// The running threads; they stop when this is dropped.
pub(super) struct Threads {
    all: Vec<Running>,
}

/// How to tell a thread something, and how to wait for its end.
type Running = (Sender<Command>, Arc<mio::Waker>, Option<JoinHandle<()>>);

impl Threads {
    /// One thread for each worker of the engine that is given.
    pub(super) fn start(workers: Vec<engine::Worker>) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for (i, worker) in workers.into_iter().enumerate() {
            let (commands, inbox) = channel();
            let (thread, waker) = Thread::new(worker, inbox).context("cannot make a poll for fronts")?;
            let handle = std::thread::Builder::new()
                .name(format!("front-{i}"))
                .spawn(move || thread.run())
                .context("cannot start a thread for fronts")?;
            all.push((commands, waker, Some(handle)));
        }
        Ok(Self { all })
    }

    /// Has clients at `at` served from now on.
    ///
    /// # Errors
    /// The address cannot be listened at: then nobody listens.
    pub(super) fn listen(&self, served: &Arc<Served>, at: SocketAddr, kind: Kind) -> std::io::Result<()> {
        let listeners = (0..self.all.len()).map(|_| netio::front::listen(at));
        let listeners = listeners.collect::<std::io::Result<Vec<_>>>()?;
        for ((commands, waker, _), listener) in self.all.iter().zip(listeners) {
            let served = Arc::clone(served);
            tell(commands, waker, Command::Listen { served, at, kind, listener });
        }
        Ok(())
    }

    /// Lets nobody in there any more. Those who are in stay. Waits until nobody listens: whoever came to a listener
    /// about to be closed would be reset, though somebody else listens there by then.
    pub(super) fn close(&self, at: SocketAddr) {
        let (done, closed) = sync_channel(0);
        for (commands, waker, _) in &self.all {
            tell(commands, waker, Command::Close { at, done: done.clone() });
        }
        drop(done);
        // Nothing is ever said: it ends when the last thread has dropped its end.
        let _ = closed.recv();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for (commands, waker, _) in &self.all {
            tell(commands, waker, Command::Stop);
        }
        for (_, _, thread) in &mut self.all {
            // A panic has been told on stderr.
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}

/// A thread that has ended hears nothing.
fn tell(commands: &Sender<Command>, waker: &mio::Waker, command: Command) {
    let _ = commands.send(command);
    let _ = waker.wake();
}
