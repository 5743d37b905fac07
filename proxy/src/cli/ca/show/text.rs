//! What is shown, as lines for people.

use sched::counted;
use tls::ca::show::{CertificateView, CrlView, Extensions, KeyView, RequestView};
use tls::ca::{Date, Entry, Status};

/// A word for what it is, and what it is. Without a value there is no line.
pub(super) type Line = (&'static str, String);

pub(super) fn certificate_lines(view: &CertificateView, now: Date) -> Vec<Line> {
    let issuer = if view.self_issued { "itself".to_owned() } else { view.issuer.clone() };
    let left = if now < view.not_before {
        "not yet valid".to_owned()
    } else {
        match view.not_after.days_from(now) {
            days if days < 0 => format!("expired {} ago", counted(-days, "day")),
            days => format!("{} left", counted(days, "day")),
        }
    };
    let mut lines = vec![
        ("subject", view.subject.clone()),
        ("issuer", issuer),
        ("serial", view.serial.clone()),
        ("valid", format!("{} to {} ({left})", view.not_before, view.not_after)),
    ];
    lines.extend(extension_lines(&view.extensions));
    lines.push(("signature", view.signature.clone()));
    lines.extend(key_lines(&view.key));
    lines.push(("sha256", view.sha256.clone()));
    lines
}

pub(super) fn request_lines(view: &RequestView) -> Vec<Line> {
    let mut lines = vec![("subject", view.subject.clone())];
    lines.extend(extension_lines(&view.extensions));
    let verdict =
        view.wrong.as_ref().map_or_else(|| "right".to_owned(), |wrong| format!("not taken: {wrong}"));
    lines.push(("signature", format!("{}, {verdict}", view.signature)));
    lines.extend(key_lines(&view.key));
    lines
}

pub(super) fn crl_lines(view: &CrlView, now: Date) -> Vec<Line> {
    let until = view.next_update.map_or_else(String::new, |until| {
        let late = if until < now { " (that is past: `ulvs ca crl` writes another)" } else { "" };
        format!(" to {until}{late}")
    });
    let mut lines = vec![
        ("issuer", view.issuer.clone()),
        ("number", view.number.clone().unwrap_or_default()),
        ("valid", format!("{}{until}", view.this_update)),
        ("signature", view.signature.clone()),
    ];
    for (serial, date, reason) in &view.revoked {
        let reason = reason.as_ref().map_or_else(String::new, |reason| format!(", {reason}"));
        lines.push(("revoked", format!("{serial} on {date}{reason}")));
    }
    lines
}

pub(super) fn key_lines(view: &KeyView) -> [Line; 2] {
    [("key", view.kind.clone()), ("key sha256", view.sha256.clone())]
}

fn extension_lines(extensions: &Extensions) -> [Line; 3] {
    let mut usage = extensions.key_usage.join(", ");
    if !extensions.extended_key_usage.is_empty() {
        usage = format!("{usage}; {}", extensions.extended_key_usage.join(", "));
    }
    let authority = if extensions.ca { "yes" } else { "no" };
    [("names", extensions.names.join(", ")), ("authority", authority.to_owned()), ("usage", usage)]
}

pub(super) fn entry_line(entry: &Entry) -> Line {
    let Entry { status, expires, serial, subject } = entry;
    match status {
        Status::Valid => ("valid", format!("{serial} until {expires} {subject}")),
        Status::Expired => ("expired", format!("{serial} on {expires} {subject}")),
        Status::Revoked(date, reason) => {
            ("revoked", format!("{serial} on {date}, {} {subject}", reason.name()))
        }
    }
}
