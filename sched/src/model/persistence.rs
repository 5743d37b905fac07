//! Persistence as configured: for how long, and who counts as the same client.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::key::Family;

/// `-p`: a client comes back to the server it had, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persistence {
    /// Seconds, 1 to [`Self::MAX_TIMEOUT`], from the begin of a client's latest connection.
    pub timeout: u32,
    /// `-M`: which bits of its address make a client.
    pub mask: Netmask,
}

impl Persistence {
    /// Of `-p` without a number, in seconds.
    pub const DEFAULT_TIMEOUT: u32 = 360;
    /// 31 days, in seconds.
    pub const MAX_TIMEOUT: u32 = 31 * 24 * 3600;
}

/// Which bits of an address count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Netmask {
    /// IPv4, dotted. Any bits: the kernel does not ask for a prefix.
    V4(Ipv4Addr),
    /// IPv6, prefix length 1 to 128.
    V6(u8),
}

impl Netmask {
    /// All bits.
    pub const fn full(family: Family) -> Self {
        match family {
            Family::Ipv4 => Self::V4(Ipv4Addr::BROADCAST),
            Family::Ipv6 => Self::V6(128),
        }
    }

    /// The first `len` bits; `None` where the family has not as many.
    pub fn prefix(family: Family, len: u8) -> Option<Self> {
        match family {
            Family::Ipv4 if len <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                Some(Self::V4(Ipv4Addr::from_bits(mask)))
            }
            Family::Ipv6 if len <= 128 => Some(Self::V6(len)),
            _ => None,
        }
    }

    /// Whether all bits count.
    pub fn is_full(self) -> bool {
        matches!(self, Self::V4(Ipv4Addr::BROADCAST) | Self::V6(128..))
    }

    /// The family of the addresses that it is for.
    pub const fn family(self) -> Family {
        match self {
            Self::V4(_) => Family::Ipv4,
            Self::V6(_) => Family::Ipv6,
        }
    }

    /// The bits of `addr` that count. An address of the other family is left as it is.
    pub fn apply(self, addr: IpAddr) -> IpAddr {
        match (self, addr) {
            (Self::V4(mask), IpAddr::V4(addr)) => IpAddr::V4(addr & mask),
            (Self::V6(len), IpAddr::V6(addr)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(addr.to_bits() & mask))
            }
            _ => addr,
        }
    }
}

impl fmt::Display for Netmask {
    /// `255.255.255.0`, `64`: as `-M` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(mask) => mask.fmt(f),
            Self::V6(len) => len.fmt(f),
        }
    }
}

/// `--pe`: what identifies a client besides its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersistenceEngine {
    /// The Call-ID of SIP over UDP (RFC 3261 section 8.1.1.4).
    Sip,
}

impl PersistenceEngine {
    /// As ipvsadm has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sip => "sip",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_masks() {
        let prefix = Netmask::prefix;
        let v4 = |mask: &str| Some(Netmask::V4(mask.parse().unwrap()));
        assert_eq!(prefix(Family::Ipv4, 0), v4("0.0.0.0"));
        assert_eq!(prefix(Family::Ipv4, 24), v4("255.255.255.0"));
        assert_eq!(prefix(Family::Ipv4, 32), Some(Netmask::full(Family::Ipv4)));
        assert_eq!(prefix(Family::Ipv4, 33), None);
        assert_eq!(prefix(Family::Ipv6, 128), Some(Netmask::full(Family::Ipv6)));
        assert_eq!(prefix(Family::Ipv6, 129), None);
    }

    #[test]
    fn only_the_bits_of_the_mask_count() {
        let v4 =
            |mask: &str| Netmask::V4(mask.parse().unwrap()).apply("10.1.2.3".parse().unwrap()).to_string();
        assert_eq!(v4("255.255.255.0"), "10.1.2.0");
        assert_eq!(v4("0.0.0.24"), "0.0.0.0");
        let v6 = |len| Netmask::V6(len).apply("2001:db8::ff".parse().unwrap()).to_string();
        assert_eq!(v6(128), "2001:db8::ff");
        assert_eq!(v6(124), "2001:db8::f0");
        assert_eq!(v6(32), "2001:db8::");
        assert_eq!(v6(0), "::");
    }
}
