//! What servers say of themselves: clocks and certificates.

use std::sync::Arc;

use sched::{BackendTls, CertFiles, TlsFront};

use super::*;
use crate::doctor::facts::Shown;

const DAY: i64 = 86_400;
const NOW: i64 = 20_000 * DAY;

/// A service whose servers have addresses from 10.0.0.11 on.
fn with_servers(count: u8) -> Facts {
    let mut facts = nat();
    facts.services[0].dests = (0..count).map(|i| DestSpec::new(([10, 0, 0, 11 + i], 443).into())).collect();
    facts
}

fn shows(facts: &mut Facts, server: u8, names: &[&str], not_before: i64, not_after: i64) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let shown = Shown { names, not_before, not_after, now: NOW };
    probes(facts).shown.insert(([10, 0, 0, server], 443).into(), shown);
}

#[test]
fn the_clock_that_is_wrong_is_the_one_that_differs_from_the_others() {
    let clocks = |ahead: &[i64]| {
        let mut facts = with_servers(3);
        let servers = (11_u8..).zip(ahead);
        probes(&mut facts).ahead = servers.map(|(i, ahead)| (([10, 0, 0, i], 80).into(), *ahead)).collect();
        let found = (clocks::CHECK.find)(&facts);
        found.into_iter().map(|found| (found.severity, found.about, found.saw)).collect::<Vec<_>>()
    };
    assert_eq!(clocks(&[300, -300, 0]), []);
    let server = |ip: &str, saw: &str| {
        let saw = format!("its clock is {saw} this host's, by the Date of its HTTP");
        (Severity::Warning, format!("server {ip}"), saw)
    };
    assert_eq!(
        clocks(&[0, -7200, 301]),
        [server("10.0.0.12", "2 hours behind"), server("10.0.0.13", "5 minutes ahead of")]
    );
    assert_eq!(
        clocks(&[-3 * DAY]),
        [server("10.0.0.11", "3 days behind")],
        "one says nothing of who is right"
    );
    let ours = "it is 59 minutes behind that of all 3 servers that were asked".to_owned();
    assert_eq!(clocks(&[3599, 3600, 3700]), [(Severity::Fault, "the clock of this host".to_owned(), ours)]);
    assert_eq!(clocks(&[3600, -3600]).len(), 2, "they do not agree");
}

#[test]
fn a_server_whose_certificate_is_for_another_name_than_its_neighbours_is_named() {
    let mut facts = with_servers(3);
    for server in 11..14 {
        shows(&mut facts, server, &["www.example", "b.example"], NOW - DAY, NOW + DAY);
    }
    assert_eq!((server_tls::CHECK.find)(&facts), []);
    // The first of three is in the minority.
    shows(&mut facts, 11, &["b.example"], NOW - DAY, NOW + DAY);
    let (severity, saw, _) = only(&server_tls::CHECK, &facts);
    assert_eq!(severity, Severity::Warning, "some names are the same");
    assert_eq!(saw, "its certificate is for b.example, that of 10.0.0.12:443 for www.example, b.example");
    shows(&mut facts, 11, &["c.example"], NOW - DAY, NOW + DAY);
    assert_eq!(only(&server_tls::CHECK, &facts).0, Severity::Fault);
    shows(&mut facts, 11, &[], NOW - DAY, NOW + DAY);
    assert!(only(&server_tls::CHECK, &facts).1.starts_with("its certificate is for no name, that of"));
}

#[test]
fn a_servers_certificate_has_its_time() {
    for (from, until, saw) in [(-9, -2, "expired 2 days ago"), (1, 9, "valid in 24 hours only")] {
        let mut facts = with_servers(1);
        shows(&mut facts, 11, &["www.example"], NOW + from * DAY, NOW + until * DAY);
        let (severity, told, _) = only(&server_tls::CHECK, &facts);
        assert_eq!((severity, told.contains(saw)), (Severity::Fault, true), "{told}");
    }
}

#[test]
fn servers_of_a_front_that_speaks_tls_to_them_show_what_it_asks_for() {
    for (asked, shown, found) in [
        (Some("www.example"), "*.example", 0),
        (Some("a.www.example"), "*.example", 1),
        (Some("example"), "*.example", 1),
        (None, "10.0.0.11", 0),
        (None, "www.example", 1),
    ] {
        let mut facts = with_servers(1);
        let files = CertFiles { cert: "x".into(), key: "x".into(), ocsp: None };
        let name = asked.map(str::to_owned);
        let backend_tls = Some(BackendTls { ca: "x".into(), name });
        facts.services[0].tls = Some(Arc::new(TlsFront { backend_tls, ..TlsFront::new(files) }));
        shows(&mut facts, 11, &[shown], NOW - DAY, NOW + DAY);
        assert_eq!((server_tls::CHECK.find)(&facts).len(), found, "{asked:?} {shown}");
    }
}

#[test]
fn a_front_whose_certificate_is_for_an_address_or_a_name_that_nobody_asks_for_is_told() {
    let vip: std::net::IpAddr = "10.0.0.9".parse().unwrap();
    let with = |names: &[&str]| {
        let mut facts = nat();
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertView { names, ..certificate(NOW - DAY, NOW + 90 * DAY) };
        let front = Front { vips: vec![vip], certificates: vec![certificate], now: NOW, ..Front::default() };
        facts.tls = vec![front];
        facts
    };
    assert_eq!((certificates::CHECK.find)(&with(&["10.0.0.9"])), []);
    assert_eq!((certificates::CHECK.find)(&with(&["10.0.0.8", "www.example"])), []);
    let (severity, saw, _) = only(&certificates::CHECK, &with(&["10.0.0.8"]));
    assert_eq!(severity, Severity::Warning);
    assert_eq!(saw, "site.crt is for 10.0.0.8 alone, where no client of the front goes");
    let mut facts = with(&["*.example"]);
    facts.names.insert(vip, vec!["www.example".to_owned()]);
    assert_eq!((certificates::CHECK.find)(&facts), []);
    facts.names.insert(vip, vec!["www.example.org".to_owned()]);
    let (severity, saw, _) = only(&certificates::CHECK, &facts);
    assert_eq!(severity, Severity::Note);
    assert_eq!(saw, "/etc/hosts calls 10.0.0.9 www.example.org, and no certificate is for that name");
}
