//! What a single certificate says: its names, its key, its time.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::error::FrontError;
use super::subject::rfc4514;

/// A name that a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A DNS name, in lower case, perhaps with a first label `*`.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// Nothing that a terminal would obey or a reader not see: whoever made the certificate has chosen the characters, and
/// those of a DNS name are whatever he wrote.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.escape_debug().fmt(f),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// What kind of key a certificate has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA, by its curve.
    Ecdsa(&'static str),
    /// RSA, by its length in bits.
    Rsa(usize),
    /// Ed25519.
    Ed25519,
    /// Another, by its object identifier.
    Other(String),
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecdsa(curve) => write!(f, "ECDSA {curve}"),
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Other(oid) => f.write_str(oid),
        }
    }
}

/// Certificates, each with its number in messages.
pub(super) fn parsed<'a>(
    file: &str,
    ders: &'a [CertificateDer<'static>],
) -> Result<Vec<X509Certificate<'a>>, FrontError> {
    let damaged =
        |nth: usize, reason: String| FrontError::Certificate { file: file.to_owned(), nth: nth + 1, reason };
    ders.iter()
        .enumerate()
        .map(|(nth, der)| match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Ok(certificate),
            Ok(_) => Err(damaged(nth, "bytes after its end".to_owned())),
            Err(e) => Err(damaged(nth, e.to_string())),
        })
        .collect()
}

/// Whether it is valid `now`.
pub(super) fn check_validity(
    file: &str,
    certificate: &X509Certificate<'_>,
    now: SystemTime,
) -> Result<(), FrontError> {
    let (file, subject, validity) = (file.to_owned(), rfc4514(certificate.subject()), certificate.validity());
    if time(validity.not_after) < now {
        Err(FrontError::Expired { file, subject, not_after: validity.not_after.to_string() })
    } else if time(validity.not_before) > now {
        Err(FrontError::NotYetValid { file, subject, not_before: validity.not_before.to_string() })
    } else {
        Ok(())
    }
}

/// The names, and whether they are subject alternative names: without any, the common name is taken for one, as
/// clients did before RFC 2818.
pub(super) fn names(certificate: &X509Certificate<'_>) -> (Vec<Name>, bool) {
    let san = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<_> = san
        .iter()
        .flat_map(|san| &san.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(dns(name)),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(Name::Ip)
            }
            _ => None,
        })
        .collect();
    if !names.is_empty() {
        return (distinct(names), true);
    }
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    (distinct(common.map(|name| name.parse().map_or_else(|_| dns(name), Name::Ip)).collect()), false)
}

fn distinct(names: Vec<Name>) -> Vec<Name> {
    names.into_iter().fold(Vec::new(), |mut seen, name| {
        if !seen.contains(&name) {
            seen.push(name);
        }
        seen
    })
}

fn dns(name: &str) -> Name {
    Name::Dns(name.trim_end_matches('.').to_ascii_lowercase())
}

pub(super) fn kind(key: &SubjectPublicKeyInfo<'_>) -> KeyKind {
    let curve = key.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok()).map(|oid| oid.to_id_string());
    match (key.algorithm.algorithm.to_id_string().as_str(), curve.as_deref(), key.parsed()) {
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7"), _) => KeyKind::Ecdsa("P-256"),
        ("1.2.840.10045.2.1", Some("1.3.132.0.34"), _) => KeyKind::Ecdsa("P-384"),
        ("1.2.840.10045.2.1", Some("1.3.132.0.35"), _) => KeyKind::Ecdsa("P-521"),
        ("1.3.101.112", ..) => KeyKind::Ed25519,
        (_, _, Ok(PublicKey::RSA(rsa))) => KeyKind::Rsa(rsa.key_size()),
        (other, ..) => KeyKind::Other(other.to_owned()),
    }
}

pub(super) fn time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    if time.timestamp() < 0 { SystemTime::UNIX_EPOCH - seconds } else { SystemTime::UNIX_EPOCH + seconds }
}
