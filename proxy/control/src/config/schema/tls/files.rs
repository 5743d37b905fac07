//! What of a front is in files: certificates, authorities, tickets. Only their names are read here.

use std::path::PathBuf;

use sched::{BackendTls, CertFiles, ClientAuth, Tickets};
use toml::de::DeValue;

use super::super::super::reader::{Problems, Section};
use super::super::values::{path, word};

const CERT: &str = "\"site.crt\"";
const KEY: &str = "\"site.key\"";
const CA: &str = "\"ca.crt\"";

/// `cert`, `key` and `ocsp`, then those of `[[service.tls.certificate]]`.
pub(super) fn certs(section: &Section<'_>, problems: &mut Problems) -> Vec<CertFiles> {
    let known = ["cert", "key", "ocsp"];
    let own = known.iter().any(|key| section.value(key).is_some());
    if !own && section.value("certificate").is_none() {
        let help = format!("add cert = {CERT} and key = {KEY}");
        problems.note(section.span.clone(), "[service.tls] has no certificate", help);
    }
    let mut all = Vec::new();
    let mut add = |section: &Section<'_>, problems: &mut Problems| {
        let Some(pair) = pair(section, problems) else { return };
        if all.iter().any(|other: &CertFiles| other.cert == pair.cert) {
            let text = format!("the certificate {} is there already", pair.cert.display());
            problems.note(section.place_of("cert"), text, "delete one of the two");
        } else {
            all.push(pair);
        }
    };
    if own {
        add(section, problems);
    }
    for table in section.tables("certificate", "[[service.tls.certificate]]", problems) {
        add(&Section::new(table.value, table.span, "this certificate", &known, problems), problems);
    }
    all
}

fn pair(section: &Section<'_>, problems: &mut Problems) -> Option<CertFiles> {
    let cert = required(section, "cert", CERT, problems);
    let key = required(section, "key", KEY, problems);
    let ocsp = path(section, "ocsp", "\"site.ocsp\"", problems);
    Some(CertFiles { cert: cert?, key: key?, ocsp })
}

/// `client_auth = { mode = "optional", ca = "clients.crt", crl = "clients.crl" }`.
pub(super) fn client_auth(section: &Section<'_>, problems: &mut Problems) -> Option<ClientAuth> {
    let (table, span) = section.table("client_auth", "[service.tls.client_auth]", problems)?;
    let inner = Section::new(table, span, "`client_auth`", &["mode", "ca", "crl"], problems);
    let required = word(&inner, "mode", &[true, false], mode, problems).unwrap_or(true);
    let ca = self::required(&inner, "ca", "\"clients.crt\"", problems);
    let crl = path(&inner, "crl", "\"clients.crl\"", problems);
    Some(ClientAuth { ca: ca?, crl, required })
}

const fn mode(required: bool) -> &'static str {
    if required { "required" } else { "optional" }
}

/// `tickets = "off"`, or `{ file = "tickets.key" }`.
pub(super) fn tickets(section: &Section<'_>, problems: &mut Problems) -> Tickets {
    let Some(value) = section.value("tickets") else { return Tickets::Own };
    match value.get_ref() {
        DeValue::String(text) if text == "own" => Tickets::Own,
        DeValue::String(text) if text == "off" => Tickets::Off,
        DeValue::Table(table) => {
            let inner = Section::new(table, value.span(), "`tickets`", &["file"], problems);
            required(&inner, "file", "\"tickets.key\"", problems).map_or(Tickets::Own, Tickets::Shared)
        }
        _ => {
            let help =
                "there are tickets = \"own\", \"off\" and { file = \"tickets.key\" }, which directors share";
            problems.note(value.span(), "this is no way to resume sessions", help);
            Tickets::Own
        }
    }
}

/// `backend_tls = { ca = "ca.crt", name = "www.example" }`.
pub(super) fn backend_tls(section: &Section<'_>, problems: &mut Problems) -> Option<BackendTls> {
    let (table, span) = section.table("backend_tls", "[service.tls.backend_tls]", problems)?;
    let inner = Section::new(table, span, "`backend_tls`", &["ca", "name"], problems);
    let ca = required(&inner, "ca", CA, problems);
    let name = inner.string("name", "\"www.example\"", problems);
    if let Some(bad) = name.as_ref().filter(|name| !is_name(name.value)) {
        let help =
            "write the DNS name that their certificates have, or an IP address: name = \"www.example\"";
        problems.note(bad.span.clone(), format!("`{}` is no name of a server", bad.value), help);
    }
    Some(BackendTls { ca: ca?, name: name.map(|name| name.value.to_owned()) })
}

fn is_name(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.parse::<std::net::IpAddr>().is_ok() || !text.is_empty() && text.chars().all(letters)
}

/// A file that has to be named.
fn required(section: &Section<'_>, key: &str, example: &str, problems: &mut Problems) -> Option<PathBuf> {
    if section.value(key).is_none() {
        section.missing(key, example, problems);
    }
    path(section, key, example, problems)
}
