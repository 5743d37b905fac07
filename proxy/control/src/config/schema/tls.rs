//! `[service.tls]`: TLS from clients ends here. What a front is, [`TlsFront`] says; whether its files are there and good,
//! whoever opens them.

mod beside;
mod files;
mod place;

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use sched::{ClientIdentity, DestSpec, ServiceKey, TlsFlaw, TlsFront, TlsLimits, TlsProfile, TlsStack};
use toml::de::DeValue;

use super::super::reader::{Problems, Section};
use super::ports::Ports;
use super::service::Identity;
use super::values::{self, strings, word};

pub(super) use beside::check as check_beside;

const KNOWN: &[&str] = &[
    "port",
    "vips",
    "cert",
    "key",
    "ocsp",
    "certificate",
    "server_port",
    "stack",
    "sni",
    "alpn",
    "alpn_service",
    "profile",
    "client_auth",
    "tickets",
    "identity",
    "pool",
    "redirect_http",
    "backend_tls",
    "key_log",
    "handshake_timeout",
    "idle_timeout",
    "half_closed_timeout",
    "connect_timeout",
    "connect_attempts",
    "max_connections",
    "handshakes_per_second",
];
const ALPN: &str = "[\"h2\", \"http/1.1\"]";
const ALPN_SERVICE: &str = "{ h2 = \"tcp/10.0.0.1:8443\" }";

/// A front, and what is needed to see it beside those of other services.
pub(super) struct Front {
    pub(super) tls: Arc<TlsFront>,
    key: ServiceKey,
    /// Where TLS ends, as far as the file tells.
    vips: Vec<IpAddr>,
    /// The service's own ports.
    ports: Vec<Ports>,
    port_at: Range<usize>,
    redirect_at: Range<usize>,
    alpn_service_at: Range<usize>,
}

pub(super) fn front(
    service: &Section<'_>,
    identity: &Identity,
    dests: &[DestSpec],
    problems: &mut Problems,
) -> Option<Front> {
    let (table, span) = service.table("tls", "[service.tls]", problems)?;
    let before = problems.len();
    let section = Section::new(table, span, "[service.tls]", KNOWN, problems);
    let number = |key, range, problems: &mut Problems| {
        section.integer(key, range, problems).and_then(|n| u32::try_from(n.value).ok())
    };
    let l4_port = |key, problems: &mut Problems| {
        number(key, 1..=65_535, problems).and_then(|port| u16::try_from(port).ok())
    };
    let chosen = l4_port("port", problems);
    let tls = TlsFront {
        port: place::port(&section, chosen, identity, problems),
        vips: place::vips(&section, problems),
        server_port: l4_port("server_port", problems),
        stack: word(&section, "stack", TlsStack::ALL, TlsStack::name, problems).unwrap_or_default(),
        certs: files::certs(&section, problems),
        strict_sni: word(&section, "sni", &[false, true], sni, problems).unwrap_or_default(),
        alpn: alpn(&section, problems),
        by_alpn: by_alpn(&section, problems),
        profile: word(&section, "profile", TlsProfile::ALL, TlsProfile::name, problems).unwrap_or_default(),
        client_auth: files::client_auth(&section, problems),
        tickets: files::tickets(&section, problems),
        identity: word(&section, "identity", ClientIdentity::ALL, ClientIdentity::name, problems)
            .unwrap_or_default(),
        pool: number("pool", 0..=u64::from(TlsFront::MAX_POOL), problems).unwrap_or_default(),
        redirect_http: l4_port("redirect_http", problems),
        backend_tls: files::backend_tls(&section, problems),
        key_log: values::path(&section, "key_log", "\"keys.log\"", problems),
        limits: limits(&section, problems),
    };
    let key = identity.key?;
    // What has been complained about might be why the rest makes no sense.
    if problems.len() > before {
        return None;
    }
    let mut flaws = tls.flaws(&key);
    if identity.vip.is_some() && matches!(key, ServiceKey::Mark { .. }) && !tls.vips.is_empty() {
        flaws.push(TlsFlaw::HasVip);
    }
    for flaw in flaws {
        problems.note(section.place_of(flaw.setting()), flaw.to_string(), flaw.way_out());
    }
    check_servers(&section, &tls, dests, problems);
    check_options(service, key, problems);
    if problems.len() > before {
        return None;
    }
    Some(Front {
        key,
        vips: identity.vip.map_or_else(|| tls.vips.clone(), |vip| vec![vip]),
        ports: identity.ports.clone(),
        port_at: section.place_of("port"),
        redirect_at: section.place_of("redirect_http"),
        alpn_service_at: section.place_of("alpn_service"),
        tls: Arc::new(tls),
    })
}

const fn sni(strict: bool) -> &'static str {
    if strict { "strict" } else { "any" }
}

fn alpn(section: &Section<'_>, problems: &mut Problems) -> Vec<String> {
    let names = strings(section, "alpn", ALPN, problems);
    names.map_or_else(TlsFront::default_alpn, |all| all.iter().map(|name| name.value.to_owned()).collect())
}

/// `alpn_service = { h2 = "tcp/10.0.0.1:8443" }`.
fn by_alpn(section: &Section<'_>, problems: &mut Problems) -> Vec<(String, ServiceKey)> {
    let Some(value) = section.value("alpn_service") else { return Vec::new() };
    let DeValue::Table(table) = value.get_ref() else {
        let help = format!("for example alpn_service = {ALPN_SERVICE}");
        problems.note(value.span(), "`alpn_service` is a table: a service for each protocol", help);
        return Vec::new();
    };
    let mut all = Vec::new();
    for (name, service) in table.iter() {
        let text = service.get_ref().as_str().unwrap_or_default();
        match text.parse() {
            Ok(key) => all.push((name.get_ref().to_string(), key)),
            Err(_) => {
                let help = format!("for example {ALPN_SERVICE}, or a mark: \"fwm/3\", \"fwm6/3\"");
                problems.note(service.span(), format!("`{text}` is no service"), help);
            }
        }
    }
    all
}

fn limits(section: &Section<'_>, problems: &mut Problems) -> TlsLimits {
    let mut limits = TlsLimits::default();
    for ((name, range), limit) in TlsLimits::RANGES.into_iter().zip(limits.in_order_mut()) {
        let read = if name.ends_with("_timeout") {
            section.seconds(name, range, problems).map(|seconds| seconds.value)
        } else {
            let range = u64::from(*range.start())..=u64::from(*range.end());
            section.integer(name, range, problems).and_then(|n| n.value.try_into().ok())
        };
        *limit = read.unwrap_or(*limit);
    }
    limits
}

/// A server without a port has the service's, which is the one of TLS: hardly anybody means plain text there.
fn check_servers(section: &Section<'_>, tls: &TlsFront, dests: &[DestSpec], problems: &mut Problems) {
    if let Some(server) = tls.plain_on_its_port(dests.iter()) {
        let text = format!("the server {server} would get plain text on the port of TLS");
        let help = format!(
            "say where servers speak plain HTTP: server_port = 80 (or {}, if it is so), or give them TLS: backend_tls",
            tls.port
        );
        problems.note(section.span.clone(), text, help);
    }
}

/// Options for connections that pass, where all of them end.
fn check_options(service: &Section<'_>, key: ServiceKey, problems: &mut Problems) {
    if key.l4_port().is_none_or(|port| port == 0) {
        return;
    }
    for option in ["proxy_protocol", "toa"] {
        if let Some(value) = service.value(option) {
            let text = format!("`{option}` is for connections that pass, and those of this service end here");
            let help =
                "delete it; identity = \"proxy-v2\" in [service.tls] tells servers the client's address";
            problems.note(value.span(), text, help);
        }
    }
}
