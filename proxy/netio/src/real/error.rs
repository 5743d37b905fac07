//! What keeps a host from being a real server, and the way out.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use super::FarEndError;
use crate::journal::JournalError;

/// Why this host is no real server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RealError {
    /// The address cannot be a virtual one.
    #[error("{vip} cannot be a VIP: it takes one host's address that clients can reach")]
    NoVip {
        /// The address.
        vip: IpAddr,
    },
    /// There is no such device.
    #[error("there is no device {name}: `ip link` lists those of this host; without --dev it is lo")]
    NoDevice {
        /// The name asked for.
        name: String,
    },
    /// The device is down.
    #[error("the device {name} is down: `ip link set {name} up`")]
    DeviceDown {
        /// Its name.
        name: String,
    },
    /// A device with neighbours has the address.
    #[error(
        "{vip} is an address of {device}, where the neighbours would find this server instead of the director: take it \
         away first (`ip address del {vip} dev {device}` with its prefix length)"
    )]
    Elsewhere {
        /// The virtual address.
        vip: IpAddr,
        /// Name of the device.
        device: String,
    },
    /// The address could not be given to the device, or taken away.
    #[error("cannot change the address {vip} of {device}: {source}{}", hint(source))]
    Address {
        /// The virtual address.
        vip: IpAddr,
        /// Name of the device.
        device: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A setting has to have another value and could not be given it.
    #[error(
        "cannot set {name} to {want} (it is {now}): {source}{}; or set it yourself before: `sysctl -w {name}={want}`, \
         in a container `--sysctl {name}={want}`",
        hint(source)
    )]
    Setting {
        /// As sysctl(8) writes it.
        name: String,
        /// The value that is needed.
        want: i64,
        /// The value that it has.
        now: i64,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused a query.
    #[error("cannot {action}: {source}{}", hint(source))]
    Netlink {
        /// What was tried, as in "cannot ...".
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The address is none of those that were started.
    #[error("{vip} was not started here: `ulvs real status` lists what was")]
    NotStarted {
        /// The address.
        vip: IpAddr,
    },
    /// Nobody takes packets out of tunnels as was asked.
    #[error(transparent)]
    FarEnd(FarEndError),
    /// Another process is changing the same.
    #[error("another `ulvs real` is at work in this network namespace (it holds {}): try again", path.display())]
    Busy {
        /// The file that it has locked.
        path: PathBuf,
    },
    /// The note of what was there before cannot be kept.
    #[error("cannot keep a note in {}: {source}; choose another place with --state-dir", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl From<JournalError> for RealError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Busy { path } => Self::Busy { path },
            JournalError::Io { path, source } => Self::Journal { path, source },
        }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => "; it needs CAP_NET_ADMIN: run as root or add the capability",
        Some(libc::EACCES) => "; IPv6 is off there (net.ipv6.conf.DEVICE.disable_ipv6)",
        Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => "; the kernel was built without it",
        _ => "",
    }
}
