//! One thread, one epoll, any number of connections: what every TCP server here runs on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use nix::errno::Errno;

use super::{Counters, count, listen_polled};
use crate::node::Node;
use crate::pattern::MAX_PIECE;

/// What a server does with its connections.
pub(super) trait Service: Send + 'static {
    /// State of one connection.
    type Conn: Send;

    /// A connection was accepted.
    fn open(&mut self, peer: SocketAddr) -> Self::Conn;

    /// The connection may have something to read or room to write. Events come on edges only, so this works until
    /// the socket would block, or returns [`Next::Again`] to let others have a turn. An error closes the connection.
    fn ready(&mut self, conn: &mut Self::Conn, wire: &mut Wire<'_>) -> io::Result<Next>;
}

/// A connection's socket, counted, with a buffer to read into.
pub(super) struct Wire<'a> {
    stream: &'a mut TcpStream,
    buffer: &'a mut [u8],
    counters: &'a Counters,
}

impl Wire<'_> {
    /// Reads what there is: `None` when it would block, nothing at the end of the stream.
    pub(super) fn read(&mut self) -> io::Result<Option<&[u8]>> {
        let got = would_block(io::Read::read(self.stream, self.buffer))?;
        count(&self.counters.received, got.unwrap_or(0) as u64);
        Ok(got.map(|len| &self.buffer[..len]))
    }

    /// Writes some of the bytes: `None` when it would block.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let put = would_block(io::Write::write(self.stream, bytes))?;
        count(&self.counters.sent, put.unwrap_or(0) as u64);
        Ok(put)
    }

    pub(super) fn counters(&self) -> &Counters {
        self.counters
    }
}

/// What a connection needs next.
pub(super) enum Next {
    /// An event.
    Wait,
    /// Another turn: the socket has not blocked yet.
    Again,
    /// To be closed.
    Close,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Reactor {
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

const LISTENER: Token = Token(usize::MAX);
const WAKE: Token = Token(usize::MAX - 1);
/// How soon to try again when the process was out of descriptors: no event will tell of one closed elsewhere.
const RETRY_ACCEPT: Duration = Duration::from_millis(5);

impl Reactor {
    /// Listens on the port in both families inside the node and serves from a new thread.
    pub(super) fn start<S: Service>(node: &Node, l4_port: u16, service: S) -> anyhow::Result<Self> {
        let listener = node
            .run(|| listen_polled(l4_port))?
            .with_context(|| format!("{node} cannot listen on TCP port {l4_port}"))?;
        Self::serve(node.name(), listener, service)
    }

    /// The same where this process is.
    pub(super) fn here<S: Service>(name: &str, l4_port: u16, service: S) -> anyhow::Result<Self> {
        let listener = listen_polled(l4_port);
        let listener = listener.with_context(|| format!("cannot listen on TCP port {l4_port}"))?;
        Self::serve(name, listener, service)
    }

    fn serve<S: Service>(name: &str, listener: TcpListener, service: S) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let counters = Arc::new(Counters::default());
        let stop = Arc::new(AtomicBool::new(false));
        let serving = Serving {
            poll,
            listener,
            service,
            counters: counters.clone(),
            stop: stop.clone(),
            slots: Vec::new(),
        };
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || serving.run())
            .context("cannot start a server thread")?;
        Ok(Self { counters, stop, waker, thread: Some(thread) })
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for Reactor {
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

struct Serving<S: Service> {
    poll: Poll,
    listener: TcpListener,
    service: S,
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    slots: Vec<Option<(TcpStream, S::Conn)>>,
}

impl<S: Service> Serving<S> {
    fn run(mut self) {
        let mut events = Events::with_capacity(256);
        let mut buffer = vec![0; MAX_PIECE];
        let (mut again, mut turn, mut free) = (Vec::new(), Vec::new(), Vec::new());
        let mut more_to_accept = false;
        if self.poll.registry().register(&mut self.listener, LISTENER, Interest::READABLE).is_err() {
            return;
        }
        while !self.stop.load(Ordering::Acquire) {
            let timeout = match (again.is_empty(), more_to_accept) {
                (false, _) => Some(Duration::ZERO),
                (true, true) => Some(RETRY_ACCEPT),
                (true, false) => None,
            };
            match self.poll.poll(&mut events, timeout) {
                Err(err) if err.kind() != io::ErrorKind::Interrupted => return,
                _ => {}
            }
            std::mem::swap(&mut again, &mut turn);
            for event in &events {
                match event.token() {
                    WAKE => {}
                    LISTENER => more_to_accept = true,
                    Token(slot) => turn.push(slot),
                }
            }
            if more_to_accept {
                more_to_accept = !self.accept(&mut free);
            }
            for slot in turn.drain(..) {
                let Some((stream, conn)) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
                    continue;
                };
                let mut wire = Wire { stream, buffer: &mut buffer, counters: &self.counters };
                match self.service.ready(conn, &mut wire) {
                    Ok(Next::Wait) => {}
                    Ok(Next::Again) => again.push(slot),
                    Ok(Next::Close) | Err(_) => {
                        self.slots[slot] = None;
                        free.push(slot);
                    }
                }
            }
        }
    }

    /// Accepts until there is nobody left; false when the process is out of descriptors first. An event for a slot that was closed and used again in the same round is
    /// harmless: its socket would block.
    fn accept(&mut self, free: &mut Vec<usize>) -> bool {
        loop {
            let (mut stream, peer) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(err) if err.raw_os_error() == Some(Errno::EMFILE as i32) => return false,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => continue,
            };
            count(&self.counters.connections, 1);
            let slot = free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                self.slots.len() - 1
            });
            let both = Interest::READABLE | Interest::WRITABLE;
            let registered = stream
                .set_nodelay(true)
                .and_then(|()| self.poll.registry().register(&mut stream, Token(slot), both));
            if registered.is_err() {
                free.push(slot);
                continue;
            }
            let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
            self.slots[slot] = Some((stream, self.service.open(peer)));
        }
    }
}

fn would_block(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(len) => Ok(Some(len)),
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(err) => Err(err),
    }
}
