//! `ports` of a service: one port, or a set of them. A set is a mark service with rules of its own that give its
//! packets the mark.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use sched::marks::{Match, PortMatch, PortRange, Prefix, SetMark};
use sched::{Family, Mark, MarkRule, Proto};
use toml::de::DeValue;

use super::super::reader::{At, Problems, Section, integer};

const PORTS: &str = "[\"tcp/80\"]";

/// The marks of sets that name none begin here; there are as many as numbers up to twice that.
const FIRST_MARK: u32 = 1_000_000;

/// Ports of one protocol.
pub(super) type Ports = (Proto, Vec<PortRange>);

/// What a file has given away already.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Marks that the file names, or that a set has got.
    marks: HashSet<u32>,
    /// Ports of VIPs, and whether they belong to a set.
    ports: HashMap<(IpAddr, Proto), Vec<(PortRange, bool)>>,
}

impl Taken {
    /// Knows the marks that are named anywhere in the file.
    pub(super) fn of(root: &Section<'_>) -> Self {
        let lists = ["service", "mark"].into_iter().filter_map(|key| root.value(key)?.get_ref().as_array());
        let tables = lists.flat_map(|list| list.iter()).filter_map(|item| item.get_ref().as_table());
        let named = tables.filter_map(|table| integer(table.get("mark")?.get_ref()));
        Self { marks: named.filter_map(|n| u32::try_from(n).ok()).collect(), ports: HashMap::new() }
    }

    /// A mark for a set that names none: told by the VIP and the ports, so that it is the same whatever else the file
    /// has, and the next free one where two would share it.
    pub(super) fn mark_for(&mut self, vip: IpAddr, ports: &[Ports]) -> u32 {
        let text = format!("{vip} {ports:?}");
        // FNV-1a: spreads well and is the same everywhere.
        let hash = text.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        let mut mark = FIRST_MARK + hash % FIRST_MARK;
        while !self.marks.insert(mark) {
            mark = if mark + 1 < 2 * FIRST_MARK { mark + 1 } else { FIRST_MARK };
        }
        mark
    }

    /// Gives ports to a service: of one that are another's already, if a set is one of the two.
    pub(super) fn claim(&mut self, vip: IpAddr, ports: &[Ports], set: bool) -> Option<(Proto, PortRange)> {
        let mut twice = None;
        for (proto, ranges) in ports {
            let others = self.ports.entry((vip, *proto)).or_default();
            for range in ranges {
                let overlaps = |other: &PortRange| other.first <= range.last && range.first <= other.last;
                if others.iter().any(|(other, of_set)| (set || *of_set) && overlaps(other)) {
                    twice = Some((*proto, *range));
                }
            }
            others.extend(ranges.iter().map(|range| (*range, set)));
        }
        twice
    }

    /// Whether a service has that port of the VIP.
    pub(super) fn has(&self, vip: IpAddr, proto: Proto, port: u16) -> bool {
        let ports = self.ports.get(&(vip, proto)).into_iter().flatten();
        ports.into_iter().any(|(range, _)| (range.first..=range.last).contains(&port))
    }
}

/// The rules that give packets for these ports a mark.
pub(super) fn rules(vip: IpAddr, ports: &[Ports], mark: Mark) -> Vec<MarkRule> {
    let rule = |proto: Proto, m| MarkRule {
        dest: Some(Match::is(Prefix::host(vip))),
        protocol: Some(Match::is(proto.number())),
        ports: vec![m],
        ..MarkRule::new(Family::from(vip), SetMark::to(mark.0.get()))
    };
    let of_proto = |(proto, ranges): &Ports| {
        let proto = *proto;
        PortMatch::dports_of(ranges).into_iter().map(move |m| rule(proto, m)).collect::<Vec<_>>()
    };
    ports.iter().flat_map(of_proto).collect()
}

/// `ports = ["tcp/80,443", "udp/443", "tcp/8000-8100"]`; those of a protocol together. Nothing where there was anything
/// to complain about.
pub(super) fn ports(section: &Section<'_>, problems: &mut Problems) -> Option<Vec<Ports>> {
    let array = section.array("ports", PORTS, problems)?;
    if array.value.is_empty() {
        problems.note(array.span, "`ports` is empty", format!("write for example ports = {PORTS}"));
        return None;
    }
    let mut found: Vec<Ports> = Vec::new();
    let mut complete = true;
    for item in array.value.iter() {
        let Some(text) = item.get_ref().as_str() else {
            let help = format!("for example ports = {PORTS}");
            problems.note(item.span(), "a port is written as a string", help);
            complete = false;
            continue;
        };
        match ports_of(&At { value: text, span: item.span() }, problems) {
            None => complete = false,
            Some((proto, ranges)) => match found.iter_mut().find(|(p, _)| *p == proto) {
                Some((_, all)) => all.extend(ranges),
                None => found.push((proto, ranges)),
            },
        }
    }
    let all = |(_, ranges): &Ports| ranges.iter().any(|range| range.first == 0);
    if complete && one(&found).is_none() && found.iter().any(all) {
        let help = "write tcp/0 alone, with persistence, or tcp/1-65535 beside others";
        problems.note(array.span, "port 0, which is all of them, leaves no others", help);
        return None;
    }
    complete.then_some(found)
}

/// The only port there is.
pub(super) fn one(ports: &[Ports]) -> Option<(Proto, u16)> {
    match ports {
        [(proto, ranges)] => match ranges[..] {
            [range] if range.is_one() => Some((*proto, range.first)),
            _ => None,
        },
        _ => None,
    }
}

/// `tcp/80`, `tcp/80,443`, `tcp/8000-8100`. Nothing is returned for what has been complained about.
fn ports_of(text: &At<&str>, problems: &mut Problems) -> Option<Ports> {
    let mut complain = |help: &str| {
        problems.note(text.span.clone(), format!("`{}` is not a protocol and ports", text.value), help);
        None
    };
    let Some((proto, list)) = text.value.split_once('/') else {
        return complain("write tcp/80 or udp/53");
    };
    let proto = match proto {
        "tcp" => Proto::Tcp,
        "udp" => Proto::Udp,
        "sctp" => Proto::Sctp,
        _ => return complain("the protocol is tcp, udp or sctp, in small letters: tcp/80, udp/53"),
    };
    match ranges(list) {
        Some(ranges) => Some((proto, ranges)),
        None => complain(
            "a port is a number from 1 to 65535, or 0 for all of them: tcp/80, tcp/80,443, tcp/8000-8100",
        ),
    }
}

/// `80,443,8000-8100`.
pub(super) fn ranges(list: &str) -> Option<Vec<PortRange>> {
    let one = |text: &str| {
        let range: PortRange = text.trim().replacen('-', ":", 1).parse().ok()?;
        Some(range).filter(|range| range.first > 0 || range.is_one())
    };
    list.split(',').map(one).collect()
}

/// A port or ports in a list of `[[mark]]`: `80`, `"80,443"`, `"8000-8100"`.
pub(super) fn item(value: &DeValue<'_>) -> Option<Vec<PortRange>> {
    match value.as_str() {
        Some(text) => ranges(text),
        None => Some(vec![PortRange::one(u16::try_from(integer(value)?).ok()?)]),
    }
}
