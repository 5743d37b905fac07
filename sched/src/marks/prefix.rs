//! Addresses and devices of a rule.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::Family;

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// A prefix that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a prefix: 192.0.2.80, 192.0.2.0/24, 2001:db8::/64")]
pub struct BadPrefix;

impl Prefix {
    /// The first `len` bits of `addr`; `None` where it has not so many.
    pub fn new(addr: IpAddr, len: u8) -> Option<Self> {
        let addr = match addr {
            IpAddr::V4(a) if len <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask))
            }
            IpAddr::V6(a) if len <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask))
            }
            _ => return None,
        };
        Some(Self { addr, len })
    }

    /// One address.
    pub const fn host(addr: IpAddr) -> Self {
        Self { addr, len: if addr.is_ipv4() { 32 } else { 128 } }
    }

    /// Its first address.
    pub const fn addr(self) -> IpAddr {
        self.addr
    }

    /// How many bits are given.
    #[expect(clippy::len_without_is_empty, reason = "the length of a prefix, not of a collection")]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// The family of its addresses.
    pub fn family(self) -> Family {
        self.addr.into()
    }

    /// The address, where it is only one.
    pub fn single(self) -> Option<IpAddr> {
        (self == Self::host(self.addr)).then_some(self.addr)
    }

    /// Whether it is every address of its family.
    pub const fn is_everything(self) -> bool {
        self.len == 0
    }

    /// Whether `addr` is one of its addresses.
    pub fn contains(self, addr: IpAddr) -> bool {
        Self::new(addr, self.len).is_some_and(|prefix| prefix == self)
    }
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        match text.split_once('/') {
            None => text.parse().map(Self::host).map_err(|_| BadPrefix),
            Some((addr, len)) => {
                let addr = addr.parse().map_err(|_| BadPrefix)?;
                Self::new(addr, len.parse().map_err(|_| BadPrefix)?).ok_or(BadPrefix)
            }
        }
    }
}

impl TryFrom<String> for Prefix {
    type Error = BadPrefix;

    fn try_from(text: String) -> Result<Self, BadPrefix> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl fmt::Display for Prefix {
    /// `192.0.2.80`, `192.0.2.0/24`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(addr) => addr.fmt(f),
            None => write!(f, "{}/{}", self.addr, self.len),
        }
    }
}

/// A device by name, or all whose names begin alike: `eth0`, `eth+`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interface(String);

/// A name that no device can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of a device: 1 to 15 characters without blanks and slashes, perhaps with a + at the end"
)]
pub struct BadInterface;

impl Interface {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the device of that name is meant.
    pub fn matches(&self, name: &str) -> bool {
        self.0.strip_suffix('+').map_or(self.0 == name, |start| name.starts_with(start))
    }
}

impl FromStr for Interface {
    type Err = BadInterface;

    fn from_str(text: &str) -> Result<Self, BadInterface> {
        let legal = |c: char| !c.is_whitespace() && !c.is_control() && c != '/';
        if (1..=15).contains(&text.len()) && text.chars().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadInterface)
        }
    }
}

impl TryFrom<String> for Interface {
    type Error = BadInterface;

    fn try_from(text: String) -> Result<Self, BadInterface> {
        text.parse()
    }
}

impl From<Interface> for String {
    fn from(interface: Interface) -> Self {
        interface.0
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
