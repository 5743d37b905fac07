//! Clients on real kernel sockets. A socket is made inside a node and can then be used from anywhere.

mod http;
mod ping;
mod udp;

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

pub use self::http::{Connection, Reply, Transfer, download, get, upload};
pub use self::ping::ping;
pub use self::udp::{UdpClient, udp_exchange};

use crate::node::Node;

/// Longest wait for a connection, and for the next byte of an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Connects from the node. Reads and writes give up after [`PATIENCE`].
///
/// # Errors
/// When nobody answers within [`PATIENCE`] or the connection is refused; the [`std::io::Error`] is the root cause.
pub fn connect(node: &Node, target: SocketAddr) -> anyhow::Result<TcpStream> {
    let connect = || -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    node.run(connect)?.with_context(|| format!("{node} cannot connect to {target}"))
}
