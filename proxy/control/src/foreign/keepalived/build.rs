//! Services of a virtual server: one for each address, or for its mark.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use sched::{DestSpec, Family, ForwardMethod, Netmask, Persistence, Proto, ServiceKey, ServiceSpec, algo};

use super::group::{Target, Targets};
use super::health;
use super::server::Real;
use super::service::Virtual;
use crate::foreign::note::{Notes, Place};

pub(super) fn build(service: &Virtual, targets: &Targets, notes: &mut Notes) -> Vec<ServiceSpec> {
    if service.servers.is_empty() {
        let text = "a virtual server without real servers is left out, as keepalived does";
        notes.changed(&service.place, text, "add real_server 192.168.1.1 80 { }");
        return Vec::new();
    }
    let proto = protocol(service, targets, notes);
    let mut built: Vec<ServiceSpec> = Vec::new();
    // A group may have thousands of addresses, which differ in nothing else.
    let mut alike: HashMap<_, usize> = HashMap::new();
    for (target, place) in targets {
        let key = key(service, target, proto);
        let kind = (key.family(), key.proto(), key.l4_port());
        if let Some(like) = alike.get(&kind).and_then(|i| built.get(*i)) {
            built.push(ServiceSpec { key, ..like.clone() });
            continue;
        }
        alike.insert(kind, built.len());
        let dests = dests(service, key, notes);
        let (persistence, pe) = persistence(service, key, place, notes);
        built.push(ServiceSpec {
            flags: service.flags,
            one_packet: one_packet(service, key, notes),
            persistence,
            pe,
            health: health::health(service, key, &dests, notes).map(Arc::new),
            dests: dests.iter().map(|(dest, _)| dest.clone()).collect(),
            ..ServiceSpec::new(key, service.scheduler.as_deref().unwrap_or(algo::DEFAULT))
        });
    }
    if built.iter().any(crate::foreign::resets) {
        let (text, help) = crate::foreign::RESETS;
        notes.changed(&service.place, text, help);
    }
    built
}

/// TCP, unless nothing is said: that is UDP for keepalived.
fn protocol(service: &Virtual, targets: &Targets, notes: &mut Notes) -> Proto {
    let of_addresses = targets.iter().any(|(target, _)| matches!(target, Target::Addr(..)));
    if service.proto.is_none() && of_addresses {
        let text = "this virtual server has no `protocol`, which makes it one of UDP, as for keepalived";
        notes.changed(&service.place, text, "write protocol TCP or protocol UDP");
    }
    service.proto.unwrap_or(Proto::Udp)
}

fn key(service: &Virtual, target: &Target, proto: Proto) -> ServiceKey {
    match *target {
        Target::Addr(vip, l4_port) => ServiceKey::Addr { proto, vip, l4_port },
        Target::Mark(mark, family) => {
            let mask = service.granularity.as_ref().map(|(mask, _)| mask.family());
            let first = service.servers.first().map(|real| Family::from(real.addr));
            let all = first.filter(|f| service.servers.iter().all(|real| Family::from(real.addr) == *f));
            let family = family.or(service.family).or(mask).or(all).unwrap_or(Family::Ipv4);
            ServiceKey::Mark { mark, family }
        }
    }
}

/// The servers as configured, each with where it is written.
pub(super) type Dests<'s> = Vec<(DestSpec, &'s Real)>;

fn dests<'s>(service: &'s Virtual, key: ServiceKey, notes: &mut Notes) -> Dests<'s> {
    let mut dests: Dests<'s> = Vec::new();
    for real in &service.servers {
        let Some(addr) = at(key, SocketAddr::new(real.addr, real.l4_port), real.method, &real.place, notes)
        else {
            continue;
        };
        if dests.iter().any(|(dest, _)| dest.addr == addr) {
            let text = format!("the second of two real servers {addr} is left out, as keepalived does");
            notes.changed(&real.place, text, "to give it a larger share, raise its weight");
            continue;
        }
        let Real { method, weight, upper, lower, .. } = *real;
        dests.push((DestSpec { method, weight, upper, lower, ..DestSpec::new(addr) }, real));
    }
    dests
}

/// Where packets are sent to: the port is the service's where none is written, or where it cannot be changed.
pub(super) fn at(
    key: ServiceKey,
    server: SocketAddr,
    method: ForwardMethod,
    place: &Place,
    notes: &mut Notes,
) -> Option<SocketAddr> {
    let ip = server.ip();
    if Family::from(ip) != key.family() && !matches!(method, ForwardMethod::Tunnel(_)) {
        let text = "server and service are of different address families: it is left out";
        let help = "only a tunnel changes the family: lvs_method TUN, or give the service a server of its own family";
        notes.changed(place, text, help);
        return None;
    }
    let of_service = key.l4_port().unwrap_or(0);
    let port = match server.port() {
        0 => of_service,
        port if method.changes_port() || port == of_service => port,
        port => {
            let whose =
                if of_service == 0 { "what clients ask for".to_owned() } else { of_service.to_string() };
            let text = format!(
                "packets that are not rewritten keep their port, {whose}: {port} is only asked by checks"
            );
            notes.changed(place, text, "write the port of the virtual server, or connect_port in the check");
            of_service
        }
    };
    Some(SocketAddr::new(ip, port))
}

fn one_packet(service: &Virtual, key: ServiceKey, notes: &mut Notes) -> bool {
    let whole = key.proto().is_some_and(|proto| proto != Proto::Udp);
    if service.one_packet && whole {
        let text = "`ops` is for UDP: connections would be torn apart";
        notes.changed(&service.place, text, "delete it, or write protocol UDP");
    }
    service.one_packet && !whole
}

fn persistence(
    service: &Virtual,
    key: ServiceKey,
    place: &Place,
    notes: &mut Notes,
) -> (Option<Persistence>, Option<sched::PersistenceEngine>) {
    let mut timeout = service.persistence;
    if timeout.is_none() && key.l4_port() == Some(0) {
        let text =
            "a virtual server without a port has to be persistent: it is for 360 seconds, as for keepalived";
        notes.changed(place, text, "write a port, or persistence_timeout 360");
        timeout = Some(Persistence::DEFAULT_TIMEOUT);
    }
    if timeout.is_none() && service.granularity.is_some() {
        timeout = Some(Persistence::DEFAULT_TIMEOUT);
    }
    let mask = match &service.granularity {
        Some((mask, _)) if mask.family() == key.family() => *mask,
        Some((_, place)) => {
            let help = "write for example 255.255.255.0 for IPv4, or the length of a prefix for IPv6: 64";
            notes.error(place, "mask and service are of different address families", help);
            Netmask::full(key.family())
        }
        None => Netmask::full(key.family()),
    };
    let persistence = timeout.map(|timeout| Persistence { timeout, mask });
    let engine = service.engine.as_ref().and_then(|(engine, place)| {
        let why = match (persistence, key.proto()) {
            (None, _) => "a persistence engine has a meaning only with persistence_timeout",
            (_, Some(Proto::Tcp | Proto::Sctp)) => "the persistence engine sip reads UDP only",
            _ => return Some(*engine),
        };
        notes.changed(place, format!("{why}: it is left out"), "delete the line, or add what is missing");
        None
    });
    (persistence, engine)
}
