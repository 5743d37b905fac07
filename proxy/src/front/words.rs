//! What is said about fronts: in the log, in the status, after a reload.

use std::time::SystemTime;

use sched::counted;
use tls::{Front, Pair};

use super::served::Served;

/// Seconds.
const DAY: u64 = 86_400;
/// Days before its end from which a certificate is complained about.
const EXPIRES_SOON: u64 = 21;

/// What its owner should know of a front, a line each. `refused`: why its files as they are now are not used.
pub(super) fn notices(served: &Served, refused: Option<&str>, now: SystemTime) -> Vec<String> {
    let current = served.current();
    let mut lines = Vec::new();
    for pair in current.front.pairs() {
        let left = pair.not_after().duration_since(now).map_or(0, |left| left.as_secs() / DAY);
        let file = pair.file();
        if pair.not_after() <= now {
            lines.push(format!(
                "the certificate in {file} has expired: clients refuse it; put another one there"
            ));
        } else if left < EXPIRES_SOON {
            lines.push(format!(
                "the certificate in {file} expires in {}: another one there is taken at once",
                counted(left, "day")
            ));
        }
    }
    lines.extend(refused.iter().map(|text| format!("certificates stay as they were: {text}")));
    lines.iter().map(|line| format!("{}: {line}", served.key)).collect()
}

/// What is new about the certificates, a line each.
pub(super) fn changes(before: &Front, now: &Front) -> Vec<String> {
    let known = |pair: &Pair| before.pairs().iter().any(|other| other.fingerprint() == pair.fingerprint());
    let new = now.pairs().iter().filter(|pair| !known(pair));
    new.map(|pair| format!("another certificate in {}: {}", pair.file(), pair.fingerprint().short()))
        .collect()
}
