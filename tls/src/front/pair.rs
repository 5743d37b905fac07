//! A pair: a certificate chain and its private key, checked and put in order.
//!
//! The server's own certificate is the one that the key belongs to, wherever it stands in the file.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ParsedExtension, X509Certificate};

use super::certificate::{KeyKind, Name, check_validity, kind, names, parsed, time};
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

/// The extension "TLS feature" (RFC 7633). It has been defined for one feature only.
const MUST_STAPLE: Oid<'static> = oid!(1.3.6.1.5.5.7.1.24);

/// The access method "CA issuers".
const CA_ISSUERS: Oid<'static> = oid!(1.3.6.1.5.5.7.48.2);

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
        if let ([_], Some(issuer)) = (&*places, issuer_at(certificate)) {
            let (file, subject) = (file.clone(), rfc4514(certificate.subject()));
            warnings.push(Warning::Alone { file, subject, issuer });
        }
        let (names, from_san) = names(certificate);
        if !from_san {
            warnings.push(Warning::NoNames { file: file.clone(), subject: rfc4514(certificate.subject()) });
        }

        let mut certified = CertifiedKey::new(places.iter().map(|place| ders[*place].clone()).collect(), key);
        if let Some(ocsp) = &files.ocsp {
            check_ocsp(ocsp)?;
            certified.ocsp = Some(ocsp.bytes.clone());
        } else if certificate.iter_extensions().any(|extension| extension.oid == MUST_STAPLE) {
            warnings
                .push(Warning::MustStaple { file: file.clone(), subject: rfc4514(certificate.subject()) });
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

/// Where the issuer's certificate is to be had (RFC 5280 section 4.2.2.1). Authorities whose own certificate everybody has
/// issue none to servers, and say this in those that they issue to whoever does.
fn issuer_at(certificate: &X509Certificate<'_>) -> Option<String> {
    let access = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => Some(access),
        _ => None,
    })?;
    access.iter().find_map(|place| match place.access_location {
        GeneralName::URI(at) if place.access_method == CA_ISSUERS => Some(at.to_owned()),
        _ => None,
    })
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
