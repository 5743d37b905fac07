//! `real = a->b:port gate|masq|ipip weight "request", "receive" l:n u:n`, and `fallback`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sched::{Family, ForwardMethod, Proto, Tunnel, Weight};

use super::Line;
use crate::foreign::note::{Notes, Place, Severity};
use crate::foreign::services;

const EXAMPLE: &str = "for example real = 192.168.1.1:80 masq 1";
/// More in a range are a mistake.
const MOST: u128 = 65_536;

/// Real servers that one line names.
#[derive(Debug)]
pub(super) struct Real {
    pub(super) place: Place,
    pub(super) addrs: Vec<IpAddr>,
    /// 0 where none is written.
    pub(super) l4_port: u16,
    pub(super) method: ForwardMethod,
    pub(super) weight: Weight,
    pub(super) asked: Option<(String, String)>,
    pub(super) lower: u32,
    pub(super) upper: u32,
}

/// Reads a line; nothing if it has been complained about.
pub(super) fn real(line: &Line, family: Family, proto: Proto, notes: &mut Notes) -> Option<Real> {
    let (plain, quoted, behind) = quoted(&line.value);
    let mut words = plain.split_whitespace();
    let place = line.at();
    let Some(target) = words.next() else {
        notes.error(&line.place, "this real server has no address", EXAMPLE);
        return None;
    };
    let (hosts, port) = host_and_port(target);
    let l4_port = port_of(port, proto, &place.find(target), notes)?;
    let addrs = addresses(hosts, family, &place.find(target), notes)?;
    let method = words.next().and_then(method);
    let Some(method) = method else {
        notes.error(
            &place,
            "this real server has no forwarding method",
            "write gate, masq or ipip behind it",
        );
        return None;
    };
    let mut real = Real {
        place: place.clone(),
        addrs,
        l4_port,
        method,
        weight: Weight::default(),
        asked: quoted,
        lower: 0,
        upper: 0,
    };
    for (n, word) in words.chain(behind.split_whitespace()).enumerate() {
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= Weight::MAX.0);
        let threshold = |prefix| word.strip_prefix(prefix).and_then(number);
        match (number(word), threshold("l:"), threshold("u:")) {
            (Some(weight), _, _) if n == 0 => real.weight = Weight(weight),
            (_, Some(lower), _) => real.lower = lower,
            (_, _, Some(upper)) => real.upper = upper,
            _ => {
                let help = "behind the method are a weight, \"request\", \"receive\", and l:LOWER u:UPPER";
                notes.error(&place.find(word), format!("`{word}` says nothing about a real server"), help);
            }
        }
    }
    Some(real)
}

/// A server for when there is no other.
pub(super) fn fallback(
    line: &Line,
    family: Family,
    proto: Proto,
    notes: &mut Notes,
) -> Option<(SocketAddr, ForwardMethod)> {
    let place = line.at();
    let mut words = line.text().split_whitespace();
    let (host, port) = host_and_port(words.next().unwrap_or_default());
    let l4_port = port_of(port, proto, &place, notes)?;
    let addr = addresses(host, family, &place, notes)?.first().copied()?;
    let word = words.next().unwrap_or("gate");
    let rest = words.collect::<Vec<_>>().join(" ");
    if !rest.is_empty() {
        let text = format!("behind the method of a fallback nothing follows: `{rest}` is passed over");
        notes.add(Severity::NotUnderstood, &place.find(&rest), text, "delete it");
    }
    let Some(method) = method(word) else {
        let text = format!("there is no forwarding method `{word}`");
        notes.error(&place.find(word), text, "write gate, masq or ipip");
        return None;
    };
    Some((SocketAddr::new(addr, l4_port), method))
}

/// What is before quotes, the two strings in them, and what is behind.
fn quoted(text: &str) -> (&str, Option<(String, String)>, &str) {
    let parts: Vec<&str> = text.split('"').collect();
    match parts[..] {
        [before, request, _, receive, behind] => {
            (before, Some((request.to_owned(), receive.to_owned())), behind)
        }
        _ => (text, None, ""),
    }
}

/// `host:port`, `[v6]:port`, `host`.
pub(super) fn host_and_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// A port by number or name; 0 for none.
pub(super) fn port_of(port: Option<&str>, proto: Proto, place: &Place, notes: &mut Notes) -> Option<u16> {
    let Some(text) = port else { return Some(0) };
    let port = services::port(text, proto);
    if port.is_none() {
        let help = "write a number from 1 to 65535, or a name that is in /etc/services";
        notes.error(place, format!("`{text}` is not a port"), help);
    }
    port
}

fn method(word: &str) -> Option<ForwardMethod> {
    match word {
        "gate" => Some(ForwardMethod::Route),
        "masq" => Some(ForwardMethod::Masq),
        "ipip" => Some(ForwardMethod::Tunnel(Tunnel::default())),
        _ => None,
    }
}

/// An address without its brackets.
pub(super) fn address(text: &str, family: Family, place: &Place, notes: &mut Notes) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(addr) if Family::from(addr) == family => Some(addr),
        Ok(_) => {
            let help = "IPv6 has keys of its own: virtual6, real6, fallback6";
            notes.error(place, format!("`{text}` is of the other address family"), help);
            None
        }
        Err(_) => {
            let help = "names are not looked up: write the address that `getent ahosts` shows for it";
            notes.error(place, format!("`{text}` is not an IP address"), help);
            None
        }
    }
}

/// `a`, or `a->b` and all between.
fn addresses(text: &str, family: Family, place: &Place, notes: &mut Notes) -> Option<Vec<IpAddr>> {
    let (first, last) = text.split_once("->").unwrap_or((text, text));
    let (first, last) = (address(first, family, place, notes)?, address(last, family, place, notes)?);
    let number = |addr| match addr {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let (from, to) = (number(first), number(last));
    if from > to || to - from >= MOST {
        let help = "write the lower one first: 192.168.1.1->192.168.1.9:80";
        notes.error(place, format!("`{text}` is no range of addresses"), help);
        return None;
    }
    let of = |n: u128| match first {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::from_bits(n as u32)),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::from_bits(n)),
    };
    Some((from..=to).map(of).collect())
}
