//! What is done to the TCP connections of a service besides forwarding them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Settings for TCP connections; those of other protocols pass unharmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpOptions {
    /// Servers are told the client's address by a header before its first byte. Only for those whose replies come back
    /// through us (NAT, FullNAT): others would count bytes that the client has never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Servers are told the client's address by TCP option 254, in its first packets: DPVS's TOA. Only for those whose
    /// replies come back through us.
    #[serde(default)]
    pub toa: bool,
    /// Limits the segments that either side may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mss: Option<Mss>,
}

impl TcpOptions {
    /// Nothing is done.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The version of HAProxy's PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl ProxyProtocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// As users write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// A limit of the payload of TCP segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mss {
    /// What fits the path to the server, with all that is put into a packet on the way. Said to clients: a server knows
    /// its own path.
    Auto,
    /// So many bytes, said to both.
    #[serde(untagged)]
    Bytes(u16),
}

impl Mss {
    /// The smallest that makes sense: what every host takes over IPv4 (RFC 9293 section 3.7.1) is more.
    pub const MIN: u16 = 256;
    /// The largest: an IPv4 packet without its headers.
    pub const MAX: u16 = 65_495;
}

impl fmt::Display for Mss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Bytes(bytes) => bytes.fmt(f),
        }
    }
}

/// Neither `auto` nor a number from [`Mss::MIN`] to [`Mss::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMss;

impl FromStr for Mss {
    type Err = NoMss;

    fn from_str(text: &str) -> Result<Self, NoMss> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let bytes = text.parse().ok().filter(|bytes| (Self::MIN..=Self::MAX).contains(bytes));
        bytes.map(Self::Bytes).ok_or(NoMss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_reads_as_it_is_written() {
        for text in ["auto", "256", "1400", "65495"] {
            let mss: Mss = text.parse().unwrap();
            assert_eq!(mss.to_string(), text);
        }
        for text in ["", "255", "65496", "Auto", "1400 "] {
            assert_eq!(text.parse::<Mss>(), Err(NoMss), "{text:?}");
        }
    }
}
