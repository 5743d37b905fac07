//! The authority: what signs.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData,
};
use x509_parser::extensions::KeyUsage;
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};

use super::{CaError, Date, Entry, Key, KeyKind, Name, Note, Request, Subject, pem, serial};

/// Certificates are valid from an hour ago, for hosts whose clocks are a little behind.
const SLACK: Duration = Duration::from_secs(3600);

/// A certificate and its private key, as PEM texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub cert_pem: String,
    /// Its private key (PKCS #8): a secret.
    pub key_pem: String,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// A server shows it.
    Server,
    /// A client shows it, to a server that asks for one.
    Client,
}

/// A certificate that is wanted.
#[derive(Clone, Debug)]
pub struct Order {
    /// What for.
    pub usage: Usage,
    /// Who for. Where a key is made for it, too, it gets the first of the names as its common name if it has none.
    pub subject: Subject,
    /// Under which names.
    pub names: Vec<Name>,
    /// For how many days.
    pub days: u32,
}

/// A certificate that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub cert_pem: String,
    /// How the index remembers it.
    pub entry: Entry,
    /// What is other than was asked for.
    pub notes: Vec<Note>,
}

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) key_id: KeyIdMethod,
    pub(super) der: Vec<u8>,
    above: String,
    not_before: Date,
    not_after: Date,
}

impl Authority {
    /// Makes a new authority with this name and kind of key, valid for `days` days from `now`.
    pub fn create(subject: &Subject, kind: KeyKind, days: u32, now: SystemTime) -> Result<Pair, CaError> {
        let until = Date::from(now).plus_days(days);
        let mut params = params(subject, (now - SLACK).into(), until)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = kind.generate()?;
        Ok(Pair { cert_pem: params.self_signed(&key)?.pem(), key_pem: key.serialize_pem() })
    }

    /// The authority with this certificate and this key. Certificates after the first are those above it.
    pub fn load(cert_pem: &[u8], key: Key) -> Result<Self, CaError> {
        let Key(key) = key;
        let blocks = pem::all(pem::Kind::Certificate, cert_pem)?;
        let above = chain(&blocks)?;
        let der = blocks[0].der.clone();
        let cert = certificate(&der)?;
        let key_usages = usages(&cert)?;
        if cert.public_key().raw != key.subject_public_key_info() {
            return Err(CaError::OtherKey);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = Subject::try_from(cert.subject())?.dn().clone();
        params.key_usages = key_usages;
        if let Some(id) = key_id(&cert) {
            params.key_identifier_method = KeyIdMethod::PreSpecified(id);
        }
        let key_id = params.key_identifier_method.clone();
        let (not_before, not_after) = (cert.validity().not_before.into(), cert.validity().not_after.into());
        Ok(Self { issuer: Issuer::new(params, key), key_id, above, not_before, not_after, der })
    }

    /// What servers send after a certificate of this authority: itself and those above it, as PEM, without the root.
    pub fn above(&self) -> &str {
        &self.above
    }

    /// Issues a certificate with a new key.
    pub fn issue(&self, order: &Order, kind: KeyKind, now: SystemTime) -> Result<(Issued, Pair), CaError> {
        let mut order = order.clone();
        if let Some(name) = order.names.first() {
            order.subject = order.subject.or_common_name(&name.text());
        }
        let key = kind.generate()?;
        let issued = self.certify(order, &key, now)?;
        let pair = Pair { cert_pem: issued.cert_pem.clone(), key_pem: key.serialize_pem() };
        Ok((issued, pair))
    }

    /// Signs a request. Names in the order replace those of the request; a subject in it, the request's.
    pub fn sign(&self, request: &Request, mut order: Order, now: SystemTime) -> Result<Issued, CaError> {
        let mut notes = request.not_granted(order.usage);
        if order.subject.is_empty() {
            order.subject = request.subject.clone();
        }
        if order.names.is_empty() {
            order.names.clone_from(&request.names);
            if order.usage == Usage::Server && !order.names.iter().any(Name::is_host) {
                let name = order.subject.common_name().ok_or(CaError::NoName)?;
                let name = Name::host(&name).map_err(|_| CaError::CommonName(name))?;
                notes.push(Note::FromCommonName(name.clone()));
                order.names.push(name);
            }
        } else if !request.names.is_empty() && request.names != order.names {
            notes.push(Note::Replaced(request.names.clone()));
        }
        let mut issued = self.certify(order, &request.key, now)?;
        issued.notes.splice(0..0, notes);
        Ok(issued)
    }

    fn certify(&self, order: Order, key: &impl PublicKeyData, now: SystemTime) -> Result<Issued, CaError> {
        let Order { usage, subject, names, days } = order;
        if usage == Usage::Server && !names.iter().any(Name::is_host) {
            return Err(CaError::NoName);
        }
        if names.is_empty() && subject.is_empty() {
            return Err(CaError::Nobody);
        }
        let (now, slack) = (Date::from(now), Date::from(now - SLACK));
        if now >= self.not_after {
            return Err(CaError::Expired(self.not_after));
        }
        if now < self.not_before {
            return Err(CaError::NotYet(self.not_before));
        }
        let wanted = now.plus_days(days);
        let until = wanted.min(self.not_after);
        let notes = if until < wanted { vec![Note::Shortened(until)] } else { Vec::new() };
        let mut params = params(&subject, slack.max(self.not_before), until)?;
        for name in &names {
            params.subject_alt_names.push(name.san()?);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if *key.algorithm() == PKCS_RSA_SHA256 {
            // For clients of TLS 1.2 without forward secrecy.
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.extended_key_usages = vec![match usage {
            Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let serial = params.serial_number.as_ref().map(rcgen::SerialNumber::to_bytes).unwrap_or_default();
        let cert_pem = params.signed_by(key, &self.issuer)?.pem();
        Ok(Issued { cert_pem, entry: Entry::valid(&serial, until, subject.to_string()), notes })
    }
}

fn params(subject: &Subject, from: Date, until: Date) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject.dn().clone();
    params.not_before = from.asn1().to_datetime();
    params.not_after = until.asn1().to_datetime();
    params.serial_number = Some(serial::draw()?);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

pub(super) fn certificate(der: &[u8]) -> Result<X509Certificate<'_>, CaError> {
    let cert = X509Certificate::from_der(der);
    cert.map(|(_, cert)| cert).map_err(|_| CaError::Unreadable(pem::Kind::Certificate.name()))
}

/// What an authority's certificate lets its key do (RFC 5280 4.2.1.9 and 4.2.1.3): certify at least.
fn usages(cert: &X509Certificate<'_>) -> Result<Vec<KeyUsagePurpose>, CaError> {
    let unreadable = |_| CaError::Unreadable(pem::Kind::Certificate.name());
    match cert.basic_constraints().map_err(unreadable)? {
        None => {
            return Err(CaError::NotAuthority(
                "it has no basicConstraints; `openssl req -x509` and `ulvs ca init` make one that has",
            ));
        }
        Some(constraints) if !constraints.value.ca => {
            return Err(CaError::NotAuthority("its basicConstraints say CA:FALSE"));
        }
        Some(_) => {}
    }
    let usage = cert.key_usage().map_err(unreadable)?;
    let may = |asked: fn(&KeyUsage) -> bool| usage.as_ref().is_none_or(|usage| asked(usage.value));
    if !may(KeyUsage::key_cert_sign) {
        return Err(CaError::NotAuthority("its keyUsage lacks keyCertSign"));
    }
    let mut usages = vec![KeyUsagePurpose::KeyCertSign];
    if may(KeyUsage::crl_sign) {
        usages.push(KeyUsagePurpose::CrlSign);
    }
    Ok(usages)
}

pub(super) fn key_id(cert: &X509Certificate<'_>) -> Option<Vec<u8>> {
    cert.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

/// The authority's certificate and those after it, but those that are their own issuers.
fn chain(blocks: &[pem::Block]) -> Result<String, CaError> {
    let mut text = String::new();
    for block in blocks {
        let cert = certificate(&block.der)?;
        if cert.subject().as_raw() != cert.issuer().as_raw() {
            text = text + &block.text + "\n";
        }
    }
    Ok(text)
}
