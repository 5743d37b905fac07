//! The socket itself. Its name is abstract, so it belongs to the network namespace, leaves no file behind, and goes
//! away with the process: holding it is the lock that keeps a second engine out.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as unix;

use tokio::net::{UnixListener, UnixStream};

/// The name, without the leading NUL that makes it abstract.
pub const SOCKET_NAME: &str = "ulvs/control";

/// The control socket, bound and listening.
#[derive(Debug)]
pub struct ControlSocket {
    pub(super) listener: UnixListener,
    /// The user that runs the engine, as seen in its own user namespace.
    pub(super) owner: u32,
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An engine runs in this network namespace already.
    #[error("an engine is already running in this network namespace{}", .pid.map(|p| format!(" (pid {p})")).unwrap_or_default())]
    AlreadyRunning {
        /// Its process id in our pid namespace; `None` if it lives in one that we cannot see.
        pid: Option<i32>,
    },
    /// Anything else.
    #[error("cannot create the control socket: {0}")]
    Io(#[from] io::Error),
}

impl ControlSocket {
    /// Binds the socket of the current thread's network namespace. Needs a tokio runtime with IO.
    pub fn bind() -> Result<Self, BindError> {
        Self::bind_named(SOCKET_NAME)
    }

    pub(super) fn bind_named(name: &str) -> Result<Self, BindError> {
        let addr = unix::SocketAddr::from_abstract_name(name)?;
        let listener = match unix::UnixListener::bind_addr(&addr) {
            Ok(listener) => listener,
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                let holder = connect_named(name).and_then(|s| s.peer_cred());
                return Err(BindError::AlreadyRunning {
                    pid: holder.ok().and_then(|c| c.pid()).filter(|p| *p != 0),
                });
            }
            Err(e) => return Err(e.into()),
        };
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, owner: own_uid()? })
    }
}

/// Connects to the socket of the current thread's network namespace.
pub(super) fn connect_named(name: &str) -> io::Result<UnixStream> {
    let stream = unix::UnixStream::connect_addr(&unix::SocketAddr::from_abstract_name(name)?)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// What the kernel would tell a peer about us.
fn own_uid() -> io::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
}
