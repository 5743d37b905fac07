//! Certificates whose time is over, nearly over or has not begun, and keys that others may read.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "certificates",
    about: "certificates that are expired, soon will be or are not valid yet; keys that others may read",
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

/// Days before the end from which it is time.
const SOON_DAYS: i64 = 21;

fn find(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for front in &facts.tls {
        let about = |file: &std::path::Path| format!("{}, {}", front.service, file.display());
        for certificate in &front.certificates {
            let (about, names) = (about(&certificate.file), certificate.names.join(", "));
            if certificate.not_after < front.now {
                let saw = format!("it is for {names}, and expired {} days ago", -certificate.days_left);
                found.push(Finding::fault(about, saw, EXPIRED));
            } else if certificate.not_before > front.now {
                let saw =
                    format!("it is for {names}, and valid in {} s only", certificate.not_before - front.now);
                found.push(Finding::fault(about, saw, EARLY).cure("date"));
            } else if certificate.days_left < SOON_DAYS {
                let saw = format!("it is for {names}, and expires in {} days", certificate.days_left);
                found.push(Finding::warning(about, saw, SOON));
            }
        }
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

/// For a shell.
fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
