//! What was done, in words for the user.

use std::fmt;
use std::net::IpAddr;

use crate::steer::host::Family;

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A setting has another value.
    Setting {
        /// As sysctl(8) writes it.
        name: String,
        /// The value before.
        from: i64,
        /// The value now.
        to: i64,
    },
    /// A device has got an address.
    Added {
        /// The address.
        ip: IpAddr,
        /// Name of the device.
        device: String,
    },
    /// A device has lost an address.
    Removed {
        /// The address.
        ip: IpAddr,
        /// Name of the device.
        device: String,
    },
    /// A process has begun to take packets out of tunnels.
    Began {
        /// Its number.
        pid: u32,
        /// Name of the device by which it hands them over.
        device: String,
    },
    /// A process takes no more packets out of tunnels.
    Ended {
        /// Its number.
        pid: u32,
        /// Name of the device that went with it.
        device: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { name, from, to } => write!(f, "{name} {from} -> {to}"),
            Self::Added { ip, device } => write!(f, "{ip}/{} added to {device}", Family::of(*ip).bits()),
            Self::Removed { ip, device } => {
                write!(f, "{ip}/{} removed from {device}", Family::of(*ip).bits())
            }
            Self::Began { pid, device } => {
                write!(f, "{device} added, by process {pid} that takes packets out of tunnels")
            }
            Self::Ended { pid, device } => write!(f, "{device} removed, with process {pid}"),
        }
    }
}
