//! A certificate request (PKCS #10, RFC 2986): who asks for a certificate, and proves to have the key.

use rcgen::SubjectPublicKeyInfo;
use x509_parser::asn1_rs::Oid;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::error::X509Error;
use x509_parser::extensions::{GeneralName, X509Extension};
use x509_parser::objects::{oid_registry, oid2sn};
use x509_parser::prelude::{FromDer as _, ParsedExtension};
use x509_parser::public_key::PublicKey;

use super::{CaError, Name, Note, Subject, Usage, key, pem};

/// The attribute that `openssl req` calls an optional company name: it says nothing that a certificate could.
const UNSTRUCTURED_NAME: &str = "1.2.840.113549.1.9.2";

/// A request whose signature is right.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) subject: Subject,
    pub(super) key: SubjectPublicKeyInfo,
    pub(super) names: Vec<Name>,
    server: bool,
    client: bool,
    /// What is asked for and never granted.
    extra: Vec<String>,
}

impl Request {
    /// Reads it and checks its signature.
    pub fn read(text: &[u8]) -> Result<Self, CaError> {
        Self::from_der(&pem::first(pem::Kind::Request, text)?.der)
    }

    pub(super) fn from_der(der: &[u8]) -> Result<Self, CaError> {
        let request = parse(der)?;
        check(&request)?;
        let info = &request.certification_request_info;
        let key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw).map_err(|_| CaError::KeyKind)?;
        let subject = Subject::try_from(&info.subject)?;
        let mut this =
            Self { subject, key, names: Vec::new(), server: false, client: false, extra: Vec::new() };
        for attribute in info.iter_attributes() {
            match attribute.parsed_attribute() {
                ParsedCriAttribute::ChallengePassword(_) => {}
                ParsedCriAttribute::ExtensionRequest(asked) => {
                    for extension in &asked.extensions {
                        this.take(extension)?;
                    }
                }
                ParsedCriAttribute::UnsupportedAttribute => {
                    let oid = attribute.oid.to_id_string();
                    if oid != UNSTRUCTURED_NAME {
                        this.extra.push(format!("the attribute {oid}"));
                    }
                }
            }
        }
        Ok(this)
    }

    fn take(&mut self, extension: &X509Extension<'_>) -> Result<(), CaError> {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    match read_name(name)? {
                        Some(name) => self.names.push(name),
                        None => self.extra.push(format!("a name of another kind ({name})")),
                    }
                }
            }
            ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
                self.extra.push("being an authority (CA:TRUE)".to_owned());
            }
            // The identifier is ours to compute.
            ParsedExtension::BasicConstraints(_) | ParsedExtension::SubjectKeyIdentifier(_) => {}
            ParsedExtension::KeyUsage(usage) => {
                let signing = [(usage.key_cert_sign(), "keyCertSign"), (usage.crl_sign(), "cRLSign")];
                self.extra.extend(
                    signing
                        .iter()
                        .filter(|(asked, _)| *asked)
                        .map(|(_, name)| format!("the key usage {name}")),
                );
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                self.server |= usage.server_auth;
                self.client |= usage.client_auth;
                let others = [
                    (usage.any, "anyExtendedKeyUsage"),
                    (usage.code_signing, "codeSigning"),
                    (usage.email_protection, "emailProtection"),
                    (usage.time_stamping, "timeStamping"),
                    (usage.ocsp_signing, "OCSPSigning"),
                ];
                let known = others.iter().filter(|(asked, _)| *asked).map(|(_, name)| (*name).to_owned());
                let others = known.chain(usage.other.iter().map(name_of));
                self.extra.extend(others.map(|name| format!("the extended key usage {name}")));
            }
            _ => self.extra.push(format!("the extension {}", name_of(&extension.oid))),
        }
        Ok(())
    }

    /// What it asks for and a certificate for this use does not give.
    pub(super) fn not_granted(&self, usage: Usage) -> Vec<Note> {
        let usages = [
            (self.client && usage == Usage::Server, "the extended key usage clientAuth"),
            (self.server && usage == Usage::Client, "the extended key usage serverAuth"),
        ];
        let usages = usages.iter().filter(|(asked, _)| *asked).map(|(_, name)| (*name).to_owned());
        usages.chain(self.extra.iter().cloned()).map(Note::NotGranted).collect()
    }
}

pub(super) fn parse(der: &[u8]) -> Result<X509CertificationRequest<'_>, CaError> {
    let request = X509CertificationRequest::from_der(der);
    request.map(|(_, request)| request).map_err(|_| CaError::Unreadable(pem::Kind::Request.name()))
}

/// Whether the one who asks has the key (RFC 2986 4.2), and a key worth certifying.
pub(super) fn check(request: &X509CertificationRequest<'_>) -> Result<(), CaError> {
    let spki = &request.certification_request_info.subject_pki;
    if let Ok(PublicKey::RSA(rsa)) = spki.parsed()
        && !(2048..=8192).contains(&rsa.key_size())
    {
        return Err(CaError::KeyKind);
    }
    request.verify_signature().map_err(|error| match error {
        X509Error::SignatureUnsupportedAlgorithm => CaError::RequestAlgorithm(format!(
            "{} with a key {}",
            name_of(&request.signature_algorithm.algorithm),
            key::describe(spki.raw)
        )),
        _ => CaError::RequestSignature,
    })
}

/// A name that can be taken over: of a kind that is known, and well formed.
fn read_name(name: &GeneralName<'_>) -> Result<Option<Name>, CaError> {
    Ok(Some(match name {
        GeneralName::DNSName(name) => Name::dns(name)?,
        GeneralName::RFC822Name(name) => Name::email(name)?,
        GeneralName::URI(name) if name.bytes().all(|b| b.is_ascii_graphic()) => Name::Uri((*name).to_owned()),
        GeneralName::IPAddress(octets) => match address(octets) {
            Some(name) => name,
            None => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

pub(super) fn address(octets: &[u8]) -> Option<Name> {
    let four = <[u8; 4]>::try_from(octets).map(std::net::IpAddr::from);
    let ip = four.or_else(|_| <[u8; 16]>::try_from(octets).map(std::net::IpAddr::from));
    ip.ok().map(Name::Ip)
}

/// What openssl calls it, or its number.
pub(super) fn name_of(oid: &Oid<'_>) -> String {
    oid2sn(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned)
}
