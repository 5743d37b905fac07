//! What is asked within TLS: `sni`, `verify`, `ca`, `min_days`.

use std::net::IpAddr;

use sched::{CheckKind, GrpcCheck, TlsCheck};

use super::super::super::reader::{Problems, Section};
use super::super::values::path;

pub(super) const KEYS: &[&str] = &["sni", "verify", "ca", "min_days"];

pub(super) fn read(section: &Section<'_>, problems: &mut Problems) -> TlsCheck {
    let verify = section.boolean("verify", problems);
    let ca = path(section, "ca", "\"ca.crt\"", problems);
    if ca.is_some()
        && !verify.as_ref().is_some_and(|on| on.value)
        && (verify.is_some() || section.value("verify").is_none())
    {
        let help = "add verify = true, or delete `ca`: without it any certificate will do";
        problems.note(section.place_of("ca"), "nobody looks at these authorities", help);
    }
    let days = section.integer("min_days", 0..=3650, problems);
    TlsCheck {
        sni: sni(section, problems),
        verify: verify.is_some_and(|on| on.value),
        ca,
        min_days: days.and_then(|days| days.value.try_into().ok()).unwrap_or_default(),
    }
}

/// RFC 6066, section 3: a host name, no address.
fn sni(section: &Section<'_>, problems: &mut Problems) -> Option<String> {
    let name = section.string("sni", "\"www.example\"", problems)?;
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let help = if name.value.parse::<IpAddr>().is_ok() {
        "TLS has no way to ask for an address: delete it, and the server's own is what is verified"
    } else if name.value.is_empty() || name.value.len() > 253 || !name.value.chars().all(letters) {
        "write the DNS name that the certificate has: sni = \"www.example\""
    } else {
        return Some(name.value.to_owned());
    };
    problems.note(name.span, format!("`{}` is no name that can be asked for", name.value), help);
    None
}

/// `kind = "grpc"`: `service`, and with `tls = true` the keys above.
pub(super) fn grpc(section: &Section<'_>, problems: &mut Problems) -> Option<CheckKind> {
    let service = section.string("service", "\"shop.Cart\"", problems);
    let on = section.boolean("tls", problems).is_some_and(|on| on.value);
    if !on && let Some(key) = KEYS.iter().find(|key| section.value(key).is_some()) {
        let help = "add tls = true, or delete it";
        problems.note(section.place_of(key), format!("`{key}` says nothing without TLS"), help);
        return None;
    }
    let tls = on.then(|| read(section, problems));
    Some(CheckKind::Grpc(GrpcCheck { service: service.map(|s| s.value.to_owned()).unwrap_or_default(), tls }))
}
