//! Addresses as topologies speak of them: a family, and an address with its prefix length.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use anyhow::Context as _;

/// The two families; every topology has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// An IPv4 and an IPv6 address that belong to the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The IPv4 address.
    pub v4: IpAddr,
    /// The IPv6 address.
    pub v6: IpAddr,
}

impl Pair {
    pub(crate) fn parse(v4: &str, v6: &str) -> anyhow::Result<Self> {
        let parse = |text: &str| text.parse().with_context(|| format!("{text:?} is no address"));
        Ok(Self { v4: parse(v4)?, v6: parse(v6)? })
    }

    /// The address of this family.
    pub fn of(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    /// The address of this family with a port.
    pub fn port(&self, family: Family, l4_port: u16) -> SocketAddr {
        SocketAddr::new(self.of(family), l4_port)
    }
}

/// An address with the prefix length of its network, as in `10.0.0.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The address; host bits may be set.
    pub addr: IpAddr,
    /// Bits of the network.
    pub prefix: u8,
}

impl FromStr for Cidr {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let wrong = || format!("{text:?} is no address with a prefix length, such as 10.0.0.1/24");
        let (addr, prefix) = text.split_once('/').with_context(wrong)?;
        let addr: IpAddr = addr.parse().with_context(wrong)?;
        let prefix: u8 = prefix.parse().with_context(wrong)?;
        let longest = if addr.is_ipv4() { 32 } else { 128 };
        anyhow::ensure!(prefix <= longest, wrong());
        Ok(Self { addr, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cidr_prints_as_it_was_written() {
        for text in ["10.0.0.1/24", "2001:db8::1/64", "0.0.0.0/0"] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.1", "10.0.0.1/33", "10.0.0/8", "::1/129", "::1/x"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
