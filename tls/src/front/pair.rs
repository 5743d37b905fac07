//! A pair: a certificate chain and its private key, checked and put in order.
//!
//! The server's own certificate is the one that the key belongs to, wherever it stands in the file.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::chain;
use super::error::{FrontError, Warning};
use super::source::Source;
use super::subject::{Fingerprint, rfc4514};
use crate::provider::provider;

/// The files of a pair. One file may be both chain and key.
#[derive(Clone, Debug)]
pub struct PairFiles {
    /// The certificate and those of its issuers, PEM.
    pub chain: Source,
    /// The private key, PEM.
    pub key: Source,
    /// What the issuer says of the certificate (an OCSP response, DER), to be handed to clients that ask.
    pub ocsp: Option<Source>,
}

/// A name that a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A DNS name, in lower case, perhaps with a first label `*`.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
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

/// A certificate chain and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    file: String,
    names: Vec<Name>,
    subject: String,
    issuer: String,
    not_before: SystemTime,
    not_after: SystemTime,
    fingerprint: Fingerprint,
    kind: KeyKind,
    pub(super) certified: Arc<CertifiedKey>,
}

impl Pair {
    /// Checks these files as they are `now`.
    pub fn new(files: &PairFiles, now: SystemTime) -> Result<(Self, Vec<Warning>), FrontError> {
        let file = &files.chain.name;
        let mut ders = files.chain.certificates()?;
        let all = ders.len();
        remove_repeated(&mut ders);
        let certificates = parsed(file, &ders)?;
        let (leaf, key) = whose_key(files, &certificates)?;

        let mut warnings = Vec::new();
        let chain::Order { places, linked } = chain::order(&certificates, leaf);
        if all != ders.len() || !places.iter().copied().eq(0..ders.len()) {
            warnings.push(Warning::Reordered { file: file.clone() });
        }
        for (nth, place) in places.iter().enumerate().skip(1) {
            let (file, subject) = (file.clone(), rfc4514(certificates[*place].subject()));
            if nth >= linked {
                warnings.push(Warning::Unrelated { file, subject });
            } else if check_validity(&file, &certificates[*place], now).is_err() {
                warnings.push(Warning::IssuerNotValid { file, subject });
            }
        }
        let certificate = &certificates[leaf];
        check_validity(file, certificate, now)?;
        let (names, from_san) = names(certificate);
        if !from_san {
            warnings.push(Warning::NoNames { file: file.clone(), subject: rfc4514(certificate.subject()) });
        }

        let mut certified = CertifiedKey::new(places.iter().map(|place| ders[*place].clone()).collect(), key);
        if let Some(ocsp) = &files.ocsp {
            check_ocsp(ocsp)?;
            certified.ocsp = Some(ocsp.bytes.clone());
        }
        let pair = Self {
            file: file.clone(),
            names,
            subject: rfc4514(certificate.subject()),
            issuer: rfc4514(certificate.issuer()),
            not_before: time(certificate.validity().not_before),
            not_after: time(certificate.validity().not_after),
            fingerprint: Fingerprint::of(&ders[leaf]),
            kind: kind(certificate.public_key()),
            certified: Arc::new(certified),
        };
        Ok((pair, warnings))
    }

    /// The file that the chain came from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What it is for: subject alternative names or, where it has none, the common name.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// Whose it is (RFC 4514).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who signed it (RFC 4514).
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// When it begins to be valid.
    pub const fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When it ceases to be valid.
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Its fingerprint.
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// What kind of key it has.
    pub const fn kind(&self) -> &KeyKind {
        &self.kind
    }
}

/// A file made by appending may hold a certificate twice.
fn remove_repeated(ders: &mut Vec<CertificateDer<'static>>) {
    let mut place = 0;
    while place < ders.len() {
        if ders[..place].contains(&ders[place]) {
            ders.remove(place);
        } else {
            place += 1;
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

/// The certificate and the key that belong together.
fn whose_key(
    files: &PairFiles,
    certificates: &[X509Certificate<'_>],
) -> Result<(usize, Arc<dyn SigningKey>), FrontError> {
    for key in files.key.keys()? {
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|_| FrontError::UnknownKey { file: files.key.name.clone() })?;
        let public =
            key.public_key().ok_or_else(|| FrontError::UnknownKey { file: files.key.name.clone() })?;
        if let Some(leaf) = certificates.iter().position(|c| c.public_key().raw == public.as_ref()) {
            return Ok((leaf, key));
        }
    }
    Err(FrontError::Mismatch { chain: files.chain.name.clone(), key: files.key.name.clone() })
}

fn check_validity(file: &str, certificate: &X509Certificate<'_>, now: SystemTime) -> Result<(), FrontError> {
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
fn names(certificate: &X509Certificate<'_>) -> (Vec<Name>, bool) {
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

fn kind(key: &SubjectPublicKeyInfo<'_>) -> KeyKind {
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

/// `OCSPResponse ::= SEQUENCE { responseStatus ENUMERATED, ... }` (RFC 6960 section 4.2.1): whole, and successful.
fn check_ocsp(ocsp: &Source) -> Result<(), FrontError> {
    let refuse = |reason| Err(FrontError::Ocsp { file: ocsp.name.clone(), reason });
    match x509_parser::der_parser::parse_der(&ocsp.bytes) {
        Ok(([], response)) => match response.as_sequence().ok().and_then(|fields| fields.first()) {
            Some(status) if status.as_u32() == Ok(0) => Ok(()),
            Some(_) => refuse("it says that the responder failed"),
            None => refuse("it is not a DER sequence"),
        },
        _ => refuse("it is not DER"),
    }
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    if time.timestamp() < 0 { SystemTime::UNIX_EPOCH - seconds } else { SystemTime::UNIX_EPOCH + seconds }
}
