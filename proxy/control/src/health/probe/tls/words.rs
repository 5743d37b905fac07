//! Why a handshake came to nothing.

use std::io;

use rustls::CertificateError::{
    BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
    NotValidYetContext, UnknownIssuer,
};
use rustls::{CertificateError, Error, OtherError};

use super::super::words;
use super::expiry;

pub(super) fn handshake(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(error)) => certificate(error),
        Some(Error::AlertReceived(alert)) => {
            format!("the server ends the TLS handshake by an alert, {alert:?}")
        }
        Some(Error::PeerIncompatible(why)) => {
            format!("the server has no version or suite of TLS in common with us: {why:?}")
        }
        Some(Error::InvalidMessage(_)) => "the answer is not TLS".into(),
        Some(error) => format!("TLS handshake: {error}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the TLS handshake".into()
        }
        None => words::io(error),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        Expired => "certificate expired".into(),
        ExpiredContext { not_after, .. } => expiry::expired(not_after.as_secs().cast_signed()),
        NotValidYet => "certificate is not valid yet".into(),
        NotValidYetContext { not_before, .. } => {
            format!("certificate is not valid before {}", expiry::date(not_before.as_secs().cast_signed()))
        }
        BadSignature => {
            "certificate is not signed by the authority that it names, as that is known here".into()
        }
        UnknownIssuer => "certificate of an authority that is not known here".into(),
        NotValidForName => "certificate is for another name".into(),
        NotValidForNameContext { expected, presented } if presented.is_empty() => {
            format!("certificate is for no name, and not for {}", expected.to_str())
        }
        NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| plain(name)).collect();
            format!("certificate is for {}, and not for {}", names.join(", "), expected.to_str())
        }
        CertificateError::Other(OtherError(error)) => format!("certificate: {error}"),
        error => format!("certificate: {error}"),
    }
}

/// rustls says of what kind each is: `DnsName("www.ilinux.io")`, `IpAddress(10.0.0.1)`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    inner.strip_suffix(')').unwrap_or(inner).trim_matches('"')
}
