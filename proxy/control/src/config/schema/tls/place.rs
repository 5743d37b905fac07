//! Where TLS ends: the port and the addresses of a front.

use std::net::IpAddr;

use sched::{Proto, ServiceKey};

use super::super::super::reader::{Problems, Section};
use super::super::address::address;
use super::super::ports::Ports;
use super::super::service::Identity;
use super::super::values::strings;

/// The port that is said, or the service's; of several the one of https, or the only one of TCP.
pub(super) fn port(
    section: &Section<'_>,
    chosen: Option<u16>,
    identity: &Identity,
    problems: &mut Problems,
) -> u16 {
    const HTTPS: u16 = 443;
    let of_tcp = |(proto, _): &&Ports| *proto == Proto::Tcp;
    let tcp: Vec<_> = identity.ports.iter().filter(of_tcp).flat_map(|(_, ranges)| ranges).collect();
    let takes = |port: u16| tcp.iter().any(|range| (range.first..=range.last).contains(&port));
    match (chosen, identity.key) {
        // Of one port, or of all: which it may be is among the flaws of a front.
        (None, Some(ServiceKey::Addr { l4_port, .. })) => {
            if l4_port == 0 {
                HTTPS
            } else {
                l4_port
            }
        }
        (Some(port), Some(ServiceKey::Addr { .. })) => port,
        // A mark alone: its rules know, and they may be elsewhere.
        (_, _) if identity.ports.is_empty() => chosen.unwrap_or(HTTPS),
        (_, _) if tcp.is_empty() => {
            let help = "add the port of https to `ports`: \"tcp/443\"";
            problems.note(section.span.clone(), "TLS cannot end here: the service has no port of TCP", help);
            HTTPS
        }
        (Some(port), _) => {
            if !takes(port) {
                let help = format!("add it to `ports` of the service: \"tcp/{port}\", or name one of those");
                problems.note(
                    section.place_of("port"),
                    format!("the service does not take port {port}"),
                    help,
                );
            }
            port
        }
        (None, _) => match tcp[..] {
            _ if takes(HTTPS) => HTTPS,
            [one] if one.is_one() => one.first,
            _ => {
                let help = "say which one it is: port = 8443";
                let text = "the service has several ports, and none is 443: which one speaks TLS?";
                problems.note(section.span.clone(), text, help);
                HTTPS
            }
        },
    }
}

pub(super) fn vips(section: &Section<'_>, problems: &mut Problems) -> Vec<IpAddr> {
    let texts = strings(section, "vips", "[\"172.16.0.99\"]", problems).unwrap_or_default();
    texts.iter().filter_map(|text| address(text, problems)).collect()
}
