//! What follows a keyword: numbers, times, switches, addresses.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::tree::Item;
use crate::foreign::{self, note::Notes};
use crate::nearest::nearest;

/// A day and more is no interval of a check.
const LONGEST: f64 = 1e9;

/// Complains about a keyword that nobody knows.
pub(super) fn unknown(item: &Item, known: &[&str], notes: &mut Notes) {
    let help = match (undefined(item.name()), nearest(item.name(), known.iter().copied())) {
        (Some(help), _) => help,
        (None, Some(best)) => format!("did you mean `{best}`?"),
        (None, None) => "delete it, or see keepalived.conf(5)".to_owned(),
    };
    notes.add(
        foreign::Severity::NotUnderstood,
        item.place(),
        format!("there is no keyword `{}` here", item.name()),
        help,
    );
}

/// What to do about a parameter that nothing has taken the place of.
pub(super) fn undefined(text: &str) -> Option<String> {
    let name = text.strip_prefix('$')?;
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then(|| {
        format!("define it on a line of its own before this one, without blanks at the =: ${name}=VALUE")
    })
}

/// The first word behind a keyword.
pub(super) fn word<'i>(item: &'i Item, example: &str, notes: &mut Notes) -> Option<&'i str> {
    let word = item.arg(0);
    if word.is_none() {
        let name = item.name();
        notes.error(item.place(), format!("`{name}` has no value"), format!("for example {name} {example}"));
    }
    word
}

/// A whole number.
pub(super) fn number(item: &Item, range: RangeInclusive<u64>, notes: &mut Notes) -> Option<u64> {
    let (low, high) = (*range.start(), *range.end());
    let text = word(item, &low.max(1).to_string(), notes)?;
    let number = text.parse().ok().filter(|n| range.contains(n));
    if number.is_none() {
        let help = undefined(text).unwrap_or_else(|| format!("write a whole number from {low} to {high}"));
        notes.error(item.place_of(0), format!("`{text}` is not a number for `{}`", item.name()), help);
    }
    number
}

/// The same as a `u32`.
pub(super) fn small(item: &Item, range: RangeInclusive<u32>, notes: &mut Notes) -> Option<u32> {
    let (low, high) = range.into_inner();
    number(item, low.into()..=high.into(), notes).and_then(|n| n.try_into().ok())
}

/// A time in seconds, fractions of them among it, as milliseconds; `least` is the shortest.
pub(super) fn timer(item: &Item, least: u32, notes: &mut Notes) -> Option<u32> {
    let text = word(item, "3", notes)?;
    let time = text.parse::<f64>().ok().map(|s| (s * 1000.0).round());
    let time = time.filter(|ms| (f64::from(least)..=LONGEST).contains(ms)).map(|ms| ms as u32);
    if time.is_none() {
        let help = undefined(text).unwrap_or_else(|| {
            let rest = if least == 0 { "0 is none" } else { "a hundredth is often enough" };
            format!("write seconds, as in 3 or 0.5; {rest}")
        });
        notes.error(item.place_of(0), format!("`{text}` is not a time for `{}`", item.name()), help);
    }
    time
}

/// `on`, `true`, `yes` or their opposites; on if nothing is said.
pub(super) fn switch(item: &Item, notes: &mut Notes) -> bool {
    match item.arg(0).map(str::to_ascii_lowercase).as_deref() {
        None | Some("on" | "true" | "yes") => true,
        Some("off" | "false" | "no") => false,
        Some(other) => {
            let text = format!("`{other}` is neither on nor off");
            notes.error(item.place_of(0), text, "write on, true or yes, or off, false or no");
            true
        }
    }
}

/// An address.
pub(super) fn address(item: &Item, n: usize, notes: &mut Notes) -> Option<IpAddr> {
    let Some(text) = item.arg(n) else {
        let text = format!("`{}` has no address", item.name());
        notes.error(item.place(), text, format!("for example {} 192.168.1.1", item.name()));
        return None;
    };
    let addr = text.parse().ok();
    if addr.is_none() {
        let help = match (undefined(text), text.parse::<SocketAddr>(), text.split_once('/')) {
            (Some(help), ..) => help,
            (_, Ok(both), _) => format!("a blank is between address and port: {} {}", both.ip(), both.port()),
            (.., Some((addr, _))) if addr.parse::<IpAddr>().is_ok() => {
                "write it without the length of the prefix".to_owned()
            }
            _ => "names are not looked up: write the address that `getent ahosts` shows for it".to_owned(),
        };
        notes.error(item.place_of(n), format!("`{text}` is not an IP address"), help);
    }
    addr
}

/// A command with its arguments, all of it one word.
pub(super) fn command(item: &Item, notes: &mut Notes) -> Option<String> {
    let line = word(item, "/usr/local/bin/script.sh", notes)?;
    match foreign::program(line) {
        Ok(()) => Some(line.to_owned()),
        Err((text, help)) => {
            notes.error(item.place_of(0), text, help);
            None
        }
    }
}
