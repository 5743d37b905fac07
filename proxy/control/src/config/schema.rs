//! What the keys mean.

mod settings;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::Range;

use sched::{DestSpec, Family, Proto, ServiceKey, ServiceSpec, Weight, algo};
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::reader::{At, Problems, Section, integer};
use super::{Config, EngineConfig, Offload, Workers};
use crate::nearest::nearest;

const VIP: &str = "\"10.0.0.1\"";
const PORTS: &str = "[\"tcp/80\"]";
const SERVER: &str = "\"192.168.1.1:8080\"";

pub(super) fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    let mut problems = Problems::default();
    let (root, syntax) = DeTable::parse_recoverable(text);
    for e in &syntax {
        let help = "see https://toml.io for how TOML is written";
        problems.note(e.span().unwrap_or_default(), e.message(), help);
    }
    if !problems.is_empty() {
        return Err(problems.into_vec());
    }
    let root = Section::new(
        root.get_ref(),
        0..0,
        "the file",
        &["compat", "engine", "timeouts", "sysctl", "ulvs", "service"],
        &mut problems,
    );
    let engine = engine(&root, &mut problems);
    let settings = settings::settings(&root, &mut problems);
    let services = services(&root, &mut problems);
    if problems.is_empty() { Ok(Config { engine, settings, services }) } else { Err(problems.into_vec()) }
}

fn engine(root: &Section<'_>, problems: &mut Problems) -> EngineConfig {
    let mut config = EngineConfig::default();
    let Some((table, span)) = root.table("engine", problems) else { return config };
    let known = ["workers", "offload", "max_connections", "device"];
    let section = Section::new(table, span, "[engine]", &known, problems);
    if let Some(value) = section.value("workers") {
        match value.get_ref() {
            DeValue::String(s) if s == "auto" => {}
            n => match integer(n)
                .and_then(|n| NonZeroUsize::new(usize::try_from(n).ok()?))
                .filter(|n| n.get() <= 64)
            {
                Some(n) => config.workers = Workers::Count(n),
                None => problems.note(
                    value.span(),
                    "`workers` is neither \"auto\" nor a usable number",
                    "write workers = \"auto\" or a number from 1 to 64",
                ),
            },
        }
    }
    if let Some(value) = section.value("offload") {
        match value.get_ref() {
            DeValue::Boolean(true) => config.offload = Offload::On,
            DeValue::Boolean(false) => config.offload = Offload::Off,
            DeValue::String(s) if s == "auto" => {}
            _ => problems.note(
                value.span(),
                "`offload` is neither \"auto\" nor true nor false",
                "\"auto\" uses the kernel's offloads where it has them, true insists on them, false does without",
            ),
        }
    }
    if let Some(n) = section.integer("max_connections", 1..=1 << 30, problems) {
        let n = usize::try_from(n.value).ok().and_then(NonZeroUsize::new);
        config.max_connections = n.unwrap_or(config.max_connections);
    }
    if let Some(name) = section.string("device", "\"ulvs0\"", problems) {
        if is_device_name(name.value) {
            name.value.clone_into(&mut config.device);
        } else {
            let help = "1 to 15 characters, no blanks, no slash and no colon: device = \"ulvs0\"";
            problems.note(name.span, format!("`{}` cannot be the name of a device", name.value), help);
        }
    }
    config
}

/// What the kernel's `dev_valid_name` takes; also no `%`, which would make it a pattern.
fn is_device_name(name: &str) -> bool {
    let legal = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | ':' | '%');
    (1..=15).contains(&name.len()) && name != "." && name != ".." && name.chars().all(legal)
}

fn services(root: &Section<'_>, problems: &mut Problems) -> Vec<ServiceSpec> {
    let mut specs = Vec::new();
    let mut seen: HashMap<ServiceKey, Range<usize>> = HashMap::new();
    for table in root.tables("service", "[[service]]", problems) {
        let Some((spec, place)) = service(&table, problems) else { continue };
        if seen.insert(spec.key, place.clone()).is_some() {
            let help = "merge its servers into the first one, or delete one of the two";
            problems.note(place, format!("the service {} is there already", spec.key), help);
        }
        specs.push(spec);
    }
    specs
}

fn service(table: &At<&DeTable<'_>>, problems: &mut Problems) -> Option<(ServiceSpec, Range<usize>)> {
    let known = ["vip", "ports", "scheduler", "server"];
    let section = Section::new(table.value, table.span.clone(), "this service", &known, problems);
    let vip = section.required("vip", VIP, problems);
    let place = vip.as_ref().map(|v| v.span.clone());
    let vip = vip.and_then(|v| address(&v, problems));
    let port = ports(&section, problems);
    let scheduler = scheduler(&section, problems);
    let family = vip.map(Family::from);
    let l4_port = port.map(|(_, p)| p);
    let mut dests: Vec<DestSpec> = Vec::new();
    for table in section.tables("server", "[[service.server]]", problems) {
        let Some((dest, place)) = server(&table, family, l4_port, problems) else { continue };
        if dests.iter().any(|d| d.addr == dest.addr) {
            let text = format!("the server {} is in this service already", dest.addr);
            problems.note(place, text, "to give it a larger share, raise its weight");
        } else {
            dests.push(dest);
        }
    }
    let (proto, l4_port) = port?;
    let key = ServiceKey::Addr { proto, vip: vip?, l4_port };
    Some((ServiceSpec { dests, ..ServiceSpec::new(key, &scheduler) }, place?))
}

fn address(text: &At<&str>, problems: &mut Problems) -> Option<IpAddr> {
    let Ok(addr) = text.value.parse::<IpAddr>() else {
        let help = match text.value.parse::<SocketAddr>() {
            Ok(both) => format!(
                "the port goes into `ports`: vip = \"{}\", ports = [\"tcp/{}\"]",
                both.ip(),
                both.port()
            ),
            Err(_) => format!("write the number, IPv4 or IPv6: vip = {VIP}"),
        };
        problems.note(text.span.clone(), format!("`{}` is not an IP address", text.value), help);
        return None;
    };
    unicast(addr, text, "a virtual address", problems)
}

fn unicast(addr: IpAddr, text: &At<&str>, role: &str, problems: &mut Problems) -> Option<IpAddr> {
    let broadcast = matches!(addr, IpAddr::V4(v4) if v4.is_broadcast());
    if addr.is_unspecified() || addr.is_multicast() || broadcast {
        let help = "it has to be the address of one host: not 0.0.0.0, ::, multicast or broadcast";
        problems.note(text.span.clone(), format!("{addr} cannot be {role}"), help);
        return None;
    }
    Some(addr)
}

fn ports(section: &Section<'_>, problems: &mut Problems) -> Option<(Proto, u16)> {
    let array = section.array("ports", PORTS, problems)?;
    let mut found = Vec::new();
    for item in array.value.iter() {
        let Some(text) = item.get_ref().as_str() else {
            problems.note(
                item.span(),
                "a port is written as a string",
                format!("for example ports = {PORTS}"),
            );
            continue;
        };
        found.extend(ports_of(&At { value: text, span: item.span() }, problems));
    }
    match found[..] {
        [one] if array.value.len() == 1 => Some(one),
        // Complained about above.
        _ if found.len() < array.value.len() => None,
        [] => {
            problems.note(array.span, "`ports` is empty", format!("write for example ports = {PORTS}"));
            None
        }
        _ => {
            let help = "write one [[service]] for each port";
            problems.note(array.span, "a service holds exactly one port in this version", help);
            None
        }
    }
}

/// `tcp/80`, or `tcp/80,443`. Nothing is returned for what has been complained about.
fn ports_of(text: &At<&str>, problems: &mut Problems) -> Vec<(Proto, u16)> {
    let mut complain = |help: &str| {
        problems.note(text.span.clone(), format!("`{}` is not a protocol and a port", text.value), help);
        Vec::new()
    };
    let Some((proto, list)) = text.value.split_once('/') else {
        return complain("write tcp/80 or udp/53");
    };
    let proto = match proto {
        "tcp" => Proto::Tcp,
        "udp" => Proto::Udp,
        _ => return complain("the protocol is tcp or udp, in small letters: tcp/80, udp/53"),
    };
    let parsed: Option<Vec<u16>> = list.split(',').map(|p| p.parse().ok().filter(|p| *p != 0)).collect();
    parsed.map_or_else(
        || complain("the port is a number from 1 to 65535: tcp/80"),
        |list| list.into_iter().map(|p| (proto, p)).collect(),
    )
}

fn scheduler(section: &Section<'_>, problems: &mut Problems) -> String {
    let Some(name) = section.string("scheduler", "\"wlc\"", problems) else {
        return algo::DEFAULT.to_owned();
    };
    if algo::find(name.value).is_none() {
        let names = || algo::ALL.iter().map(|a| a.name);
        let known = names().collect::<Vec<_>>().join(", ");
        let help = nearest(name.value, names()).map_or_else(
            || format!("known: {known}"),
            |best| format!("did you mean `{best}`? known: {known}"),
        );
        problems.note(name.span, format!("there is no scheduler `{}`", name.value), help);
    }
    name.value.to_owned()
}

fn server(
    table: &At<&DeTable<'_>>,
    family: Option<Family>,
    service_port: Option<u16>,
    problems: &mut Problems,
) -> Option<(DestSpec, Range<usize>)> {
    let known = ["address", "weight", "method"];
    let section = Section::new(table.value, table.span.clone(), "this server", &known, problems);
    let weight = section.integer("weight", 0..=u64::from(Weight::MAX.0), problems);
    let weight = weight.and_then(|w| u32::try_from(w.value).ok()).map_or_else(Weight::default, Weight);
    if let Some(method) = section.string("method", "\"nat\"", problems).filter(|m| m.value != "nat") {
        let text = format!("there is no forwarding method `{}`", method.value);
        problems.note(method.span, text, "this version has method = \"nat\"");
    }
    let text = section.required("address", SERVER, problems)?;
    let (ip, port) = server_address(&text, problems)?;
    let ip = unicast(ip, &text, "a server", problems)?;
    if family.is_some_and(|f| f != ip.into()) {
        let help = "NAT keeps the family: give the service a server of its own family";
        problems.note(text.span, "server and service are of different address families", help);
        return None;
    }
    // A service without a usable port has been complained about already.
    let addr = SocketAddr::new(ip, port.or(service_port)?);
    Some((DestSpec { weight, ..DestSpec::new(addr) }, text.span))
}

/// `192.168.1.1`, `192.168.1.1:8080`, `fd00::1`, `[fd00::1]:8080`.
fn server_address(text: &At<&str>, problems: &mut Problems) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(ip) = text.value.parse() {
        return Some((ip, None));
    }
    match text.value.parse::<SocketAddr>() {
        Ok(addr) if addr.port() != 0 => return Some((addr.ip(), Some(addr.port()))),
        _ => {}
    }
    let help = format!("write address and port: address = {SERVER}, or \"[fd00::1]:8080\" for IPv6");
    problems.note(text.span.clone(), format!("`{}` is not the address of a server", text.value), help);
    None
}
