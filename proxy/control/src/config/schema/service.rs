//! `[[service]]`: what it matches and how it schedules.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use sched::{
    Algorithm, Check, DestSpec, Family, Mark, MarkRule, Netmask, Persistence, PersistenceEngine, Proto,
    SchedFlags,
};
use sched::{ServiceKey, ServiceSpec, algo};
use toml::de::{DeTable, DeValue};

use super::super::reader::{At, Problems, Section, integer};
use super::address::address;
use super::health;
use super::lip;
use super::ports::{self, Ports, Taken};
use super::server::servers;
use super::tcp;
use super::tls::{self, Front};
use crate::nearest::nearest;

pub(super) const VIP: &str = "\"10.0.0.1\"";
const KNOWN: &[&str] = &[
    "vip",
    "ports",
    "mark",
    "family",
    "scheduler",
    "scheduler_flags",
    "one_packet",
    "persistence",
    "pe",
    "proxy_protocol",
    "toa",
    "mss",
    "lips",
    "server",
    "tls",
    "health",
    "check",
];

/// The services, and the rules that sets of ports are made of.
pub(super) fn services(root: &Section<'_>, problems: &mut Problems) -> (Vec<ServiceSpec>, Vec<MarkRule>) {
    let (mut specs, mut rules, mut fronts) = (Vec::new(), Vec::new(), Vec::new());
    let mut taken = Taken::of(root);
    let mut seen: HashMap<ServiceKey, Range<usize>> = HashMap::new();
    let defaults = health::defaults(root, problems);
    for table in root.tables("service", "[[service]]", problems) {
        let Some((spec, identity, front)) = service(&table, &mut taken, &defaults, problems) else {
            continue;
        };
        let Some(place) = identity.place else { continue };
        rules.extend(identity.rules);
        fronts.extend(front);
        if seen.insert(spec.key, place.clone()).is_some() {
            let help = "merge its servers into the first one, or delete one of the two";
            problems.note(place, format!("the service {} is there already", spec.key), help);
        }
        specs.push(spec);
    }
    tls::check_beside(&fronts, &specs, &taken, problems);
    (specs, rules)
}

/// What the packets of a service have in common, as far as it could be understood: the rest can be checked against it.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    pub(super) key: Option<ServiceKey>,
    pub(super) family: Option<Family>,
    pub(super) l4_port: Option<u16>,
    /// A mark alone has no VIP and no ports.
    pub(super) vip: Option<IpAddr>,
    pub(super) ports: Vec<Ports>,
    /// Where the file says it.
    place: Option<Range<usize>>,
    /// The rules of a set of ports.
    rules: Vec<MarkRule>,
}

fn service(
    table: &At<&DeTable<'_>>,
    taken: &mut Taken,
    defaults: &Check,
    problems: &mut Problems,
) -> Option<(ServiceSpec, Identity, Option<Front>)> {
    let section = Section::new(table.value, table.span.clone(), "this service", KNOWN, problems);
    let has = |key| section.value(key).is_some();
    let identity = if has("mark") && !has("vip") && !has("ports") {
        by_mark(&section, problems)
    } else {
        by_address(&section, taken, problems)
    };
    let (scheduler, algorithm) = scheduler(&section, problems);
    let flags = flags(&section, algorithm, problems);
    let one_packet = one_packet(&section, &identity, problems);
    let persistence = persistence(&section, &identity, problems);
    let pe = engine_of(&section, &identity, persistence.is_some(), problems);
    if let (Some(ServiceKey::Addr { l4_port: 0, .. }), None) = (identity.key, section.value("persistence")) {
        let help = "it keeps a client's connections together, so say for how long: persistence = 360";
        let place = section.place_of("ports");
        problems.note(place, "a service of all ports has to be persistent", help);
    }
    let servers = servers(&section, &identity, defaults, problems);
    let health = health::health(&section, &identity, &servers, defaults, problems);
    let sorry = health.as_ref().and_then(|health| health.sorry.clone());
    let dests: Vec<DestSpec> = servers.into_iter().map(|server| server.dest).collect();
    // Whoever gets connections is looked at: the sorry server too.
    let all: Vec<DestSpec> = dests.iter().cloned().chain(sorry).collect();
    let lips = lip::of_service(&section, &identity, &all, problems);
    let tcp = tcp::options(&section, &identity, &all, problems);
    let front = tls::front(&section, &identity, &all, problems);
    let tls = front.as_ref().map(|front| Arc::clone(&front.tls));
    let key = identity.key?;
    let spec =
        ServiceSpec { key, scheduler, flags, one_packet, persistence, pe, tcp, tls, health, lips, dests };
    Some((spec, identity, front))
}

fn by_address(section: &Section<'_>, taken: &mut Taken, problems: &mut Problems) -> Identity {
    if let Some(value) = section.value("family") {
        problems.note(value.span(), "`family` belongs to a `mark`", "leave it out: the VIP tells it");
    }
    let vip = section.required("vip", VIP, problems);
    let place = vip.as_ref().map(|v| v.span.clone());
    let vip: Option<IpAddr> = vip.and_then(|v| address(&v, problems));
    let mark = mark(section, problems);
    let family = vip.map(Family::from);
    let known = Identity { family, vip, place, ..Identity::default() };
    let Some(ports) = ports::ports(section, problems) else { return known };
    let one = ports::one(&ports).filter(|_| section.value("mark").is_none());
    let l4_port = Some(one.map_or(0, |(_, port)| port));
    let Some(vip) = vip else { return Identity { l4_port, ..known } };
    if let Some((proto, range)) = taken.claim(vip, &ports, one.is_none()) {
        let text = format!("{}/{range} of {vip} is another service's already", proto.name().to_lowercase());
        let help = "take it out of one of the two: a set of ports comes before a single one";
        problems.note(section.place_of("ports"), text, help);
    }
    if let Some((proto, l4_port)) = one {
        let key = Some(ServiceKey::Addr { proto, vip, l4_port });
        return Identity { key, l4_port: Some(l4_port), ports, ..known };
    }
    let chosen = match section.value("mark") {
        Some(_) => mark,
        None => NonZeroU32::new(taken.mark_for(vip, &ports)).map(Mark),
    };
    let Some(mark) = chosen else { return Identity { l4_port, ..known } };
    let key = Some(ServiceKey::Mark { mark, family: vip.into() });
    Identity { key, l4_port, rules: ports::rules(vip, &ports, mark), ports, ..known }
}

fn by_mark(section: &Section<'_>, problems: &mut Problems) -> Identity {
    let family = match section.string("family", "\"ipv6\"", problems) {
        None => Family::Ipv4,
        Some(text) => match text.value {
            "ipv4" => Family::Ipv4,
            "ipv6" => Family::Ipv6,
            other => {
                let help = "family = \"ipv4\", which is the default, or family = \"ipv6\"";
                problems.note(text.span, format!("there is no family `{other}`"), help);
                Family::Ipv4
            }
        },
    };
    let place = section.value("mark").map(|value| value.span());
    let key = mark(section, problems).map(|mark| ServiceKey::Mark { mark, family });
    Identity { key, family: Some(family), l4_port: Some(0), place, ..Identity::default() }
}

fn mark(section: &Section<'_>, problems: &mut Problems) -> Option<Mark> {
    let mark = section.integer("mark", 1..=u64::from(u32::MAX), problems)?;
    NonZeroU32::new(u32::try_from(mark.value).ok()?).map(Mark)
}

fn scheduler(section: &Section<'_>, problems: &mut Problems) -> (String, Option<&'static Algorithm>) {
    let Some(name) = section.string("scheduler", "\"wlc\"", problems) else {
        return (algo::DEFAULT.to_owned(), algo::find(algo::DEFAULT));
    };
    let algorithm = algo::find(name.value);
    if algorithm.is_none() {
        let names = || algo::ALL.iter().map(|a| a.name);
        let known = names().collect::<Vec<_>>().join(", ");
        let help = nearest(name.value, names()).map_or_else(
            || format!("known: {known}"),
            |best| format!("did you mean `{best}`? known: {known}"),
        );
        problems.note(name.span, format!("there is no scheduler `{}`", name.value), help);
    }
    (name.value.to_owned(), algorithm)
}

/// `scheduler_flags = ["sh-port"]`.
fn flags(
    section: &Section<'_>,
    algorithm: Option<&'static Algorithm>,
    problems: &mut Problems,
) -> SchedFlags {
    let mut flags = SchedFlags::default();
    if section.value("scheduler_flags").is_none() {
        return flags;
    }
    let Some(array) = section.array("scheduler_flags", "[\"sh-port\"]", problems) else { return flags };
    // An unknown scheduler has been complained about.
    let Some(algorithm) = algorithm else { return flags };
    for item in array.value.iter() {
        let named = item.get_ref().as_str();
        match algorithm.flags.iter().find(|(name, _)| Some(*name) == named) {
            Some((_, flag)) => flags = flags | *flag,
            None => {
                let names: Vec<_> = algorithm.flags.iter().map(|(name, _)| format!("\"{name}\"")).collect();
                let help = if names.is_empty() {
                    "it has none: delete the line".to_owned()
                } else {
                    format!("it has scheduler_flags = [{}]", names.join(", "))
                };
                problems.note(item.span(), format!("no such flag of the scheduler {}", algorithm.name), help);
            }
        }
    }
    flags
}

fn one_packet(section: &Section<'_>, identity: &Identity, problems: &mut Problems) -> bool {
    let Some(on) = section.boolean("one_packet", problems) else { return false };
    let whole = identity.key.and_then(|key| key.proto()).filter(|proto| *proto != Proto::Udp);
    if let (true, Some(proto)) = (on.value, whole) {
        let text = format!("`one_packet` would tear {} connections apart", proto.name());
        problems.note(on.span, text, "it is for UDP services and marks: delete the line");
        return false;
    }
    on.value
}

/// `persistence = 360`, `true` for the default, or `{ timeout = "6m", mask = "255.255.255.0" }`.
fn persistence(section: &Section<'_>, identity: &Identity, problems: &mut Problems) -> Option<Persistence> {
    let value = section.value("persistence")?;
    let family = identity.family?;
    let range = 1..=Persistence::MAX_TIMEOUT;
    let mut persistence = Persistence { timeout: Persistence::DEFAULT_TIMEOUT, mask: Netmask::full(family) };
    match value.get_ref() {
        DeValue::Boolean(false) => return None,
        DeValue::Boolean(true) => {}
        DeValue::Table(table) => {
            let inner = Section::new(table, value.span(), "`persistence`", &["timeout", "mask"], problems);
            let timeout = inner.seconds("timeout", range, problems);
            persistence.timeout = timeout.map_or(persistence.timeout, |t| t.value);
            persistence.mask = mask(&inner, family, problems).unwrap_or(persistence.mask);
        }
        _ => {
            let timeout = section.seconds("persistence", range, problems);
            persistence.timeout = timeout.map_or(persistence.timeout, |t| t.value);
        }
    }
    Some(persistence)
}

/// A dotted IPv4 mask, or the length of a prefix of either family.
fn mask(section: &Section<'_>, family: Family, problems: &mut Problems) -> Option<Netmask> {
    let value = section.value("mask")?;
    let bits = match family {
        Family::Ipv4 => 32,
        Family::Ipv6 => 128,
    };
    let understood = match (family, value.get_ref()) {
        (Family::Ipv4, DeValue::String(text)) => text.parse().ok().map(Netmask::V4),
        (_, number) => integer(number)
            .and_then(|n| u8::try_from(n).ok())
            .filter(|n| (1..=bits).contains(n))
            .and_then(|n| Netmask::prefix(family, n)),
    };
    if understood.is_none() {
        let help = match family {
            Family::Ipv4 => "for example mask = \"255.255.255.0\", or mask = 24 (of 1 to 32)",
            Family::Ipv6 => "write the length of the prefix, 1 to 128: mask = 64",
        };
        problems.note(value.span(), "this is no mask of client addresses", help);
    }
    understood
}

/// `pe = "sip"`.
fn engine_of(
    section: &Section<'_>,
    identity: &Identity,
    persistent: bool,
    problems: &mut Problems,
) -> Option<PersistenceEngine> {
    let name = section.string("pe", "\"sip\"", problems)?;
    let pe = PersistenceEngine::Sip;
    if name.value != pe.name() {
        let text = format!("there is no persistence engine `{}`", name.value);
        problems.note(name.span, text, format!("there is one: pe = \"{}\"", pe.name()));
    } else if !persistent {
        let help = "say for how long: persistence = 360";
        problems.note(name.span, "`pe` has a meaning only with `persistence`", help);
    } else if let Some(proto) = identity.key.and_then(|k| k.proto()).filter(|proto| *proto != Proto::Udp) {
        let text = format!("the persistence engine sip reads UDP, not {}", proto.name());
        problems.note(name.span, text, "delete the line, or make it a UDP service");
    } else {
        return Some(pe);
    }
    None
}
