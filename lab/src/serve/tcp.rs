//! The plain TCP servers: echo, sink and source.

use std::io;
use std::net::SocketAddr;

use super::Counters;
use super::reactor::{Next, Reactor, Service, Wire};
use crate::node::Node;
use crate::pattern::Pattern;

/// Rounds that one connection has before the others get theirs.
const TURN: usize = 16;

/// Sends back what it receives; closes when the client has closed its side.
#[derive(Debug)]
pub struct TcpEcho(Reactor);

impl TcpEcho {
    /// Serves on the port, in both families.
    pub fn start(node: &Node, l4_port: u16) -> anyhow::Result<Self> {
        Reactor::start(node, l4_port, Echo).map(Self)
    }

    /// What it has done so far.
    pub fn counters(&self) -> &Counters {
        self.0.counters()
    }
}

/// Reads and forgets.
#[derive(Debug)]
pub struct Sink(Reactor);

impl Sink {
    /// Serves on the port, in both families.
    pub fn start(node: &Node, l4_port: u16) -> anyhow::Result<Self> {
        Reactor::start(node, l4_port, Discard).map(Self)
    }

    /// What it has done so far.
    pub fn counters(&self) -> &Counters {
        self.0.counters()
    }
}

/// Sends the default [`Pattern`] until the client goes away.
#[derive(Debug)]
pub struct Source(Reactor);

impl Source {
    /// Serves on the port, in both families.
    pub fn start(node: &Node, l4_port: u16) -> anyhow::Result<Self> {
        Reactor::start(node, l4_port, Generate(Pattern::default())).map(Self)
    }

    /// What it has done so far.
    pub fn counters(&self) -> &Counters {
        self.0.counters()
    }
}

struct Echo;

/// Bytes read and not yet sent back, from `sent` on.
#[derive(Default)]
struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
}

impl Service for Echo {
    type Conn = Unsent;

    fn open(&mut self, _: SocketAddr) -> Unsent {
        Unsent::default()
    }

    fn ready(&mut self, conn: &mut Unsent, wire: &mut Wire<'_>) -> io::Result<Next> {
        for _ in 0..TURN {
            while conn.sent < conn.bytes.len() {
                let Some(put) = wire.write(&conn.bytes[conn.sent..])? else { return Ok(Next::Wait) };
                conn.sent += put;
            }
            conn.bytes.clear();
            conn.sent = 0;
            match wire.read()? {
                None => return Ok(Next::Wait),
                Some([]) => return Ok(Next::Close),
                Some(bytes) => conn.bytes.extend_from_slice(bytes),
            }
        }
        Ok(Next::Again)
    }
}

struct Discard;

impl Service for Discard {
    type Conn = ();

    fn open(&mut self, _: SocketAddr) {}

    fn ready(&mut self, (): &mut (), wire: &mut Wire<'_>) -> io::Result<Next> {
        for _ in 0..TURN {
            match wire.read()? {
                None => return Ok(Next::Wait),
                Some([]) => return Ok(Next::Close),
                Some(_) => {}
            }
        }
        Ok(Next::Again)
    }
}

struct Generate(Pattern);

impl Service for Generate {
    type Conn = u64;

    fn open(&mut self, _: SocketAddr) -> u64 {
        0
    }

    fn ready(&mut self, offset: &mut u64, wire: &mut Wire<'_>) -> io::Result<Next> {
        for _ in 0..TURN {
            match wire.write(self.0.at(*offset, u64::MAX))? {
                None => return Ok(Next::Wait),
                Some(put) => *offset += put as u64,
            }
        }
        Ok(Next::Again)
    }
}
