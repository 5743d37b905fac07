//! Until when a certificate is good.

use rustls::pki_types::{CertificateDer, UnixTime};
use sched::counted;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

const DAY: i64 = 86_400;

/// Whether a certificate is good for so many days still.
pub(super) fn check(certificate: &CertificateDer<'_>, days: u16, now: UnixTime) -> Result<(), String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Err("the server's certificate cannot be read".into());
    };
    let end = certificate.validity().not_after.timestamp();
    let left = end - now.as_secs().cast_signed();
    match left {
        ..0 => Err(expired(end)),
        left if left < i64::from(days) * DAY => Err(format!(
            "certificate expires on {}, in {}, where {days} were wanted",
            date(end),
            match left / DAY {
                0 => "less than a day".to_owned(),
                days => counted(days, "day"),
            }
        )),
        _ => Ok(()),
    }
}

pub(super) fn expired(end: i64) -> String {
    format!("certificate expired on {}", date(end))
}

/// `2026-01-02`.
pub(super) fn date(unix: i64) -> String {
    ASN1Time::from_timestamp(unix).map_or_else(
        |_| "a day outside the calendar".to_owned(),
        |time| {
            let day = time.to_datetime();
            format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day())
        },
    )
}
