//! One check: its kind, its times, where it asks.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use sched::{Check, CheckKind, Family, Via, Window};
use toml::de::DeTable;

use super::super::super::reader::{At, Problems, Section};
use super::super::address::unicast;
use super::super::values::{is_device_name, word};
use super::kind::{self, Kind};
use crate::health::probe;

/// Times of what is asked; the keys of `[health]`.
const TIMES: &[&str] = &["interval", "fast_interval", "timeout", "fall", "rise", "warmup"];
const KIND: &str = "\"http\"";
/// The longest time, 30 days, in milliseconds.
const MAX: u32 = 30 * 86_400_000;
/// Ten milliseconds between two questions are a flood already.
const MIN_INTERVAL: u32 = 10;
/// Whoever wants more than a million answers wants none.
const MAX_COUNT: u64 = 1_000_000;

/// A check, and where the file says it.
pub(in super::super) struct Asked<'a> {
    pub(super) check: Check,
    pub(super) section: Section<'a>,
}

/// `[health]`: what a check has that does not say otherwise.
pub(in super::super) fn defaults(root: &Section<'_>, problems: &mut Problems) -> Check {
    let check = Check::new(CheckKind::Icmp);
    let Some((table, span)) = root.table("health", "[health]", problems) else { return check };
    times(&Section::new(table, span, "[health]", TIMES, problems), check, problems)
}

/// The checks of a service, or of a server; `None` where there is no such key.
pub(in super::super) fn checks<'a>(
    parent: &Section<'a>,
    header: &str,
    defaults: &Check,
    problems: &mut Problems,
) -> Option<Vec<Asked<'a>>> {
    parent.value("check")?;
    let tables = parent.tables("check", header, problems);
    Some(tables.iter().filter_map(|table| check(table, defaults, problems)).collect())
}

fn check<'a>(table: &At<&'a DeTable<'a>>, defaults: &Check, problems: &mut Problems) -> Option<Asked<'a>> {
    let kind = kind(table, problems)?;
    let mut known: Vec<&str> = vec!["kind", "window", "via"];
    for key in TIMES.iter().copied().chain(kind.keys()) {
        known.push(key);
    }
    for key in table.value.keys() {
        let name: &str = key.get_ref();
        if !known.contains(&name)
            && let Some(help) = kind::whose(name)
        {
            problems.note(key.span(), format!("{} has no `{name}`", kind.what), help);
            known.push(name);
        }
    }
    let before = problems.len();
    let section = Section::new(table.value, table.span.clone(), kind.what, &known, problems);
    let mut check = times(&section, defaults.clone(), problems);
    check.window = window(&section, problems);
    check.addr = addr(&section, problems);
    let port = section.integer("port", 1..=65_535, problems);
    check.port = port.and_then(|port| port.value.try_into().ok());
    check.via = via(&section, kind, problems);
    check.bind = bind(&section, problems);
    check.device = device(&section, problems);
    let mark = section.integer("mark", 1..=u64::from(u32::MAX), problems);
    check.mark = mark.and_then(|mark| mark.value.try_into().ok());
    if let (Some(bind), Some(addr)) = (check.bind, check.addr)
        && Family::from(bind.ip()) != Family::from(addr)
    {
        families(&section, bind, addr, problems);
    }
    check.kind = (kind.read)(&section, problems)?;
    // What it asks was looked at key by key; whoever asks has the last word.
    if problems.len() == before {
        askable(&check, &section.span, "ask for something else, or delete the check", problems);
    }
    Some(Asked { check, section })
}

/// Complains that nobody of one family is asked from an address of the other.
pub(super) fn families(section: &Section<'_>, bind: SocketAddr, asked: IpAddr, problems: &mut Problems) {
    let text = format!("{asked} cannot be asked from {}: they are of different address families", bind.ip());
    let help = "take an address of the same family, or delete `bind`";
    problems.note(section.place_of("bind"), text, help);
}

/// Whether it could be asked at all: patterns above all.
pub(super) fn askable(check: &Check, place: &Range<usize>, help: &str, problems: &mut Problems) {
    if let Err(why) = probe::check(check) {
        problems.note(place.clone(), why, help);
    }
}

fn kind(table: &At<&DeTable<'_>>, problems: &mut Problems) -> Option<&'static Kind> {
    let Some(value) = table.value.get("kind") else {
        let help = format!("say what is asked: kind = {KIND} ({})", kind::names());
        problems.note(table.span.clone(), "this check has no `kind`", help);
        return None;
    };
    let name = value.get_ref().as_str().unwrap_or_default();
    let found = kind::find(name);
    if found.is_none() {
        let message = match value.get_ref().as_str() {
            Some(name) => format!("there is no check `{name}`"),
            None => format!("`kind` has to be a string, not {}", value.get_ref().type_str()),
        };
        problems.note(value.span(), message, kind::nearest_to(name));
    }
    found
}

fn times(section: &Section<'_>, mut check: Check, problems: &mut Problems) -> Check {
    let time = |key, low, problems: &mut Problems| section.millis(key, low..=MAX, problems).map(|t| t.value);
    let count = |key, problems: &mut Problems| {
        section.integer(key, 1..=MAX_COUNT, problems).and_then(|n| u32::try_from(n.value).ok())
    };
    check.interval = time("interval", MIN_INTERVAL, problems).unwrap_or(check.interval);
    check.fast_interval = time("fast_interval", MIN_INTERVAL, problems).or(check.fast_interval);
    check.timeout = time("timeout", 1, problems).unwrap_or(check.timeout);
    check.fall = count("fall", problems).unwrap_or(check.fall);
    check.rise = count("rise", problems).unwrap_or(check.rise);
    check.warmup = time("warmup", 0, problems).or(check.warmup);
    check
}

/// `window = "3/10"`.
fn window(section: &Section<'_>, problems: &mut Problems) -> Option<Window> {
    let text = section.string("window", "\"3/10\"", problems)?;
    let window = text.value.split_once('/').and_then(|(failures, of)| {
        Some(Window { failures: failures.trim().parse().ok()?, of: of.trim().parse().ok()? })
    });
    let (message, help) = match window {
        Some(Window { failures, of }) if failures >= 1 && failures <= of && of <= 64 => return window,
        Some(Window { failures: 0, .. }) => (
            "no failure at all would make a server dead".to_owned(),
            "it takes one at least: window = \"1/10\"",
        ),
        Some(Window { failures, of }) if failures > of => (
            format!("{failures} of {of} answers cannot fail"),
            "first the failures, then how many answers are remembered: window = \"3/10\"",
        ),
        Some(Window { of, .. }) => {
            (format!("{of} answers are more than are remembered"), "64 at most: window = \"20/64\"")
        }
        None => (
            format!("`{}` is no window", text.value),
            "failures and answers, at most 64 of these: window = \"3/10\"",
        ),
    };
    problems.note(text.span, message, help);
    None
}

/// `address`: asked there in place of the server.
fn addr(section: &Section<'_>, problems: &mut Problems) -> Option<IpAddr> {
    let text = section.string("address", "\"192.168.1.9\"", problems)?;
    let Ok(ip) = text.value.parse() else {
        let help = match text.value.parse::<SocketAddr>() {
            Ok(both) => {
                format!("the port has its own key: address = \"{}\", port = {}", both.ip(), both.port())
            }
            Err(_) => "write the number, IPv4 or IPv6: address = \"192.168.1.9\"".to_owned(),
        };
        problems.note(text.span, format!("`{}` is not an IP address", text.value), help);
        return None;
    };
    unicast(ip, &text, "asked", problems)
}

fn via(section: &Section<'_>, kind: &Kind, problems: &mut Problems) -> Via {
    let name = |via| match via {
        Via::Direct => "direct",
        Via::Vip => "vip",
    };
    let via = word(section, "via", &[Via::Direct, Via::Vip], name, problems).unwrap_or_default();
    if via == Via::Vip && !kind.by_port() {
        let help = "what is asked there is TCP or UDP: delete the line, or take for example kind = \"tcp\"";
        problems.note(section.place_of("via"), format!("{} cannot go by way of the VIP", kind.what), help);
        return Via::Direct;
    }
    if via == Via::Vip && section.value("address").is_some() {
        let text = "the VIP is asked already, by `via`";
        problems.note(section.place_of("address"), text, "delete one of the two");
    } else if via == Via::Vip && section.value("device").is_some() {
        let text = "what is asked `via` the VIP goes the service's way, by no device of its own";
        problems.note(section.place_of("device"), text, "delete one of the two");
    }
    via
}

/// `bind = "192.168.1.250"`, with a port or without.
fn bind(section: &Section<'_>, problems: &mut Problems) -> Option<SocketAddr> {
    let text = section.string("bind", "\"192.168.1.250\"", problems)?;
    let read = text.value.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| text.value.parse());
    if read.is_err() {
        let help = "write an address of this host, or with a port \"192.168.1.250:4000\", \"[fd00::1]:4000\"";
        problems.note(text.span.clone(), format!("`{}` is not an address to ask from", text.value), help);
    }
    read.ok()
}

fn device(section: &Section<'_>, problems: &mut Problems) -> Option<String> {
    let name = section.string("device", "\"eth0\"", problems)?;
    if !is_device_name(name.value) {
        let help = "name it as `ip link` shows it: device = \"eth0\"";
        problems.note(name.span, format!("`{}` cannot be the name of a device", name.value), help);
        return None;
    }
    Some(name.value.to_owned())
}
