//! A check beside the servers that are asked, and beside the service that its question may go by.

use sched::{CheckKind, DestSpec, Family, Proto, ServiceKey, Via};

use super::super::super::reader::Problems;
use super::super::service::Identity;
use super::check::{Asked, families};

pub(super) fn check(asked: &Asked<'_>, identity: &Identity, servers: &[&DestSpec], problems: &mut Problems) {
    match asked.check.via {
        Via::Direct => direct(asked, servers, problems),
        Via::Vip => by_vip(asked, identity, problems),
    }
}

/// The protocol of a question, if it goes to a port.
const fn proto(kind: &CheckKind) -> Option<Proto> {
    match kind {
        CheckKind::Udp(_) | CheckKind::Dns { .. } => Some(Proto::Udp),
        CheckKind::Icmp | CheckKind::Exec(_) | CheckKind::File(_) => None,
        CheckKind::Tcp
        | CheckKind::Http(_)
        | CheckKind::Tls(_)
        | CheckKind::Smtp { .. }
        | CheckKind::Grpc(_) => Some(Proto::Tcp),
    }
}

/// Each server has to have a port to be asked at, and the family that is asked from.
fn direct(asked: &Asked<'_>, servers: &[&DestSpec], problems: &mut Problems) {
    let (check, section) = (&asked.check, &asked.section);
    let without = servers.iter().find(|server| server.addr.port() == 0);
    if let (Some(server), None, Some(_)) = (without, check.port, proto(&check.kind)) {
        let text = format!("the server {} has no port of its own to be asked at", server.addr.ip());
        problems.note(section.span.clone(), text, "say which one: port = 80");
    }
    // An address of its own was looked at beside it.
    let Some(bind) = check.bind.filter(|_| check.addr.is_none()) else { return };
    let mut asked = servers.iter().map(|server| server.addr.ip());
    if let Some(other) = asked.find(|ip| Family::from(*ip) != Family::from(bind.ip())) {
        families(section, bind, other, problems);
    }
}

/// A question to the VIP goes to a port that the service takes.
fn by_vip(asked: &Asked<'_>, identity: &Identity, problems: &mut Problems) {
    let (check, section) = (&asked.check, &asked.section);
    // What the service is has been complained about already.
    let (Some(key), Some(proto)) = (identity.key, proto(&check.kind)) else { return };
    let place = section.place_of("via");
    let Some(vip) = identity.vip else {
        let help = "give the service `vip` and `ports`, or delete `via`";
        problems.note(place, "packets with a mark may go anywhere: there is no VIP to ask at", help);
        return;
    };
    if check.bind.is_some_and(|bind| Family::from(bind.ip()) != Family::from(vip)) {
        let text = format!("{vip} cannot be asked from an address of another family");
        problems.note(section.place_of("bind"), text, "take one of the VIP's family, or delete `bind`");
    }
    let all = matches!(key, ServiceKey::Addr { l4_port: 0, .. });
    let port = check.port.or_else(|| identity.l4_port.filter(|port| *port != 0));
    let Some(port) = port else {
        let help = "say which one is asked: port = 80";
        problems.note(place, "the service has several ports", help);
        return;
    };
    let takes = |(of, ranges): &(Proto, Vec<sched::marks::PortRange>)| {
        *of == proto && (all || ranges.iter().any(|range| (range.first..=range.last).contains(&port)))
    };
    if !identity.ports.iter().any(takes) {
        let text = format!("nothing at {}/{port} of {vip} would reach a server", proto.name().to_lowercase());
        let help = "ask at one of the service's `ports`, in its protocol, or delete `via`";
        problems.note(if check.port.is_some() { section.place_of("port") } else { place }, text, help);
    }
}
