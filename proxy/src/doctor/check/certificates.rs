//! Certificates of fronts: whose time is over, nearly over or has not begun; for other names than clients ask for; keys
//! that others may read.

use std::net::IpAddr;

use super::{Check, Needs, is_for, span};
use crate::doctor::facts::{Facts, Front};
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "certificates",
    about: "certificates that are expired, soon will be, are not valid yet, or for other names; keys that others may read",
    real: false,
    needs: Needs::State,
    find,
};

const EXPIRED: &str = "clients that look at it refuse to go on";
const SOON: &str = "clients refuse to go on from that day; `ulvs tls reload` takes a new one without a break";
const EARLY: &str =
    "clients refuse it until then: the clock of this host is wrong, or that of the host that issued it was";
const OPEN: &str = "whoever can read the key can be the site, and may be able to read what was said";
const BROKEN: &str = "the front goes on with what it had, until the engine ends: then it cannot begin";
const REFUSED: &str = "an engine refuses to begin with this file";
const DOUBTFUL: &str = "TLS ends here all the same, but some clients may refuse what they are shown";

const ELSEWHERE: &str =
    "clients that ask for a name, or for another address, refuse it: issue one for the names of the site";
const UNNAMED: &str =
    "whoever asks for this site by that name is shown a certificate for another one, and refuses it";

/// Days before the end from which it is time.
const SOON_DAYS: i64 = 21;

fn find(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for front in &facts.tls {
        let about = |file: &std::path::Path| format!("{}, {}", front.service, file.display());
        for certificate in &front.certificates {
            let (about, names) = (about(&certificate.file), certificate.names.join(", "));
            if certificate.not_after < front.now {
                let ago = span(front.now - certificate.not_after);
                let saw = format!("it is for {names}, and expired {ago} ago");
                found.push(Finding::fault(about, saw, EXPIRED));
            } else if certificate.not_before > front.now {
                let until = span(certificate.not_before - front.now);
                let saw = format!("it is for {names}, and valid in {until} only");
                found.push(Finding::fault(about, saw, EARLY).cure("date"));
            } else if certificate.days_left < SOON_DAYS {
                let left = span(certificate.not_after - front.now);
                let saw = format!("it is for {names}, and expires in {left}");
                found.push(Finding::warning(about, saw, SOON));
            }
        }
        found.extend(names(facts, front));
        for (key, mode) in &front.open_keys {
            let saw = format!("its mode is {mode:04o}: others than root may read it");
            let finding = Finding::warning(about(key), saw, OPEN);
            found.push(finding.cure(format!("chmod 0600 {}", quoted(key))));
        }
        if let Some(error) = &front.error {
            let (about, saw) = (format!("service {}", front.service), error.clone());
            let why = if facts.engine.is_some() { BROKEN } else { REFUSED };
            found.push(Finding::fault(about, saw, why));
        }
        for warning in &front.warnings {
            found.push(Finding::warning(format!("service {}", front.service), warning.clone(), DOUBTFUL));
        }
    }
    found
}

/// Certificates that no client of the front can have asked for, as far as that can be known.
fn names(facts: &Facts, front: &Front) -> Vec<Finding> {
    let mut found = Vec::new();
    let about = || format!("front of {}", front.service);
    for certificate in &front.certificates {
        let mut ips = certificate.names.iter().map(|name| name.parse::<IpAddr>());
        let alone = !certificate.names.is_empty()
            && !front.vips.is_empty()
            && ips.all(|ip| ip.is_ok_and(|ip| !front.vips.contains(&ip)));
        if alone {
            let (names, file) = (certificate.names.join(", "), certificate.file.display());
            let saw = format!("{file} is for {names} alone, where no client of the front goes");
            found.push(Finding::warning(about(), saw, ELSEWHERE));
        }
    }
    let covers = |wanted: &str| {
        let mut names = front.certificates.iter().flat_map(|certificate| &certificate.names);
        names.any(|name| is_for(name, wanted))
    };
    let known = front.vips.iter().filter_map(|vip| Some((vip, facts.names.get(vip)?)));
    let missing = known.flat_map(|(vip, names)| names.iter().map(move |name| (vip, name)));
    for (vip, name) in missing.filter(|(_, name)| !front.certificates.is_empty() && !covers(name)) {
        let saw = format!("/etc/hosts calls {vip} {name}, and no certificate is for that name");
        found.push(Finding::note(about(), saw, UNNAMED));
    }
    found
}

/// For a shell.
fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
