//! What makes a service that service: protocol, VIP and port, or a mark.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// In one or two words: every first packet of a connection asks for a service.
impl Hash for ServiceKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match *self {
            Self::Addr { proto, vip, l4_port } => {
                let rest = u64::from(proto.number()) << 16 | u64::from(l4_port);
                match vip {
                    IpAddr::V4(vip) => state.write_u64(u64::from(vip.to_bits()) << 32 | rest),
                    IpAddr::V6(vip) => {
                        state.write_u128(vip.to_bits());
                        state.write_u64(rest);
                    }
                }
            }
            Self::Mark { mark, family } => {
                state.write_u64(u64::from(mark.0.get()) << 32 | (family as u64) << 24);
            }
        }
    }
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

impl ServiceKey {
    /// `tcp/10.0.0.1:80`, `fwm/5`, `fwm6/5`: as command lines and the configuration name it.
    pub fn word(&self) -> String {
        match self {
            Self::Addr { proto, vip, l4_port } => {
                format!("{}/{}", proto.name().to_ascii_lowercase(), SocketAddr::new(*vip, *l4_port))
            }
            Self::Mark { mark, family: Family::Ipv4 } => format!("fwm/{}", mark.0),
            Self::Mark { mark, family: Family::Ipv6 } => format!("fwm6/{}", mark.0),
        }
    }
}

/// What is not the [word](ServiceKey::word) of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no service: write tcp/10.0.0.1:80, udp/[fd00::1]:53, sctp/10.0.0.1:99, fwm/3 or fwm6/3")]
pub struct NoService(String);

impl FromStr for ServiceKey {
    type Err = NoService;

    fn from_str(text: &str) -> Result<Self, NoService> {
        let unknown = || NoService(text.to_owned());
        let (kind, rest) = text.split_once('/').ok_or_else(unknown)?;
        let mark = |family| {
            let mark = rest.parse::<NonZeroU32>().ok().map(Mark);
            mark.map(|mark| Self::Mark { mark, family }).ok_or_else(unknown)
        };
        let proto = match kind {
            "tcp" => Proto::Tcp,
            "udp" => Proto::Udp,
            "sctp" => Proto::Sctp,
            "fwm" => return mark(Family::Ipv4),
            "fwm6" => return mark(Family::Ipv6),
            _ => return Err(unknown()),
        };
        rest.parse().map(|vip| Self::addr(proto, vip)).map_err(|_| unknown())
    }
}

/// Whether it may be the address of one host.
pub(crate) fn is_host(addr: IpAddr) -> bool {
    let broadcast = matches!(addr, IpAddr::V4(addr) if addr.is_broadcast());
    !(addr.is_unspecified() || addr.is_multicast() || broadcast)
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

    #[test]
    fn the_word_of_a_service_names_it() {
        for word in ["tcp/10.0.0.1:80", "udp/[fd00::1]:53", "sctp/10.0.0.1:0", "fwm/3", "fwm6/4294967295"] {
            assert_eq!(word.parse::<ServiceKey>().unwrap().word(), word);
        }
        for word in
            ["", "tcp", "10.0.0.1:80", "tcp/10.0.0.1", "TCP/10.0.0.1:80", "icmp/10.0.0.1:8", "fwm/0", "3"]
        {
            let error = word.parse::<ServiceKey>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{word}` is no service: write tcp/10.0.0.1:80")), "{error}");
        }
    }
}
