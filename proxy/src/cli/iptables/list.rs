//! `-L`: the table for people.

use std::fmt::Write;
use std::net::IpAddr;

use control::api::{MarkChain, MarkView};
use sched::marks::{MarkCounts, Match, PortMatch, PortRange, Prefix};
use sched::{Family, MarkRule, Proto};

use super::super::ipvsadm::resolve::Resolve;
use super::{names, spec};

/// What a listing shows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Show {
    pub(super) numeric: bool,
    pub(super) verbose: bool,
    pub(super) exact: bool,
    pub(super) numbers: bool,
}

/// A chain: its head, and its rules; only the one `at` that place, without the head, where one is asked for.
pub(super) fn chain(
    name: &str,
    family: Family,
    chain: &MarkChain,
    at: Option<usize>,
    show: Show,
    resolve: &dyn Resolve,
) -> String {
    let mut out = String::new();
    if at.is_none() {
        head(&mut out, name, chain.passed, show);
    }
    for (i, view) in chain.rules.iter().enumerate() {
        if at.is_none_or(|at| at == i) {
            row(&mut out, i, family, view, show, resolve);
        }
    }
    out
}

/// One rule on a line of its own, as `-v` shows what a command has done.
pub(super) fn done(rule: &MarkRule) -> String {
    let prefix = |m: &Option<Match<Prefix>>| address(m, rule.family, true, None);
    let input = rule.input.as_ref().map_or("*", |m| m.value.as_str());
    let (source, dest, protocol, at) =
        (prefix(&rule.source), prefix(&rule.dest), protocol(rule, false), inverse(&rule.input));
    format!(
        "MARK {}{protocol} opt -- in {at}{input} out * {}{source} {}-> {dest}  {} {}\n",
        blank(inverse(&rule.protocol)),
        blank(inverse(&rule.source)),
        blank(inverse(&rule.dest)),
        rule.ports.iter().map(|m| format!(" {}", ports(m, rule, None))).collect::<String>(),
        target(rule),
    )
}

fn head(out: &mut String, name: &str, passed: MarkCounts, show: Show) {
    // Writing to a string does not fail.
    let _ = if show.verbose {
        let (packets, bytes) = (number(passed.packets, show, 0), number(passed.bytes, show, 0));
        writeln!(out, "Chain {name} (policy ACCEPT {packets} packets, {bytes} bytes)")
    } else {
        writeln!(out, "Chain {name} (policy ACCEPT)")
    };
    if show.numbers {
        out.push_str("num  ");
    }
    if show.verbose {
        out.push_str(if show.exact { "    pkts      bytes " } else { " pkts bytes " });
    }
    out.push_str("target     prot opt ");
    if show.verbose {
        out.push_str("in     out     ");
    }
    out.push_str("source               destination         \n");
}

fn row(out: &mut String, at: usize, family: Family, view: &MarkView, show: Show, resolve: &dyn Resolve) {
    let rule = &view.rule;
    let names = (!show.numeric).then_some(resolve);
    if show.numbers {
        let _ = write!(out, "{:<4} ", at + 1);
    }
    if show.verbose {
        let MarkCounts { packets, bytes } = view.counts;
        let _ = write!(out, "{} {} ", number(packets, show, 5), number(bytes, show, 5));
    }
    let _ = write!(
        out,
        "{:<9} {}{:<4} -- ",
        "MARK",
        blank(inverse(&rule.protocol)),
        protocol(rule, show.numeric)
    );
    if show.verbose {
        let any = if show.numeric { "*" } else { "any" };
        let input = match &rule.input {
            None => any.to_owned(),
            Some(m) => format!("{}{}", inverse(&rule.input), m.value),
        };
        let _ = write!(out, " {input:<6} {any:<6} ");
    }
    let (source, dest) = (
        address(&rule.source, family, show.numeric, names),
        address(&rule.dest, family, show.numeric, names),
    );
    let _ =
        write!(out, "{}{source:<19} {}{dest:<19} ", blank(inverse(&rule.source)), blank(inverse(&rule.dest)));
    for m in &rule.ports {
        let _ = write!(out, " {}", ports(m, rule, names));
    }
    let _ = writeln!(out, " {}", target(rule));
}

fn protocol(rule: &MarkRule, numeric: bool) -> String {
    match rule.protocol {
        None if numeric => "0".to_owned(),
        None => "all".to_owned(),
        Some(m) if numeric => m.value.to_string(),
        Some(m) => names::protocol(m.value),
    }
}

fn address(m: &Option<Match<Prefix>>, family: Family, numeric: bool, names: Option<&dyn Resolve>) -> String {
    let Some(m) = m else {
        return if numeric { spec::everything(family).to_owned() } else { "anywhere".to_owned() };
    };
    let named = |ip: IpAddr| names.and_then(|names| names.host_name(ip));
    m.value.single().and_then(named).unwrap_or_else(|| m.value.to_string())
}

fn ports(m: &PortMatch, rule: &MarkRule, names: Option<&dyn Resolve>) -> String {
    let number = rule.protocol.map_or(0, |m| m.value);
    let proto = [Proto::Tcp, Proto::Udp].into_iter().find(|proto| proto.number() == number);
    let name = |port: u16| {
        let named = names.zip(proto).and_then(|(names, proto)| names.port_name(proto, port));
        named.unwrap_or_else(|| port.to_string())
    };
    let range = |range: &PortRange| {
        if range.is_one() { name(range.first) } else { format!("{}:{}", name(range.first), name(range.last)) }
    };
    match m {
        PortMatch::Plain { source, dest } => {
            let one = |which: &str, m: &Option<Match<PortRange>>| {
                m.map(|m| {
                    let plural = if m.value.is_one() { "" } else { "s" };
                    format!(" {which}{plural}:{}{}", if m.not { "!" } else { "" }, range(&m.value))
                })
            };
            let (source, dest) = (one("spt", source), one("dpt", dest));
            format!("{}{}{}", names::protocol(number), source.unwrap_or_default(), dest.unwrap_or_default())
        }
        PortMatch::Multi { side, ranges, not } => {
            let list: Vec<_> = ranges.iter().map(range).collect();
            let not = if *not { " !" } else { "" };
            format!("multiport {} {not}{}", spec::side(*side), list.join(","))
        }
    }
}

fn target(rule: &MarkRule) -> String {
    let (value, mask) = (rule.set.value, rule.set.mask);
    if value == 0 {
        format!("MARK and {:#x}", !mask)
    } else if value == mask {
        format!("MARK or {value:#x}")
    } else if mask == 0 {
        format!("MARK xor {value:#x}")
    } else if mask == u32::MAX {
        format!("MARK set {value:#x}")
    } else {
        format!("MARK xset {value:#x}/{mask:#x}")
    }
}

const fn inverse<T>(m: &Option<Match<T>>) -> &'static str {
    match m {
        Some(Match { not: true, .. }) => "!",
        _ => "",
    }
}

/// In a column of its own.
const fn blank(inverse: &'static str) -> &'static str {
    if inverse.is_empty() { " " } else { inverse }
}

/// A counter, `width` wide: in full, or cut to five digits with decimal K, M, G, T, rounded.
fn number(n: u64, show: Show, width: usize) -> String {
    if show.exact {
        let width = if width == 0 { 0 } else { 8 };
        return format!("{n:>width$}");
    }
    if n <= 99_999 {
        return format!("{n:>width$}");
    }
    let width = width.saturating_sub(1);
    let mut n = n;
    for unit in ["K", "M", "G", "T"] {
        n = (n + 500) / 1000;
        if n <= 9999 || unit == "T" {
            return format!("{n:>width$}{unit}");
        }
    }
    String::new()
}
