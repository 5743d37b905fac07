//! `host[:port]` as ipvsadm reads it.

use std::net::{IpAddr, Ipv6Addr};

use sched::Proto;

use super::resolve::Resolve;

/// `10.0.0.1:80`, `www.example:http`, `[fd00::1]:80`, `fd00::1`. A host name is an IPv4 address. A string of only
/// digits is no host, and brackets need a port after them.
pub(super) fn parse(text: &str, proto: Proto, names: &dyn Resolve) -> Option<(IpAddr, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once("]:")?;
        return Some((IpAddr::V6(host.parse().ok()?), Some(l4_port(port, proto, names)?)));
    }
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        return Some((IpAddr::V6(ip), None));
    }
    match text.split_once(':') {
        None => Some((host(text, names)?, None)),
        Some((name, port)) => Some((host(name, names)?, Some(l4_port(port, proto, names)?))),
    }
}

/// A number as C's `strtol` reads it in base ten, and nothing after it.
pub(super) fn number(text: &str) -> Option<i64> {
    text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}').parse().ok()
}

fn host(name: &str, names: &dyn Resolve) -> Option<IpAddr> {
    if name.is_empty() || name.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    name.parse().ok().or_else(|| names.host(name)).map(IpAddr::V4)
}

fn l4_port(text: &str, proto: Proto, names: &dyn Resolve) -> Option<u16> {
    if text.is_empty() {
        return None;
    }
    match number(text) {
        Some(n) => u16::try_from(n).ok(),
        None => names.port(proto, text),
    }
}
