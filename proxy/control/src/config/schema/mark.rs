//! `[[mark]]`: rules that give packets a mark, in order.

use std::ops::Range;

use sched::marks::{Interface, Match, PortMatch, PortRange, Prefix, SetMark, Side, flaw};
use sched::{Family, MarkRule, Proto};
use toml::de::DeTable;

use super::super::reader::{At, Problems, Section};
use super::ports;

const KNOWN: &[&str] =
    &["mark", "mask", "dest", "source", "protocol", "ports", "source_ports", "input", "family"];

/// The rules in the file's order. One with many ports becomes several.
pub(super) fn rules(root: &Section<'_>, problems: &mut Problems) -> Vec<MarkRule> {
    root.tables("mark", "[[mark]]", problems).iter().flat_map(|table| rule(table, problems)).collect()
}

fn rule(table: &At<&DeTable<'_>>, problems: &mut Problems) -> Vec<MarkRule> {
    let section = Section::new(table.value, table.span.clone(), "this rule", KNOWN, problems);
    if section.value("mark").is_none() {
        section.missing("mark", "3", problems);
    }
    let number = |key, problems: &mut Problems| {
        let n = section.integer(key, 0..=u64::from(u32::MAX), problems)?;
        u32::try_from(n.value).ok()
    };
    let (value, mask) = (number("mark", problems), number("mask", problems));
    let dest = prefix(&section, "dest", "\"10.0.0.1\"", problems);
    let source = prefix(&section, "source", "\"192.168.0.0/16\"", problems);
    let input = input(&section, problems);
    let protocol = protocol(&section, problems);
    let family = family(&section, [&dest, &source], problems);
    let dports = list(&section, "ports", problems);
    let sports = list(&section, "source_ports", problems);
    let Some(value) = value else { return Vec::new() };
    // As `--set-mark VALUE/MASK`.
    let set = mask.map_or_else(|| SetMark::to(value), |mask| SetMark { value, mask: mask | value });
    let base = MarkRule {
        source: source.map(|m| m.0),
        dest: dest.map(|m| m.0),
        input,
        protocol,
        ports: sports
            .map(|ranges| PortMatch::Multi { side: Side::Source, ranges, not: false })
            .into_iter()
            .collect(),
        ..MarkRule::new(family, set)
    };
    let with = |m: PortMatch| MarkRule { ports: [base.ports.clone(), vec![m]].concat(), ..base.clone() };
    let rules: Vec<_> = match dports {
        Some(ranges) => PortMatch::dports_of(&ranges).into_iter().map(with).collect(),
        None => vec![base],
    };
    if let Some(flaw) = rules.iter().find_map(flaw) {
        let help = "say protocol = \"tcp\" beside ports, and keep to one address family and 15 source ports";
        problems.note(table.span.clone(), format!("this rule can match nothing: {flaw}"), help);
    }
    rules
}

/// An address or a prefix, with its place; a `!` before it means everything else.
fn prefix(
    section: &Section<'_>,
    key: &str,
    example: &str,
    problems: &mut Problems,
) -> Option<(Match<Prefix>, Range<usize>)> {
    let text = section.string(key, example, problems)?;
    let (not, addr) = text.value.strip_prefix('!').map_or((false, text.value), |rest| (true, rest.trim()));
    match addr.parse() {
        Ok(value) => Some((Match { value, not }, text.span)),
        Err(e) => {
            let help = format!("for example {key} = {example}; with a ! before it all others");
            problems.note(text.span, format!("`{}` is {e}", text.value), help);
            None
        }
    }
}

fn input(section: &Section<'_>, problems: &mut Problems) -> Option<Match<Interface>> {
    let text = section.string("input", "\"eth0\"", problems)?;
    let (not, name) = text.value.strip_prefix('!').map_or((false, text.value), |rest| (true, rest.trim()));
    match name.parse() {
        Ok(value) => Some(Match { value, not }),
        Err(e) => {
            problems.note(text.span, format!("`{name}` is {e}"), "for example input = \"eth0\"");
            None
        }
    }
}

fn protocol(section: &Section<'_>, problems: &mut Problems) -> Option<Match<u8>> {
    let text = section.string("protocol", "\"tcp\"", problems)?;
    let known = Proto::ALL.into_iter().find(|p| p.name().eq_ignore_ascii_case(text.value));
    match known.map(Proto::number).or_else(|| text.value.parse().ok()) {
        Some(number) => Some(Match::is(number)),
        None => {
            let help = "write \"tcp\", \"udp\", \"sctp\" or a number as in \"47\"";
            problems.note(text.span, format!("there is no protocol `{}`", text.value), help);
            None
        }
    }
}

fn family(
    section: &Section<'_>,
    prefixes: [&Option<(Match<Prefix>, Range<usize>)>; 2],
    problems: &mut Problems,
) -> Family {
    let told = prefixes.into_iter().flatten().next().map(|(m, _)| m.value.family());
    let Some(text) = section.string("family", "\"ipv6\"", problems) else {
        return told.unwrap_or(Family::Ipv4);
    };
    let family = match text.value {
        "ipv4" => Some(Family::Ipv4),
        "ipv6" => Some(Family::Ipv6),
        _ => None,
    };
    if family.is_none() || told.is_some_and(|told| Some(told) != family) {
        let help = "\"ipv4\" or \"ipv6\", and needed only where no address tells";
        problems.note(text.span, format!("`{}` is not the family of this rule", text.value), help);
    }
    family.or(told).unwrap_or(Family::Ipv4)
}

fn list(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<Vec<PortRange>> {
    section.value(key)?;
    let example = "[80, 443, \"8000-8100\"]";
    let array = section.array(key, example, problems)?;
    let mut all = Vec::new();
    for item in array.value.iter() {
        match ports::item(item.get_ref()) {
            Some(ranges) => all.extend(ranges),
            None => problems.note(item.span(), "this is no port", format!("for example {key} = {example}")),
        }
    }
    Some(all)
}
