//! Sockets of fronts: the host's TCP at addresses that need not be the host's.
//!
//! Packets come to them by steering ([`crate::steer::Targets::fronts`]).

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::steer::OWN;
use crate::sys::socket::{disconnect, set_transparent};

/// Connections that wait to be accepted; the kernel's `net.core.somaxconn` may allow fewer.
const BACKLOG: i32 = 16_384;

/// Listens on an address that need not be the host's, together with others who do the same there. Neither it nor what it
/// accepts ever blocks.
///
/// # Errors
/// Somebody else listens there; no right to use other addresses (`CAP_NET_ADMIN` or `CAP_NET_RAW`).
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket =
        Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    set_transparent(&socket, addr.is_ipv6())?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Begins a connection to a server, which may be complete only later: then the socket becomes writable. What the server
/// says comes to it without passing our device.
///
/// # Errors
/// No way to the server; no descriptor or port left.
pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket =
        Socket::new(Domain::for_address(to), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_mark(OWN)?;
    match socket.connect(&SockAddr::from(to)) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// Ends a connection so that the other end learns that something is wrong (RST), and forgets what was not sent yet.
///
/// # Errors
/// It is no socket of TCP.
pub fn reset(socket: &impl AsRawFd) -> io::Result<()> {
    disconnect(socket)
}
