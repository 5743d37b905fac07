//! What can go wrong, and what merely does not work as well as it could.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::journal::JournalError;
use crate::sysctl::Knob;

/// Why traffic cannot be steered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SteerError {
    /// The kernel refused a change or a query.
    #[error("cannot {action}: {source}{}", hint(source))]
    Netlink {
        /// What was tried, as in "cannot ...".
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A setting has to have another value and could not be given it.
    #[error("{}; set it yourself before starting ulvs: `sysctl -w {name}={want}`, in a container \
             `--sysctl {name}={want}` or a writable /proc/sys", refusal(name, *want, *now, source))]
    Setting {
        /// As sysctl(8) writes it.
        name: String,
        /// The value that is needed.
        want: i64,
        /// The value that it has, where it could be read.
        now: Option<i64>,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The host does not forward IPv6, and it cannot be turned on for single devices.
    #[error(
        "cannot forward IPv6: net.ipv6.conf.all.forwarding is 0, and {reason}. Set it to 1 before starting ulvs: \
         `sysctl -w net.ipv6.conf.all.forwarding=1`, in a container `--sysctl net.ipv6.conf.all.forwarding=1` (a \
         host that gets its routes from router advertisements also needs accept_ra=2 on that device to keep them)"
    )]
    Ipv6Forwarding {
        /// Why it is so.
        reason: String,
    },
    /// The kernel would answer what rings take too.
    #[error(
        "cannot keep the kernel from answering what the packet port takes on {devices}: {source} (nftables, table netdev \
         ulvs){}; start ulvs with --port tun, or on a kernel with CONFIG_NETFILTER_INGRESS and CONFIG_NF_TABLES_NETDEV",
        hint(source)
    )]
    NoIngress {
        /// Names of the devices.
        devices: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The note of original values cannot be kept.
    #[error(
        "cannot keep the original network settings in {}: {source}; choose another place with --state-dir",
        path.display()
    )]
    Journal {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process steers in this network namespace.
    #[error(
        "another ulvs steers traffic in this network namespace (it holds {}); stop that one first: `ulvs stop`",
        path.display()
    )]
    Busy {
        /// The file that it has locked.
        path: PathBuf,
    },
    /// The TUN device is gone.
    #[error("the device {name} is gone: somebody has deleted it; start ulvs again")]
    DeviceGone {
        /// Its name.
        name: String,
    },
}

impl From<JournalError> for SteerError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Busy { path } => Self::Busy { path },
            JournalError::Io { path, source } => Self::Journal { path, source },
        }
    }
}

impl SteerError {
    pub(super) fn netlink(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Netlink { action, source }
    }

    /// What was refused, without the way out.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Setting { name, want, now, source } => refusal(name, *want, *now, source),
            other => other.to_string(),
        }
    }

    pub(super) fn setting(knob: &Knob, device: &str, want: i64, now: Option<i64>, source: io::Error) -> Self {
        Self::Setting { name: knob.at(device).to_string(), want, now, source }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "; it needs CAP_NET_ADMIN: run as root or add the capability",
        Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => "; the kernel was built without it",
        _ => "",
    }
}

fn refusal(name: &str, want: i64, now: Option<i64>, source: &io::Error) -> String {
    let now = now.map_or_else(String::new, |now| format!(" (it is {now})"));
    format!("cannot set {name} to {want}{now}: {source}")
}

/// Something that works less well here than it could.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Notice {
    /// nf_tables is missing or refused: a rule per server.
    NoNftables {
        /// The kernel's answer.
        reason: String,
    },
    /// Rings take nothing for now.
    NoRings {
        /// Why.
        reason: String,
    },
    /// `net.ipv4.ip_early_demux` is 1 and cannot be changed: packets of this host's own established connections
    /// belong to their sockets before they are routed, and the kernel does not forward such packets.
    EarlyDemux,
    /// Nobody answers neighbours who ask for this VIP.
    Unanswered {
        /// The VIP.
        vip: IpAddr,
        /// Name of the device on whose link it lies.
        device: String,
        /// The kernel's answer.
        reason: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNftables { reason } => write!(
                f,
                "nf_tables does not work here ({reason}): using one routing rule per real server, which costs time for \
                 every packet; fragments of servers and ICMP errors about them are not translated"
            ),
            Self::NoRings { reason } => write!(
                f,
                "all packets go by the TUN device until this is mended, which is tried every few seconds: {reason}"
            ),
            Self::EarlyDemux => write!(
                f,
                "net.ipv4.ip_early_demux is 1 and cannot be changed here: clients on this host cannot use services, \
                 and connections to other ports of a VIP of this host stall; set it to 0 (in a container: \
                 `--sysctl net.ipv4.ip_early_demux=0`)"
            ),
            Self::Unanswered { vip, device, reason } => write!(
                f,
                "cannot answer for {vip} on {device} ({reason}): give {vip} to {device}, or route it to this host"
            ),
        }
    }
}
