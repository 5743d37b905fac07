//! Servers that end TLS themselves, and what their certificates say.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::{Check, Needs, is_for, span};
use crate::doctor::facts::{Facts, Shown};
use crate::doctor::finding::{Finding, Severity};
use sched::ServiceSpec;

pub(super) const CHECK: Check = Check {
    name: "server-tls",
    about: "certificates of servers of TLS: expired, not valid yet, for another name than their neighbours' or the front's",
    real: false,
    needs: Needs::Packets,
    find,
};

const EXPIRED: &str = "clients that land on this server and look at it refuse to go on: renew it there";
const EARLY: &str = "clients that land on this server refuse it until then: its certificate was issued by a host whose clock \
                     is wrong, or this host's is";
const DIFFERENT: &str = "whoever asks for a site lands on any of its servers: each has to show a certificate for the same names \
                         (copy certificate and key from one that is right)";
const REFUSED: &str = "the front refuses it, and its clients get nothing from this server: issue it for that name, or say \
                       another one (`ulvs tls add --backend-name`)";

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(probes) = &facts.probes else { return Vec::new() };
    let mut found = Vec::new();
    for service in &facts.services {
        let servers = service.dests.iter().map(|dest| dest.addr);
        let shown: Vec<(SocketAddr, &Shown)> =
            servers.filter_map(|server| Some((server, probes.shown.get(&server)?))).collect();
        for (server, certificate) in &shown {
            let about = format!("server {server} of {}", service.key.word());
            let names = certificate.words();
            if certificate.not_after < certificate.now {
                let ago = span(certificate.now - certificate.not_after);
                let saw = format!("its certificate is for {names}, and expired {ago} ago");
                found.push(Finding::fault(about.clone(), saw, EXPIRED));
            } else if certificate.not_before > certificate.now {
                let until = span(certificate.not_before - certificate.now);
                let saw = format!("its certificate is for {names}, and valid in {until} only");
                found.push(Finding::fault(about.clone(), saw, EARLY));
            }
            if let Some(wanted) = wanted(service, *server)
                && !certificate.names.iter().any(|name| is_for(name, &wanted))
            {
                let saw = format!("its certificate is for {names}, and the front asks for {wanted}");
                found.push(Finding::fault(about, saw, REFUSED));
            }
        }
        if service.tls.is_none() {
            found.extend(different(service, &shown));
        }
    }
    found
}

/// The name that a front asks its servers for.
fn wanted(service: &ServiceSpec, server: SocketAddr) -> Option<String> {
    let backend = service.tls.as_ref()?.backend_tls.as_ref()?;
    Some(backend.name.clone().unwrap_or_else(|| server.ip().to_string()))
}

/// Servers whose certificate is for other names than that of most of them, or of the first.
fn different(service: &ServiceSpec, shown: &[(SocketAddr, &Shown)]) -> Vec<Finding> {
    let set = |certificate: &Shown| certificate.names.iter().cloned().collect::<BTreeSet<_>>();
    let alike = |names: &BTreeSet<String>| shown.iter().filter(|(_, other)| set(other) == *names).count();
    let mut usual: Option<(usize, SocketAddr, &Shown)> = None;
    for (server, certificate) in shown {
        let count = alike(&set(certificate));
        if usual.is_none_or(|(most, ..)| count > most) {
            usual = Some((count, *server, certificate));
        }
    }
    let Some((_, first, usual)) = usual else { return Vec::new() };
    let others = shown.iter().filter(|(_, certificate)| set(certificate) != set(usual));
    let finding = |(server, certificate): &(SocketAddr, &Shown)| {
        let common = certificate.names.iter().any(|name| usual.names.contains(name));
        let severity = if common { Severity::Warning } else { Severity::Fault };
        let saw =
            format!("its certificate is for {}, that of {first} for {}", certificate.words(), usual.words());
        Finding::new(severity, format!("server {server} of {}", service.key.word()), saw, DIFFERENT)
    };
    others.map(finding).collect()
}
