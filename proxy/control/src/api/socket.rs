//! The socket itself. Its name is abstract, so it belongs to the network namespace, leaves no file behind, and goes
//! away with the process: holding it is the lock that keeps a second engine out.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as unix;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout_at};

/// The name, without the leading NUL that makes it abstract.
pub const SOCKET_NAME: &str = "ulvs/control";

/// How long a holder of the name may stay silent: the kernel takes a while to close what a killed engine held, and
/// until then the name is taken although nobody will answer.
const SILENCE: Duration = Duration::from_secs(2);

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
    /// Binds the socket of the current thread's network namespace. If another process holds it, one that answers is an
    /// engine; one that is dying is waited for, a few seconds at most. Needs a tokio runtime with IO and time.
    pub async fn bind() -> Result<Self, BindError> {
        Self::bind_named(SOCKET_NAME).await
    }

    pub(super) async fn bind_named(name: &str) -> Result<Self, BindError> {
        let addr = unix::SocketAddr::from_abstract_name(name)?;
        let patience = Instant::now() + SILENCE;
        let listener = loop {
            match unix::UnixListener::bind_addr(&addr) {
                Ok(listener) => break listener,
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => {}
                Err(e) => return Err(e.into()),
            }
            let holder = connect_named(name);
            let pid = holder.as_ref().ok().and_then(|s| s.peer_cred().ok()?.pid()).filter(|p| *p != 0);
            let answers = match holder {
                Ok(stream) => timeout_at(patience, answers(stream)).await.is_ok_and(|a| a.unwrap_or(false)),
                Err(_) => false,
            };
            if answers || Instant::now() >= patience {
                return Err(BindError::AlreadyRunning { pid });
            }
            sleep(Duration::from_millis(10)).await;
        };
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, owner: own_uid()? })
    }
}

/// Whether somebody is alive at the other end: any answer will do.
async fn answers(mut stream: UnixStream) -> io::Result<bool> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ulvs\r\nConnection: close\r\n\r\n").await?;
    Ok(stream.read(&mut [0; 1]).await? > 0)
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
