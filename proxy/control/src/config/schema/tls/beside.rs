//! Fronts beside other services: where two of them want the same.

use std::collections::HashMap;
use std::net::IpAddr;

use sched::{Proto, ServiceSpec};

use super::super::super::reader::Problems;
use super::super::ports::{Ports, Taken};
use super::Front;

pub(in super::super) fn check(
    fronts: &[Front],
    services: &[ServiceSpec],
    taken: &Taken,
    problems: &mut Problems,
) {
    let mut listening: HashMap<(IpAddr, u16), String> = HashMap::new();
    for front in fronts {
        for (name, service) in &front.tls.by_alpn {
            if services.iter().all(|known| known.key != *service) {
                let text = format!("there is no service {} for `{name}` in this file", service.word());
                let help = "add it as a [[service]] of its own; one of several ports is named by its mark";
                problems.note(front.alpn_service_at.clone(), text, help);
            }
        }
        for vip in &front.vips {
            let mut claim = |port: u16, place: &std::ops::Range<usize>| {
                if let Some(other) = listening.insert((*vip, port), front.key.word()) {
                    let text = format!("port {port} of {vip} is that of the front of {other} already");
                    problems.note(place.clone(), text, "take another port or address for one of the two");
                    return false;
                }
                true
            };
            claim(front.tls.port, &front.port_at);
            let Some(port) = front.tls.redirect_http else { continue };
            if claim(port, &front.redirect_at)
                && let Some(text) = plain(front, *vip, port, taken)
            {
                let help = "take the port out of `ports` there, or delete `redirect_http`";
                problems.note(front.redirect_at.clone(), text, help);
            }
        }
    }
}

/// Why plain HTTP on that port is not for the redirection to answer.
fn plain(front: &Front, vip: IpAddr, port: u16, taken: &Taken) -> Option<String> {
    let has = |(proto, ranges): &Ports| {
        *proto == Proto::Tcp && ranges.iter().any(|range| (range.first..=range.last).contains(&port))
    };
    if front.ports.iter().any(has) {
        return Some(format!("port {port} is the service's own: what comes there goes on to its servers"));
    }
    taken.has(vip, Proto::Tcp, port).then(|| format!("port {port} of {vip} is another service's already"))
}
