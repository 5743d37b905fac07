//! A UDP server that answers every datagram.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

use super::{Counters, bind_any, count};
use crate::node::Node;

/// Sends every datagram back, up to 65,507 bytes. To the datagram [`UdpEcho::WHO`] it answers with its node's name.
#[derive(Debug)]
pub struct UdpEcho {
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

impl UdpEcho {
    /// The question that is answered with the server's name.
    pub const WHO: &[u8] = b"who?";

    /// Serves on the port, in both families.
    pub fn start(node: &Node, l4_port: u16) -> anyhow::Result<Self> {
        let socket = node.run(|| bind_any(l4_port, UdpSocket::bind))?;
        Self::serve(node, socket.with_context(|| format!("{node} cannot listen on UDP port {l4_port}"))?)
    }

    /// Serves at one address, which it then answers from: where the machine would choose another.
    pub fn start_at(node: &Node, at: SocketAddr) -> anyhow::Result<Self> {
        let socket = node.run(|| UdpSocket::bind(at))?;
        Self::serve(node, socket.with_context(|| format!("{node} cannot listen at {at}/udp"))?)
    }

    fn serve(node: &Node, mut socket: UdpSocket) -> anyhow::Result<Self> {
        let mut poll = Poll::new()?;
        poll.registry().register(&mut socket, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let counters = Arc::new(Counters::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (name, tally, stopped) = (node.name().to_owned(), counters.clone(), stop.clone());
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            let mut events = Events::with_capacity(8);
            let mut buffer = vec![0; 65_536];
            while !stopped.load(Ordering::Acquire) {
                answer_all(&socket, &name, &tally, &mut buffer);
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

impl Drop for UdpEcho {
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

/// Answers until nothing is left to read. An ICMP error of an earlier answer shows as an error of the next call and
/// says nothing about the next datagram; an answer for which there is no room is lost, as datagrams may be.
fn answer_all(socket: &UdpSocket, name: &str, counters: &Counters, buffer: &mut [u8]) {
    loop {
        match socket.recv_from(buffer) {
            Ok((len, peer)) => {
                count(&counters.requests, 1);
                count(&counters.received, len as u64);
                let question = &buffer[..len];
                let answer = if question == UdpEcho::WHO { name.as_bytes() } else { question };
                if let Ok(put) = socket.send_to(answer, peer) {
                    count(&counters.sent, put as u64);
                }
            }
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => {}
        }
    }
}
