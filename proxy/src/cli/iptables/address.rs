//! Addresses of a rule: lists, prefixes, masks, names of hosts.

use std::net::IpAddr;

use sched::Family;
use sched::marks::Prefix;

use super::super::ipvsadm::resolve::Resolve;
use super::error::Failure;

/// `192.0.2.1,198.51.100.0/24`. `option` is for messages.
pub(super) fn prefixes(
    text: &str,
    family: Family,
    option: &str,
    names: &dyn Resolve,
) -> Result<Vec<Prefix>, Failure> {
    text.split(',').map(|one| prefix(one.trim(), family, option, names)).collect()
}

fn prefix(text: &str, family: Family, option: &str, names: &dyn Resolve) -> Result<Prefix, Failure> {
    let (host, mask) = text.split_once('/').map_or((text, None), |(host, mask)| (host, Some(mask)));
    let bits = if family == Family::Ipv4 { 32 } else { 128 };
    let len = match mask {
        None => bits,
        Some(mask) => length(mask, family, text, option)?,
    };
    let not_found = || Failure::usage(format!("host/network `{host}' not found"));
    let addr = match host.parse::<IpAddr>() {
        Ok(addr) => addr,
        Err(_) if family == Family::Ipv4 => names.host(host).map(IpAddr::V4).ok_or_else(not_found)?,
        Err(_) => return Err(not_found()),
    };
    Prefix::new(addr, len).filter(|prefix| prefix.family() == family).ok_or_else(not_found)
}

/// `24`, `255.255.255.0`, `ffff:ffff::`.
fn length(mask: &str, family: Family, text: &str, option: &str) -> Result<u8, Failure> {
    let bits = if family == Family::Ipv4 { 32 } else { 128 };
    if let Ok(len) = mask.parse::<u8>()
        && len <= bits
    {
        return Ok(len);
    }
    let (ones, whole) = match mask.parse::<IpAddr>() {
        Ok(IpAddr::V4(mask)) if family == Family::Ipv4 => {
            (mask.to_bits().leading_ones(), mask.to_bits().count_ones())
        }
        Ok(IpAddr::V6(mask)) if family == Family::Ipv6 => {
            (mask.to_bits().leading_ones(), mask.to_bits().count_ones())
        }
        _ => return Err(Failure::usage(format!("invalid mask `{mask}' specified"))),
    };
    if ones != whole {
        return Err(Failure::usage(format!(
            "{option} {text}: ulvs matches prefixes, so a mask has its ones in front"
        )));
    }
    u8::try_from(ones).map_err(|_| Failure::usage(format!("invalid mask `{mask}' specified")))
}
