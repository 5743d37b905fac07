//! What the server is told about the client: `X-Forwarded-For`, `X-Forwarded-Proto`, `Forwarded` (RFC 7239) and, with
//! client certificates, who the client has proved to be.
//!
//! These fields are the director's alone: what a client says in them never reaches a server. Names are compared
//! without case and with `_` for `-`, because CGI and what descends from it cannot tell `X_Forwarded_For` from
//! `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

/// A name that is the director's to give.
const OURS: &[u8] = b"forwarded";
/// And all names that begin so: servers that believe `X-Forwarded-For` believe `X-Forwarded-Host` from the same mouth.
const PREFIXES: [&[u8]; 2] = [b"x-ssl-client-", b"x-forwarded-"];

/// The fields for all requests of one client.
#[derive(Debug)]
pub(crate) struct Stamp(Box<[u8]>);

impl Stamp {
    /// The fields for `client`, which came to `vip`. With client certificates asked for, `verified` is `Some`: of the
    /// certificate's subject, or of nothing where the client had none.
    pub(crate) fn new(client: SocketAddr, vip: SocketAddr, verified: Option<Option<&str>>) -> Self {
        let (client, vip) = (client.ip().to_canonical(), vip.ip().to_canonical());
        let mut lines = format!(
            "X-Forwarded-For: {client}\r\nX-Forwarded-Proto: https\r\nForwarded: for={};proto=https;by={}\r\n",
            node(client),
            node(vip),
        );
        match verified {
            None => {}
            Some(None) => lines += "X-SSL-Client-Verify: NONE\r\n",
            Some(Some(subject)) => {
                lines += "X-SSL-Client-Verify: SUCCESS\r\nX-SSL-Client-Subject: ";
                lines.extend(subject.bytes().map(printable));
                lines += "\r\n";
            }
        }
        Self(lines.into_bytes().into_boxed_slice())
    }

    pub(super) fn lines(&self) -> &[u8] {
        &self.0
    }
}

/// A node of RFC 7239: IPv6 in brackets, and therefore quoted.
fn node(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    }
}

/// A subject must not end its line, and not every server takes bytes beyond ASCII.
const fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '?' }
}

/// Whether the field is the director's to give.
pub(super) fn is_ours(name: &[u8]) -> bool {
    let mut known = Name::new();
    name.iter().for_each(|b| known.push(*b));
    known.is_ours()
}

/// RFC 9110, 5.6.2.
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// As much of a name as it takes to tell, without case and with `-` for `_`.
#[derive(Debug)]
pub(super) struct Name {
    bytes: [u8; Self::LONGEST],
    /// All bytes that came: a longer name is none of the short ones.
    len: usize,
}

impl Name {
    const LONGEST: usize = 17;

    pub(super) const fn new() -> Self {
        Self { bytes: [0; Self::LONGEST], len: 0 }
    }

    pub(super) const fn push(&mut self, byte: u8) {
        if self.len < Self::LONGEST {
            self.bytes[self.len] = if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        }
        self.len = self.len.saturating_add(1);
    }

    pub(super) fn is_ours(&self) -> bool {
        let known = &self.bytes[..self.len.min(Self::LONGEST)];
        PREFIXES.iter().any(|prefix| known.starts_with(prefix)) || (known.len() == self.len && known == OURS)
    }
}
