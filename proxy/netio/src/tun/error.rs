//! What can keep a TUN device from being opened, and the way out of each.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no TUN device.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The name cannot be an interface's.
    #[error("{name:?} is no name for a TUN device: it needs 1 to 15 bytes without '/', ':' and spaces")]
    BadName {
        /// The name asked for.
        name: String,
    },
    /// Asked for no queue at all.
    #[error("the TUN device {name} needs at least one queue: ask for 1 or more")]
    NoQueues {
        /// The name asked for.
        name: String,
    },
    /// There is no such file, or no driver behind it.
    #[error(
        "{path} is missing ({source}): load the driver with `modprobe tun`; in a container, start it with \
         `--device /dev/net/tun`"
    )]
    Missing {
        /// The device file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file's mode, or the container's device list, keeps us out.
    #[error(
        "{path} may not be opened for reading and writing by this user ({source}): run as root or `chmod 666 \
         {path}`; in a container, start it with `--device /dev/net/tun`"
    )]
    Forbidden {
        /// The device file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The namespace's owner has not given us the right to make devices.
    #[error(
        "creating the TUN device {name} needs CAP_NET_ADMIN in this network namespace: run as root; in a container, \
         start it with `--cap-add NET_ADMIN`"
    )]
    NoCapability {
        /// The name asked for.
        name: String,
    },
    /// A device of that name exists.
    #[error(
        "a network device named {name} exists already: stop the program that holds it (or remove it with `ip link \
         del {name}`), or choose another name"
    )]
    Busy {
        /// The name asked for.
        name: String,
    },
    /// Anything else.
    #[error("the TUN device {name} cannot be set up: {source}")]
    Other {
        /// The name asked for, or the device file.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl TunError {
    /// Opening the device file failed.
    pub(super) fn device(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO | libc::ENOTDIR) => Self::Missing { path, source },
            // EPERM comes from a container's device list, EACCES from the mode.
            Some(libc::EACCES | libc::EPERM) => Self::Forbidden { path, source },
            _ => Self::Other { name: path.display().to_string(), source },
        }
    }

    /// TUNSETIFF failed.
    pub(super) fn attach(name: &str, source: io::Error) -> Self {
        let name = name.to_owned();
        match source.raw_os_error() {
            Some(libc::EPERM) => Self::NoCapability { name },
            Some(libc::EBUSY) => Self::Busy { name },
            _ => Self::Other { name, source },
        }
    }
}

/// What this kernel refused, so that the device had to be a plain one.
#[derive(Debug, thiserror::Error)]
#[error("this kernel refuses {step}: {source}")]
pub struct OffloadRefused {
    pub(super) step: &'static str,
    pub(super) source: io::Error,
}
