//! Kernel settings under `/proc/sys/net`, and the netlink messages that can change some of them where `/proc/sys` is
//! read-only, as it is in a default container.
//!
//! `/proc/sys/net` shows the network namespace of the thread that looks.

use std::fmt;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::netlink::{Message, NetlinkSocket, REPLACE};

/// A group of settings with one value per device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Group {
    /// `net.ipv4.conf.DEV.`
    Ipv4Conf,
    /// `net.ipv6.conf.DEV.`
    Ipv6Conf,
    /// `net.ipv4.neigh.DEV.`
    Ipv4Neigh,
    /// `net.ipv6.neigh.DEV.`
    Ipv6Neigh,
    /// `net.ipv4.`, one value for the namespace.
    Ipv4,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Knob {
    pub(crate) group: Group,
    /// Name of the last part.
    pub(crate) key: String,
    /// Interface index, 0 for a setting of the whole namespace.
    pub(crate) device: u32,
}

impl Knob {
    pub(crate) fn new(group: Group, key: &str, device: u32) -> Self {
        Self { group, key: key.to_owned(), device }
    }

    /// Its name and file, given the name that the device has now.
    pub(crate) fn at<'a>(&'a self, device: &'a str) -> Located<'a> {
        Located { knob: self, device }
    }
}

/// A setting with the current name of its device (`all` and `default` work as well).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located<'a> {
    knob: &'a Knob,
    device: &'a str,
}

impl Located<'_> {
    /// The value now.
    pub(crate) fn read(&self) -> io::Result<i64> {
        let text = fs::read_to_string(self.path())?;
        text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Changes the value: by file (which also notifies and flushes what hangs on it), else by netlink.
    pub(crate) fn write(&self, netlink: &mut NetlinkSocket, value: i64) -> io::Result<()> {
        match fs::write(self.path(), value.to_string()) {
            Err(e) if is_read_only(&e) => match self.message(value) {
                Some(message) => netlink.request(message),
                None => Err(e),
            },
            result => result,
        }
    }

    fn path(&self) -> String {
        let (prefix, key) = (self.prefix(), &self.knob.key);
        match self.knob.group {
            Group::Ipv4 => format!("/proc/sys/net/{prefix}/{key}"),
            _ => format!("/proc/sys/net/{prefix}/{}/{key}", self.device),
        }
    }

    const fn prefix(&self) -> &'static str {
        match self.knob.group {
            Group::Ipv4Conf => "ipv4/conf",
            Group::Ipv6Conf => "ipv6/conf",
            Group::Ipv4Neigh => "ipv4/neigh",
            Group::Ipv6Neigh => "ipv6/neigh",
            Group::Ipv4 => "ipv4",
        }
    }

    fn message(&self, value: i64) -> Option<Message> {
        let index = self.knob.device;
        if index == 0 && matches!(self.knob.group, Group::Ipv4Conf | Group::Ipv6Conf) {
            // Netlink has words for devices only, not for `all` and `default`.
            return None;
        }
        match self.knob.group {
            Group::Ipv4Conf => {
                let number = match self.knob.key.as_str() {
                    "forwarding" => 1,
                    "rp_filter" => 8,
                    "arp_announce" => 18,
                    "arp_ignore" => 19,
                    "accept_local" => 23,
                    _ => return None,
                };
                const IFLA_INET_CONF: u16 = 1;
                let value = u32::try_from(value).ok()?;
                Some(set_link(index, libc::AF_INET, |m| m.nest(IFLA_INET_CONF, |m| m.u32(number, value))))
            }
            Group::Ipv6Conf if self.knob.key == "addr_gen_mode" => {
                const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
                let value = u8::try_from(value).ok()?;
                Some(set_link(index, libc::AF_INET6, |m| m.u8(IFLA_INET6_ADDR_GEN_MODE, value)))
            }
            Group::Ipv4Neigh => neighbour_table(libc::AF_INET, "arp_cache", &self.knob.key, index, value),
            Group::Ipv6Neigh => neighbour_table(libc::AF_INET6, "ndisc_cache", &self.knob.key, index, value),
            Group::Ipv6Conf | Group::Ipv4 => None,
        }
    }
}

impl fmt::Display for Located<'_> {
    /// As sysctl(8) writes it; a dot in a device's name is a slash there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net.{}", self.prefix().replace('/', "."))?;
        if self.knob.group != Group::Ipv4 {
            write!(f, ".{}", self.device.replace('.', "/"))?;
        }
        write!(f, ".{}", self.knob.key)
    }
}

/// `/proc/sys` is there but not for writing.
fn is_read_only(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EROFS | libc::EACCES | libc::EPERM))
}

fn set_link(index: u32, family: i32, fill: impl FnOnce(Message) -> Message) -> Message {
    const RTM_SETLINK: u16 = 19;
    const IFLA_AF_SPEC: u16 = 26;
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    Message::new(RTM_SETLINK, 0, &fixed).nest(IFLA_AF_SPEC, |m| m.nest(family as u16, fill))
}

fn neighbour_table(family: i32, table: &str, key: &str, index: u32, value: i64) -> Option<Message> {
    const RTM_SETNEIGHTBL: u16 = 67;
    const NDTA_NAME: u16 = 1;
    const NDTA_PARMS: u16 = 6;
    const NDTPA_IFINDEX: u16 = 1;
    const NDTPA_PROXY_DELAY: u16 = 13;
    /// The file counts in hundredths of a second (`USER_HZ`), netlink in milliseconds.
    const MILLISECONDS: i64 = 10;
    if key != "proxy_delay" {
        return None;
    }
    let delay = u64::try_from(value * MILLISECONDS).ok()?;
    let message = Message::new(RTM_SETNEIGHTBL, REPLACE, &[family as u8, 0, 0, 0]).string(NDTA_NAME, table);
    Some(message.nest(NDTA_PARMS, |m| m.u32(NDTPA_IFINDEX, index).u64(NDTPA_PROXY_DELAY, delay)))
}
