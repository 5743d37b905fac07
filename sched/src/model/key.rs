//! What makes a service that service: protocol, VIP and port, or a mark.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Transport protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// RFC 9293, protocol number 6.
    Tcp,
    /// RFC 768, protocol number 17.
    Udp,
    /// RFC 9260, protocol number 132.
    Sctp,
}

impl Proto {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// As ipvsadm prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

/// Address family of a service or server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl From<IpAddr> for Family {
    fn from(addr: IpAddr) -> Self {
        if addr.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

/// A firewall mark or its port-set analogue; zero means "unmarked" to the kernel and so is no mark here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(pub NonZeroU32);

/// What makes a service that service. The order is that of `ipvsadm -L`: by family, protocol, address and port;
/// marks last, by mark and family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKey {
    /// Protocol, VIP and port (0 is every port: needs persistence).
    Addr {
        /// Transport protocol.
        proto: Proto,
        /// The VIP.
        vip: IpAddr,
        /// The virtual port.
        l4_port: u16,
    },
    /// Every packet that carries this mark.
    Mark {
        /// The mark.
        mark: Mark,
        /// IPv4 and IPv6 marks are separate services.
        family: Family,
    },
}

impl ServiceKey {
    /// Shorthand for the common kind.
    pub const fn addr(proto: Proto, vip: SocketAddr) -> Self {
        Self::Addr { proto, vip: vip.ip(), l4_port: vip.port() }
    }

    /// The VIP; a mark has none.
    pub const fn vip(&self) -> Option<IpAddr> {
        match self {
            Self::Addr { vip, .. } => Some(*vip),
            Self::Mark { .. } => None,
        }
    }

    /// The transport protocol; a mark takes any.
    pub const fn proto(&self) -> Option<Proto> {
        match self {
            Self::Addr { proto, .. } => Some(*proto),
            Self::Mark { .. } => None,
        }
    }

    /// The virtual port, 0 for all; a mark has none.
    pub const fn l4_port(&self) -> Option<u16> {
        match self {
            Self::Addr { l4_port, .. } => Some(*l4_port),
            Self::Mark { .. } => None,
        }
    }

    /// The family of the packets that this service takes.
    pub fn family(&self) -> Family {
        match self {
            Self::Addr { vip, .. } => (*vip).into(),
            Self::Mark { family, .. } => *family,
        }
    }
}

impl Ord for ServiceKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // `None` comes first: addresses before marks, and so the second half compares like with like.
        let rank = |key: &Self| match *key {
            Self::Addr { proto, vip, l4_port } => (None, key.family(), Some((proto, vip, l4_port))),
            Self::Mark { mark, family } => (Some(mark), family, None),
        };
        rank(self).cmp(&rank(other))
    }
}

impl PartialOrd for ServiceKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ServiceKey {
    /// `TCP 10.0.0.1:80`, `FWM 5`, `FWM 5 IPv6`: the words of `ipvsadm -Ln`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addr { proto, vip, l4_port } => {
                write!(f, "{} {}", proto.name(), SocketAddr::new(*vip, *l4_port))
            }
            Self::Mark { mark, family: Family::Ipv4 } => write!(f, "FWM {}", mark.0),
            Self::Mark { mark, family: Family::Ipv6 } => write!(f, "FWM {} IPv6", mark.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_sort_as_ipvsadm_lists_them() {
        let addr = |proto, vip: &str| ServiceKey::addr(proto, vip.parse().unwrap());
        let mark = |mark, family| ServiceKey::Mark { mark: Mark(NonZeroU32::new(mark).unwrap()), family };
        let listed = [
            addr(Proto::Tcp, "10.0.0.1:80"),
            addr(Proto::Tcp, "10.0.0.1:443"),
            addr(Proto::Tcp, "10.0.0.2:80"),
            addr(Proto::Udp, "10.0.0.1:80"),
            addr(Proto::Tcp, "[2001:db8::1]:80"),
            addr(Proto::Udp, "[2001:db8::1]:80"),
            mark(2, Family::Ipv4),
            mark(2, Family::Ipv6),
            mark(3, Family::Ipv4),
        ];
        let mut sorted = listed;
        sorted.reverse();
        sorted.sort();
        assert_eq!(sorted, listed);
    }

    #[test]
    fn services_read_as_in_a_listing() {
        let addr = |vip: &str| ServiceKey::addr(Proto::Tcp, vip.parse().unwrap()).to_string();
        assert_eq!(addr("10.0.0.1:80"), "TCP 10.0.0.1:80");
        assert_eq!(addr("[2001:db8::1]:80"), "TCP [2001:db8::1]:80");
        let mark = |family| ServiceKey::Mark { mark: Mark(NonZeroU32::MIN), family }.to_string();
        assert_eq!(mark(Family::Ipv4), "FWM 1");
        assert_eq!(mark(Family::Ipv6), "FWM 1 IPv6");
    }
}
