//! `checktype = negotiate`: what is asked of each service.

use std::net::IpAddr;

use sched::{BodyTest, CheckKind, DnsRecord, HttpCheck, HttpUrl, Proto, ServiceKey, TlsCheck};

use super::check::Asking;
use super::real::{Real, host_and_port};
use crate::foreign::note::{Notes, Place};

/// Each service with its port.
const PORTS: [(&str, u16); 20] = [
    ("ftp", 21),
    ("smtp", 25),
    ("dns", 53),
    ("http", 80),
    ("pop", 110),
    ("nntp", 119),
    ("imap", 143),
    ("ldap", 389),
    ("https", 443),
    ("submission", 587),
    ("ldaps", 636),
    ("imaps", 993),
    ("pops", 995),
    ("oracle", 1521),
    ("radius", 1812),
    ("http_proxy", 3128),
    ("mysql", 3306),
    ("pgsql", 5432),
    ("sip", 5060),
    ("simpletcp", 0),
];

/// What `service` may say.
pub(super) const SERVICES: [&str; 21] = [
    "dns",
    "ftp",
    "http",
    "https",
    "http_proxy",
    "imap",
    "imaps",
    "ldap",
    "ldaps",
    "mysql",
    "nntp",
    "none",
    "oracle",
    "pgsql",
    "pop",
    "pops",
    "radius",
    "simpletcp",
    "sip",
    "smtp",
    "submission",
];

/// The service at a port, unless it is said.
pub(super) fn service_of(l4_port: Option<u16>) -> &'static str {
    let found = PORTS.iter().find(|(_, port)| *port != 0 && Some(*port) == l4_port);
    found.map_or("none", |(service, _)| service)
}

/// The port of a service, where a server has none.
pub(super) fn port_of(service: &str) -> Option<u16> {
    PORTS.iter().find(|(name, port)| *name == service && *port != 0).map(|(_, port)| *port)
}

/// What is asked, and where, if that is another place than the server's.
pub(super) struct Asked {
    pub(super) kind: CheckKind,
    pub(super) addr: Option<IpAddr>,
    pub(super) port: Option<u16>,
}

/// Nothing for services that are not asked.
pub(super) fn kind(
    asking: &Asking,
    key: ServiceKey,
    real: &Real,
    place: &Place,
    notes: &mut Notes,
) -> Option<Asked> {
    let here = |kind| Some(Asked { kind, addr: None, port: None });
    let (request, receive) = match &real.asked {
        Some((request, receive)) => (request.as_str(), receive.as_str()),
        None => (asking.request.as_str(), asking.receive.as_str()),
    };
    let udp = key.proto() == Some(Proto::Udp);
    let service = asking.service.as_str();
    match service {
        "none" => None,
        "http" | "https" => http(asking, request, receive, place, notes),
        "smtp" | "submission" => here(CheckKind::Smtp { helo: "localhost".to_owned() }),
        "dns" => here(dns(request, receive, udp, place, notes)),
        "imaps" | "ldaps" | "pops" => {
            let text = format!("of {service} the handshake of TLS is asked for, and no more");
            notes.changed(place, text, "a command can ask more: checktype = external");
            here(CheckKind::Tls(TlsCheck::default()))
        }
        _ if udp => {
            let text = format!("nothing is known of {service} here: the server is only pinged");
            notes.changed(place, text, "a command can ask it: checktype = external");
            here(CheckKind::Icmp)
        }
        _ => {
            let text = format!("nothing is known of {service} here: a connection is enough");
            notes.changed(place, text, "a command can ask it: checktype = external");
            here(CheckKind::Tcp)
        }
    }
}

fn http(asking: &Asking, request: &str, receive: &str, place: &Place, notes: &mut Notes) -> Option<Asked> {
    let tls = (asking.service == "https").then(TlsCheck::default);
    let request = request.trim_start_matches('/');
    // A whole URL names the place, too.
    let whole = request.split_once("://").filter(|(scheme, _)| *scheme == asking.service);
    let (host, path) = match whole {
        Some((_, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            (Some(host), path)
        }
        None => (None, request),
    };
    let (addr, port) = match host.map(host_and_port) {
        None => (None, None),
        Some((host, port)) => {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let Ok(addr) = bare.parse() else {
                let help = "names are not looked up: write the address, or a path alone";
                notes.error(place, format!("`{host}` is not an IP address"), help);
                return None;
            };
            let usual = if tls.is_some() { "443" } else { "80" };
            let text = port.unwrap_or(usual);
            let Some(port) = text.parse().ok().filter(|port| *port > 0) else {
                let help = "write a number from 1 to 65535, or leave the port out";
                notes.error(place, format!("`{text}` is not a port"), help);
                return None;
            };
            (Some(addr), Some(port))
        }
    };
    let text = "a page that leads to another one is a failure; ldirectord follows it";
    notes.changed(
        place,
        text,
        "nothing has to be done if the page itself answers; else ask for the other one",
    );
    let regex = |pattern: &str| BodyTest::Regex {
        pattern: pattern.to_owned(),
        negate: false,
        min_offset: 0,
        max_offset: 0,
    };
    let page = HttpUrl {
        method: asking.httpmethod.clone(),
        host: asking.virtualhost.clone(),
        body: Some(receive).filter(|text| !text.is_empty()).map(regex).into_iter().collect(),
        ..HttpUrl::new(&format!("/{path}"))
    };
    let kind = CheckKind::Http(HttpCheck { urls: vec![page], tls, ..HttpCheck::default() });
    Some(Asked { kind, addr, port })
}

fn dns(request: &str, receive: &str, udp: bool, place: &Place, notes: &mut Notes) -> CheckKind {
    let name = request.trim_start_matches('/');
    if !receive.is_empty() {
        let text = "the answer is not compared with `receive`: any record of the name is right";
        notes.changed(place, text, "a command can compare: checktype = external");
    }
    if !udp {
        notes.changed(
            place,
            "name servers are asked by UDP",
            "a command can ask by TCP: checktype = external",
        );
    }
    if name.parse::<IpAddr>().is_ok() {
        let text = "names of addresses are not asked for: the server is asked for the root";
        notes.changed(place, text, "write a name as `request`");
    } else if !name.is_empty() {
        return CheckKind::Dns { record: DnsRecord::A, name: name.to_owned() };
    }
    CheckKind::Dns { record: DnsRecord::Soa, name: ".".to_owned() }
}
