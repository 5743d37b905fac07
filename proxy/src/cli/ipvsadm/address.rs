//! `host[:port]` as ipvsadm reads it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sched::{Family, Netmask, Proto};

use super::Failure;
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

/// What `-M` says for a service of this family: bits written as an address, or a prefix length for IPv6.
pub(super) fn netmask(text: &str, family: Family) -> Result<Netmask, Failure> {
    match family {
        Family::Ipv4 => inet_aton(text)
            .map(Netmask::V4)
            .ok_or_else(|| Failure::options("illegal virtual server persistent mask specified")),
        Family::Ipv6 => number(text)
            .and_then(|n| u8::try_from(n).ok())
            .filter(|n| (1..=128).contains(n))
            .map(Netmask::V6)
            .ok_or_else(|| Failure::options("illegal ipv6 netmask specified")),
    }
}

/// An address as C's `inet_aton` reads it: one to four numbers, decimal, octal or hexadecimal; the last one fills all
/// bytes that are left.
fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let part = |text: &str| {
        let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if text.len() > 1 && text.starts_with('0') => (text, 8),
            None => (text, 10),
        };
        // `from_str_radix` would take a sign.
        u32::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))
    };
    let parts: Vec<u32> = text.split('.').map(part).collect::<Option<_>>()?;
    let (last, bytes) = parts.split_last()?;
    let width = 32_u32.checked_sub(8 * u32::try_from(bytes.len()).ok()?).filter(|width| *width > 0)?;
    if bytes.iter().any(|b| *b > 255) || u64::from(*last) >= 1 << width {
        return None;
    }
    let high = bytes.iter().fold(0_u64, |high, byte| high << 8 | u64::from(*byte));
    Some(Ipv4Addr::from_bits(u32::try_from(high << width | u64::from(*last)).ok()?))
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
