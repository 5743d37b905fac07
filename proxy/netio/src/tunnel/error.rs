//! What keeps packets in tunnels from being received, and the way out.

use std::ffi::c_int;
use std::io;

use crate::tun::TunError;

/// Why nothing is taken out of tunnels.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// The right to open raw sockets is missing.
    #[error(
        "receiving packets in tunnels takes a raw socket, and that CAP_NET_RAW in this network namespace: run as root; \
         in a container, start it with `--cap-add NET_RAW`"
    )]
    NoCapability,
    /// Somebody else has the port.
    #[error(
        "UDP port {port}, for GUE, is taken by another program of this host (`ss -ulnp 'sport = :{port}'` names it): \
         stop it, or choose another port with --gue-port, here and on the director (--tun-port)"
    )]
    PortTaken {
        /// The port asked for.
        port: u16,
    },
    /// There is no device to hand packets over to.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// The device has to have a setting.
    #[error("cannot set {name} to {want}: {source}")]
    Setting {
        /// As sysctl(8) writes it.
        name: String,
        /// The value that is needed.
        want: i64,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot {action}: {source}")]
    Other {
        /// What was tried, as in "cannot ...".
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl TunnelError {
    pub(super) fn raw(protocol: c_int, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NoCapability,
            _ if protocol == libc::IPPROTO_GRE => Self::Other { action: "open a raw socket for GRE", source },
            _ => Self::Other { action: "open a raw socket for IPIP", source },
        }
    }

    pub(super) fn options(source: io::Error) -> Self {
        Self::Other { action: "set up a socket for packets in tunnels", source }
    }

    pub(super) fn bind(port: u16, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortTaken { port },
            _ => Self::Other { action: "listen on the UDP port for GUE", source },
        }
    }
}
