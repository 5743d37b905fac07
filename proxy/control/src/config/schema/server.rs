//! `[[service.server]]`.

use std::net::SocketAddr;
use std::ops::Range;

use sched::{
    Check, DestSpec, ForwardMethod, NotifyCommand, ServiceKey, Tunnel, TunnelChecksum, TunnelKind, Weight,
};
use toml::de::DeValue;

use super::super::reader::{At, Problems, Section};
use super::address::{server_address, unicast};
use super::health::{self, Asked};
use super::service::Identity;

pub(super) const SERVER: &str = "\"192.168.1.1:8080\"";
const KNOWN: &[&str] =
    &["address", "weight", "method", "tunnel", "upper", "lower", "slow_start", "check", "notify"];
/// The most that a threshold can be, as in the kernel.
const MAX: u64 = i32::MAX as u64;

/// A server, and what the file says of its health.
pub(super) struct Server<'a> {
    pub(super) dest: DestSpec,
    /// What it is asked in place of what the service's servers are.
    pub(super) checks: Option<Vec<Asked<'a>>>,
    /// Who is told that it is up, or down.
    pub(super) notify: Option<[Option<NotifyCommand>; 2]>,
}

pub(super) fn servers<'a>(
    service: &Section<'a>,
    identity: &Identity,
    defaults: &Check,
    problems: &mut Problems,
) -> Vec<Server<'a>> {
    let mut servers: Vec<Server<'_>> = Vec::new();
    for table in service.tables("server", "[[service.server]]", problems) {
        let section = Section::new(table.value, table.span.clone(), "this server", KNOWN, problems);
        let checks = health::checks(&section, "[[service.server.check]]", defaults, problems);
        let notify = health::notify_of_server(&section, problems);
        let Some((dest, place)) = server(&section, identity, problems) else { continue };
        if servers.iter().any(|other| other.dest.addr == dest.addr) {
            let text = format!("the server {} is in this service already", dest.addr);
            problems.note(place, text, "to give it a larger share, raise its weight");
        } else {
            servers.push(Server { dest, checks, notify });
        }
    }
    servers
}

/// A server, and where its address stands.
pub(super) fn server(
    section: &Section<'_>,
    identity: &Identity,
    problems: &mut Problems,
) -> Option<(DestSpec, Range<usize>)> {
    let number = |key, problems: &mut Problems| {
        section.integer(key, 0..=MAX, problems).and_then(|n| u32::try_from(n.value).ok())
    };
    let weight = number("weight", problems).map_or_else(Weight::default, Weight);
    let upper = number("upper", problems).unwrap_or_default();
    let lower = number("lower", problems).unwrap_or_default();
    if lower > upper {
        let place = section.place_of("lower");
        let help =
            "below `lower` connections an overloaded server gets new ones again, so `upper` comes first";
        problems.note(place, format!("`lower` is above `upper`, which is {upper}"), help);
    }
    let slow_start = section.seconds("slow_start", 0..=86_400, problems).map_or(0, |s| s.value);
    let method = method(section, problems);
    let text = section.required("address", SERVER, problems)?;
    let (ip, port) = server_address(&text, problems)?;
    let ip = unicast(ip, &text, "a server", problems)?;
    let method = method?;
    if identity.family.is_some_and(|f| f != ip.into()) && !matches!(method, ForwardMethod::Tunnel(_)) {
        let help = "only a tunnel changes the family: give the service a server of its own family, or method = \"tunnel\"";
        problems.note(text.span, "server and service are of different address families", help);
        return None;
    }
    // A service without a usable port has been complained about already.
    let service_port = identity.l4_port?;
    let rewrites = method.changes_port() || matches!(identity.key, Some(ServiceKey::Mark { .. }));
    if let Some(port) = port.filter(|port| *port != service_port && !rewrites) {
        let help = format!("nat and fullnat can change the port; else leave it out: address = \"{ip}\"");
        let message = format!("port {port} cannot be reached: {} leaves packets as they are", name(method));
        problems.note(text.span, message, help);
        return None;
    }
    let addr = SocketAddr::new(ip, port.unwrap_or(service_port));
    Some((DestSpec { addr, method, weight, upper, lower, slow_start }, text.span))
}

/// `method = "dr"`, and for a tunnel what kind. `None` if it has been complained about.
fn method(section: &Section<'_>, problems: &mut Problems) -> Option<ForwardMethod> {
    let text = section.string("method", "\"nat\"", problems);
    let name = text.as_ref().map_or("nat", |text| text.value);
    let method = match name {
        "nat" => ForwardMethod::Masq,
        "fullnat" => ForwardMethod::FullNat,
        "dr" => ForwardMethod::Route,
        "tunnel" => return tunnel(section, problems).map(ForwardMethod::Tunnel),
        other => {
            let help = "there are \"nat\", \"fullnat\", \"dr\" and \"tunnel\"";
            problems.note(text?.span, format!("there is no forwarding method `{other}`"), help);
            return None;
        }
    };
    if let Some(value) = section.value("tunnel") {
        let text = format!("`tunnel` says nothing about method = \"{name}\"");
        problems.note(value.span(), text, "delete it, or write method = \"tunnel\"");
        return None;
    }
    Some(method)
}

/// `tunnel = "gre"`, or `{ kind = "gue", port = 5555, checksum = "full" }`.
fn tunnel(section: &Section<'_>, problems: &mut Problems) -> Option<Tunnel> {
    let mut tunnel = Tunnel::default();
    let Some(value) = section.value("tunnel") else { return Some(tunnel) };
    let DeValue::Table(table) = value.get_ref() else {
        let name = section.string("tunnel", "{ kind = \"gue\", port = 5555 }", problems)?;
        tunnel.kind = kind(&name, problems)?;
        return checked(tunnel, value.span(), problems);
    };
    let inner = Section::new(table, value.span(), "`tunnel`", &["kind", "port", "checksum"], problems);
    if let Some(name) = inner.string("kind", "\"ipip\"", problems) {
        tunnel.kind = kind(&name, problems)?;
    }
    let port = inner.integer("port", 1..=65_535, problems);
    tunnel.port = port.and_then(|p| p.value.try_into().ok()).unwrap_or_default();
    if let Some(name) = inner.string("checksum", "\"full\"", problems) {
        tunnel.checksum = match name.value {
            "none" => TunnelChecksum::None,
            "full" => TunnelChecksum::Full,
            "remote" => TunnelChecksum::Remote,
            other => {
                let help = "there are \"none\", \"full\" and, for gue, \"remote\"";
                problems.note(name.span, format!("there is no checksum `{other}`"), help);
                return None;
            }
        };
    }
    checked(tunnel, value.span(), problems)
}

fn kind(name: &At<&str>, problems: &mut Problems) -> Option<TunnelKind> {
    let kind = match name.value {
        "ipip" => TunnelKind::Ipip,
        "gue" => TunnelKind::Gue,
        "gre" => TunnelKind::Gre,
        other => {
            let help = "there are \"ipip\", \"gue\" and \"gre\"";
            problems.note(name.span.clone(), format!("there is no tunnel `{other}`"), help);
            return None;
        }
    };
    Some(kind)
}

/// The combinations that ipvsadm takes.
fn checked(tunnel: Tunnel, place: Range<usize>, problems: &mut Problems) -> Option<Tunnel> {
    let wrong = match (tunnel.kind, tunnel.port, tunnel.checksum) {
        (TunnelKind::Gue, 0, _) => Some(("gue needs the server's port", "for example port = 5555")),
        (TunnelKind::Ipip | TunnelKind::Gre, 1.., _) => Some(("only gue has a `port`", "delete it")),
        (TunnelKind::Ipip, _, TunnelChecksum::Full | TunnelChecksum::Remote) => {
            Some(("ipip has no checksum", "delete `checksum`, or take gre or gue"))
        }
        (TunnelKind::Gre, _, TunnelChecksum::Remote) => {
            Some(("gre has no remote checksum", "write checksum = \"full\", or take gue"))
        }
        _ => None,
    };
    if let Some((text, help)) = wrong {
        problems.note(place, text, help);
        return None;
    }
    Some(tunnel)
}

const fn name(method: ForwardMethod) -> &'static str {
    match method {
        ForwardMethod::Masq => "nat",
        ForwardMethod::FullNat => "fullnat",
        ForwardMethod::Route => "dr",
        ForwardMethod::Tunnel(_) => "tunnel",
    }
}
