//! What is shown, as JSON for programs. Dates are seconds since 1970.

use serde_json::{Value, json};
use tls::ca::show::{CertificateView, CrlView, Extensions, KeyView, RequestView};
use tls::ca::{Date, Entry, Status};

pub(super) fn certificate(view: &CertificateView, now: Date) -> Value {
    json!({
        "type": "certificate",
        "subject": view.subject,
        "issuer": view.issuer,
        "self_issued": view.self_issued,
        "serial": view.serial,
        "not_before": view.not_before.unix(),
        "not_after": view.not_after.unix(),
        "days_left": view.not_after.days_from(now),
        "extensions": extensions(&view.extensions),
        "signature": view.signature,
        "key": key(&view.key),
        "key_id": view.key_id,
        "authority_key_id": view.authority_key_id,
        "sha256": view.sha256,
    })
}

pub(super) fn request(view: &RequestView) -> Value {
    json!({
        "type": "request",
        "subject": view.subject,
        "extensions": extensions(&view.extensions),
        "signature": view.signature,
        "wrong": view.wrong,
        "key": key(&view.key),
    })
}

pub(super) fn crl(view: &CrlView, now: Date) -> Value {
    let revoked = view
        .revoked
        .iter()
        .map(|(serial, date, reason)| json!({ "serial": serial, "date": date.unix(), "reason": reason }));
    json!({
        "type": "crl",
        "issuer": view.issuer,
        "number": view.number,
        "this_update": view.this_update.unix(),
        "next_update": view.next_update.map(Date::unix),
        "days_left": view.next_update.map(|until| until.days_from(now)),
        "signature": view.signature,
        "revoked": revoked.collect::<Vec<_>>(),
    })
}

pub(super) fn key(view: &KeyView) -> Value {
    json!({ "kind": view.kind, "sha256": view.sha256 })
}

fn extensions(extensions: &Extensions) -> Value {
    json!({
        "names": extensions.names,
        "ca": extensions.ca,
        "key_usage": extensions.key_usage,
        "extended_key_usage": extensions.extended_key_usage,
    })
}

pub(super) fn entry(entry: &Entry) -> Value {
    let (status, revoked, reason) = match entry.status {
        Status::Valid => ("valid", None, None),
        Status::Expired => ("expired", None, None),
        Status::Revoked(date, reason) => ("revoked", Some(date.unix()), Some(reason.name())),
    };
    json!({
        "serial": entry.serial,
        "subject": entry.subject,
        "not_after": entry.expires.unix(),
        "status": status,
        "revoked": revoked,
        "reason": reason,
    })
}
