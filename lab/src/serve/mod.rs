//! Servers on real kernel sockets, each on a thread of its own, inside a node. Dropping one stops it and closes its
//! connections.

mod http;
mod leaver;
mod polled;
mod reactor;
mod site;
mod tcp;
mod udp;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::{Domain, Protocol, Socket, Type};

pub use self::http::Http;
pub use self::leaver::Leaver;
pub(crate) use self::site::Site;
pub use self::tcp::{Sink, Source, TcpEcho};
pub use self::udp::UdpEcho;

/// What a server has done so far.
#[derive(Debug, Default)]
pub struct Counters {
    connections: AtomicU64,
    requests: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Counters {
    /// Connections accepted.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Requests answered (HTTP) or datagrams received (UDP).
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Payload bytes received.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Payload bytes sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Connections that wait to be accepted; the kernel's `net.core.somaxconn` may allow fewer. The standard library's 128
/// overflow when many come at once, and then the kernel ignores the end of a handshake.
const BACKLOG: i32 = 4096;

/// Listens on a TCP port at every address of both families, or of IPv4 alone on a kernel without IPv6.
pub(crate) fn listen_any(l4_port: u16) -> io::Result<TcpListener> {
    let listen = |addr: SocketAddr| {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind_any(l4_port, listen)
}

/// The same, to be asked when something has come.
fn listen_polled(l4_port: u16) -> io::Result<mio::net::TcpListener> {
    let listener = listen_any(l4_port)?;
    listener.set_nonblocking(true)?;
    Ok(mio::net::TcpListener::from_std(listener))
}

/// Binds with `bind` to every address of both families, or of IPv4 alone on a kernel without IPv6.
fn bind_any<T>(l4_port: u16, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, l4_port)))
        .or_else(|_| bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, l4_port))))
}

#[cfg(test)]
mod tests;
