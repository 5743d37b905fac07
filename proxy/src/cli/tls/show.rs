//! Fronts for people: a table of all of them, and everything about one.

use std::net::SocketAddr;

use control::api::{CertView, TlsView};
use sched::{Tickets, TlsFront, TlsLimits, counted};

use super::super::when::date;

/// Where there is no front at all.
pub(super) const NOWHERE: &str = "TLS ends at no service; `ulvs tls add --help` tells how to have it so";

/// Days before the end of a certificate from which on they are counted.
const SOON: i64 = 30;

/// One line for each front, and below them what somebody should look at.
pub(super) fn table(fronts: &[TlsView]) -> String {
    if fronts.is_empty() {
        return NOWHERE.to_owned();
    }
    let head =
        ["Service", "TLS at", "Servers", "Stack", "Names", "Expires", "Open", "Full", "Resumed", "Failed"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(fronts.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        out += cells.collect::<Vec<_>>().join("  ").trim_end();
        out.push('\n');
    }
    for front in fronts {
        for warning in warnings(front) {
            out += &format!("{}: {warning}\n", front.service.word());
        }
    }
    out
}

fn row(front: &TlsView) -> [String; 10] {
    let count = |name| front.count(name).to_string();
    [
        front.service.word(),
        places(front),
        servers(&front.settings),
        front.stack.to_string(),
        names(front),
        front.certificates.iter().min_by_key(|cert| cert.not_after).map_or_else(|| "-".to_owned(), expiry),
        front.sessions.to_string(),
        count(TlsView::FULL),
        count(TlsView::RESUMED),
        count(TlsView::FAILED),
    ]
}

fn places(front: &TlsView) -> String {
    let place = |vip| SocketAddr::new(vip, front.settings.port).to_string();
    match front.vips[..] {
        [] => "nowhere yet".to_owned(),
        [one] => place(one),
        [first, ..] => format!("{} and {} more", place(first), front.vips.len() - 1),
    }
}

fn servers(front: &TlsFront) -> String {
    let port = front.server_port.map_or_else(|| "own port".to_owned(), |port| format!("port {port}"));
    if front.backend_tls.is_some() { format!("{port}, TLS") } else { port }
}

fn names(front: &TlsView) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in front.certificates.iter().flat_map(|cert| &cert.names) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    match names[..] {
        [] => "-".to_owned(),
        [first, _, _, _, ..] => format!("{first} and {} more", names.len() - 1),
        _ => names.join(","),
    }
}

fn expiry(cert: &CertView) -> String {
    let date = date(cert.not_after);
    match cert.days_left {
        ..0 => format!("{date} (over)"),
        left @ 0..SOON => format!("{date} ({})", counted(left, "day")),
        SOON.. => date,
    }
}

/// What somebody should look at.
fn warnings(front: &TlsView) -> Vec<String> {
    let mut all = Vec::new();
    if front.vips.is_empty() {
        all.push(
            "no rule says which address has its mark: add rules, or name addresses with --vip".to_owned(),
        );
    }
    all.extend(front.error.iter().map(|error| format!("files could not be read again: {error}")));
    let of_cert = |cert: &CertView| {
        let file = cert.file.display().to_string();
        cert.warnings.iter().map(move |warning| format!("{file}: {warning}")).collect::<Vec<_>>()
    };
    all.extend(front.certificates.iter().flat_map(of_cert));
    all
}

/// All that is known of a front, a line each.
pub(super) fn everything(front: &TlsView) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: String| out += &format!("{name:<13} {text}\n");
    let settings = &*front.settings;
    let places: Vec<_> =
        front.vips.iter().map(|vip| SocketAddr::new(*vip, settings.port).to_string()).collect();
    line("service", front.service.word());
    line(
        "TLS at",
        if places.is_empty() { format!("nowhere yet, port {}", settings.port) } else { places.join(", ") },
    );
    line("servers", servers(settings));
    if let Some(tls) = &settings.backend_tls {
        let name = tls.name.as_deref().unwrap_or("the server's address");
        line("servers' CA", format!("{}, for the name {name}", tls.ca.display()));
    }
    line("stack", front.stack.to_string());
    for pair in &settings.certs {
        let ocsp = pair.ocsp.iter().map(|ocsp| format!(", OCSP {}", ocsp.display())).collect::<String>();
        line("certificate", format!("{}, key {}{ocsp}", pair.cert.display(), pair.key.display()));
        for cert in front.certificates.iter().filter(|cert| cert.file == pair.cert) {
            let (from, until) = (date(cert.not_before), expiry(cert));
            line("", format!("for {}; {}", cert.names.join(", "), cert.key));
            line("", format!("of {}, says {}", cert.subject, cert.issuer));
            line("", format!("good from {from} until {until}; SHA-256 {}", cert.fingerprint));
        }
    }
    line("SNI", if settings.strict_sni { "strict: unknown names are refused" } else { "any" }.to_owned());
    line("ALPN", if settings.alpn.is_empty() { "none".to_owned() } else { settings.alpn.join(", ") });
    for (name, service) in &settings.by_alpn {
        line("", format!("{name} goes to the servers of {}", service.word()));
    }
    line("profile", settings.profile.to_string());
    if let Some(auth) = &settings.client_auth {
        let crl =
            auth.crl.iter().map(|crl| format!(", but for those in {}", crl.display())).collect::<String>();
        let how = if auth.required { "required" } else { "optional" };
        line("clients' CA", format!("{}{crl}: {how}", auth.ca.display()));
    }
    line(
        "tickets",
        match &settings.tickets {
            Tickets::Own => "own".to_owned(),
            Tickets::Off => "off".to_owned(),
            Tickets::Shared(file) => format!("shared, {}", file.display()),
        },
    );
    line("identity", settings.identity.to_string());
    line("pool", settings.pool.to_string());
    if let Some(port) = settings.redirect_http {
        line("redirect", format!("plain HTTP on port {port}"));
    }
    if let Some(file) = &settings.key_log {
        line("key log", format!("{}: whoever has it reads everything", file.display()));
    }
    let limits = TlsLimits::RANGES.iter().zip(settings.limits.in_order());
    let limits = limits.map(|((name, _), n)| {
        let s = if name.ends_with("_timeout") { " s" } else { "" };
        format!("{} {n}{s}", name.replace('_', " "))
    });
    line("limits", limits.collect::<Vec<_>>().join(", "));
    line("open sessions", front.sessions.to_string());
    for (name, n) in &front.counters {
        line(if Some(name) == front.counters.keys().next() { "counters" } else { "" }, format!("{name} {n}"));
    }
    for warning in warnings(front) {
        line("warning", warning);
    }
    out
}
