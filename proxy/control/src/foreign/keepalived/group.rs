//! `virtual_server_group`: addresses, ranges of them, and marks that share their servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use sched::{Family, Mark};

use super::surplus;
use super::tree::{Item, Word};
use crate::foreign::note::{Notes, Place};

/// The kernel would have as many services; more are a mistake.
const MOST: u128 = 65_536;

/// One service of a group, or the one of a `virtual_server` without.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// Address and port, 0 for all; the protocol is the virtual server's.
    Addr(IpAddr, u16),
    /// A mark; without a family it is told by the servers.
    Mark(Mark, Option<Family>),
}

/// What a virtual server is for, with places.
pub(super) type Targets = Vec<(Target, Place)>;

/// The services of a group.
pub(super) fn group(item: &Item, notes: &mut Notes) -> Targets {
    let mut targets = Vec::new();
    for entry in item.items() {
        if entry.name() == "fwmark" {
            surplus::at_most(entry, surplus::of_mark(entry.arg(1)), notes);
            targets.extend(mark(&entry.args, entry.place(), notes));
            continue;
        }
        surplus::at_most(entry, 1, notes);
        let port = port(entry.args.first(), notes);
        match range(entry.name()) {
            Some(addrs) => targets
                .extend(addrs.into_iter().map(|addr| (Target::Addr(addr, port), entry.place().clone()))),
            None => {
                let text = format!("`{}` is no address and no range", entry.name());
                let help = "for example 10.0.0.1 80, 10.0.0.1-9 80, 10.0.0.8/29 80 or fwmark 3";
                notes.error(entry.place(), text, help);
            }
        }
    }
    targets
}

/// What stands behind `virtual_server`; nothing if it has been complained about.
pub(super) fn target(item: &Item, notes: &mut Notes) -> Option<(Target, Place)> {
    match item.arg(0) {
        Some("fwmark") => mark(item.args.get(1..).unwrap_or_default(), item.place(), notes),
        _ => {
            let addr = super::value::address(item, 0, notes)?;
            Some((Target::Addr(addr, port(item.args.get(1), notes)), item.place_of(0).clone()))
        }
    }
}

fn mark(words: &[Word], place: &Place, notes: &mut Notes) -> Option<(Target, Place)> {
    let word = words.first();
    let mark = word.and_then(|word| word.text.parse::<NonZeroU32>().ok());
    let Some(mark) = mark else {
        let place = word.map_or(place, |word| &word.place);
        notes.error(place, "this is no mark", "write a number from 1 to 4294967295: fwmark 3");
        return None;
    };
    let family = match words.get(1).map(|word| word.text.as_str()) {
        Some("inet") => Some(Family::Ipv4),
        Some("inet6") => Some(Family::Ipv6),
        _ => None,
    };
    Some((Target::Mark(Mark(mark), family), place.clone()))
}

/// A port; without one, 0. By name only as a service would have it here, which keepalived does not allow.
pub(super) fn port(word: Option<&Word>, notes: &mut Notes) -> u16 {
    let Some(word) = word else { return 0 };
    let port = crate::foreign::services::port(&word.text, sched::Proto::Tcp);
    port.unwrap_or_else(|| {
        let help = super::value::undefined(&word.text).unwrap_or_else(|| {
            "write a number from 1 to 65535, or a name that is in /etc/services".to_owned()
        });
        notes.error(&word.place, format!("`{}` is not a port", word.text), help);
        0
    })
}

/// `10.0.0.1`, `10.0.0.1-9`, `10.0.0.250-10.0.1.10`, `10.0.0.8/29`, and so in IPv6, where a last group alone is
/// hexadecimal.
fn range(text: &str) -> Option<Vec<IpAddr>> {
    if let Ok(addr) = text.parse() {
        return Some(vec![addr]);
    }
    let (first, last) = match text.split_once('/') {
        Some((addr, length)) => {
            let (addr, length) = (addr.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
            let bits = if addr.is_ipv4() { 32 } else { 128 };
            let hosts = 1_u128.checked_shl(u32::from(bits - length.min(bits)))?;
            let first = number(addr) & !(hosts - 1);
            (of(addr, first), of(addr, first + (hosts - 1)))
        }
        None => {
            let (first, last) = text.split_once('-')?;
            let first = first.parse::<IpAddr>().ok()?;
            let last = last.parse().ok().or_else(|| {
                Some(match first {
                    IpAddr::V4(v4) => {
                        let [a, b, c, _] = v4.octets();
                        Ipv4Addr::new(a, b, c, last.parse().ok()?).into()
                    }
                    IpAddr::V6(v6) => {
                        let group = u16::from_str_radix(last, 16).ok()?;
                        Ipv6Addr::from_bits(v6.to_bits() & !0xffff | u128::from(group)).into()
                    }
                })
            })?;
            (first, last)
        }
    };
    let (from, to) = (number(first), number(last));
    let sane = first.is_ipv4() == last.is_ipv4() && from <= to && to - from < MOST;
    sane.then(|| (from..=to).map(|n| of(first, n)).collect())
}

fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// That number as an address of the same family.
fn of(like: IpAddr, number: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from_bits(number as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_all_their_addresses() {
        let ends = |text: &str| {
            let all = range(text)?;
            Some((all.first()?.to_string(), all.last()?.to_string(), all.len()))
        };
        let expected = |first: &str, last: &str, n| Some((first.to_owned(), last.to_owned(), n));
        assert_eq!(ends("10.0.0.1"), expected("10.0.0.1", "10.0.0.1", 1));
        assert_eq!(ends("192.168.200.1-10"), expected("192.168.200.1", "192.168.200.10", 10));
        assert_eq!(ends("10.0.0.250-10.0.1.10"), expected("10.0.0.250", "10.0.1.10", 17));
        assert_eq!(ends("192.168.202.8/29"), expected("192.168.202.8", "192.168.202.15", 8));
        assert_eq!(ends("10.0.0.8/31"), expected("10.0.0.8", "10.0.0.9", 2));
        assert_eq!(ends("10.0.0.8/32"), expected("10.0.0.8", "10.0.0.8", 1));
        assert_eq!(ends("ae00::2-9"), expected("ae00::2", "ae00::9", 8));
        assert_eq!(ends("ae00::2-1f"), expected("ae00::2", "ae00::1f", 30));
        assert_eq!(ends("fd00::4/126"), expected("fd00::4", "fd00::7", 4));
        for text in ["10.0.0.9-1", "10.0.0.1-fd00::1", "fd00::/64", "10.0.0.1-", "0.0.0.0/0", "x"] {
            assert_eq!(range(text), None, "{text}");
        }
    }
}
