//! What is in a PEM text, for people: certificates, requests, keys, revocation lists.

use rcgen::PublicKeyData as _;
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, X509Extension};
use x509_parser::prelude::{AlgorithmIdentifier, FromDer as _, ParsedExtension};
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::ReasonCode;

use super::authority::{certificate, key_id};
use super::pem::{Block, Kind};
use super::request::{address, check, name_of, parse};
use super::{CaError, Date, Name, Reason, key, pem, serial};

/// One block of a text.
#[derive(Clone, Debug)]
pub enum Item {
    /// A certificate.
    Certificate(Box<CertificateView>),
    /// A request.
    Request(Box<RequestView>),
    /// A private key, of which nothing secret is said.
    Key(KeyView),
    /// A revocation list.
    Crl(CrlView),
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Algorithm and size.
    pub kind: String,
    /// SHA-256 of the SubjectPublicKeyInfo: the same for a key, its request and its certificate.
    pub sha256: String,
}

/// What extensions say of the subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Its names: `DNS:www.ilinux.io`.
    pub names: Vec<String>,
    /// Whether it is an authority.
    pub ca: bool,
    /// What the key may do.
    pub key_usage: Vec<&'static str>,
    /// What the certificate is for.
    pub extended_key_usage: Vec<String>,
}

/// A certificate.
#[derive(Clone, Debug)]
pub struct CertificateView {
    /// Who for.
    pub subject: String,
    /// Who from.
    pub issuer: String,
    /// Whether these two are the same.
    pub self_issued: bool,
    /// Hexadecimal digits.
    pub serial: String,
    /// Valid from.
    pub not_before: Date,
    /// Valid until.
    pub not_after: Date,
    /// Its key.
    pub key: KeyView,
    /// How it is signed.
    pub signature: String,
    /// Names and usages.
    pub extensions: Extensions,
    /// The subject key identifier.
    pub key_id: Option<String>,
    /// The authority key identifier.
    pub authority_key_id: Option<String>,
    /// Its SHA-256.
    pub sha256: String,
}

/// A request.
#[derive(Clone, Debug)]
pub struct RequestView {
    /// Who asks.
    pub subject: String,
    /// The key.
    pub key: KeyView,
    /// How it is signed.
    pub signature: String,
    /// What is wrong with that, if something is.
    pub wrong: Option<String>,
    /// What it asks for.
    pub extensions: Extensions,
}

/// A revocation list.
#[derive(Clone, Debug)]
pub struct CrlView {
    /// Who from.
    pub issuer: String,
    /// Which one it is.
    pub number: Option<String>,
    /// Since when.
    pub this_update: Date,
    /// Until when.
    pub next_update: Option<Date>,
    /// How it is signed.
    pub signature: String,
    /// The serial numbers, when, and why if that is said.
    pub revoked: Vec<(String, Date, Option<String>)>,
}

/// Everything that is in a text, in its order; at least one item.
pub fn items(text: &[u8]) -> Result<Vec<Item>, CaError> {
    let blocks = pem::blocks(text)?;
    if blocks.is_empty() {
        let wanted = "certificate, request, key or revocation list";
        return Err(CaError::Missing { wanted, instead: String::new() });
    }
    blocks.iter().map(item).collect()
}

pub(super) fn item(block: &Block) -> Result<Item, CaError> {
    Ok(match block.kind {
        Kind::Certificate => {
            Item::Certificate(Box::new(certificate_view(&certificate(&block.der)?, &block.der)))
        }
        Kind::Request => Item::Request(Box::new(request_view(&parse(&block.der)?))),
        Kind::Key => Item::Key(key_view(&key::from_block(block)?.subject_public_key_info())),
        Kind::Crl => {
            let crl = CertificateRevocationList::from_der(&block.der);
            Item::Crl(crl_view(&crl.map_err(|_| CaError::Unreadable(Kind::Crl.name()))?.1))
        }
    })
}

fn certificate_view(cert: &X509Certificate<'_>, der: &[u8]) -> CertificateView {
    let authority_key_id = cert.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| colons(id.0)),
        _ => None,
    });
    CertificateView {
        subject: cert.subject().to_string(),
        issuer: cert.issuer().to_string(),
        self_issued: cert.subject().as_raw() == cert.issuer().as_raw(),
        serial: serial::hex(cert.raw_serial()),
        not_before: cert.validity().not_before.into(),
        not_after: cert.validity().not_after.into(),
        key: key_view(cert.public_key().raw),
        signature: signature(&cert.signature_algorithm),
        extensions: extensions(cert.extensions()),
        key_id: key_id(cert).map(|id| colons(&id)),
        authority_key_id,
        sha256: colons(&Sha256::digest(der)),
    }
}

fn request_view(request: &X509CertificationRequest<'_>) -> RequestView {
    use x509_parser::cri_attributes::ParsedCriAttribute::ExtensionRequest;
    let info = &request.certification_request_info;
    let asked = info.iter_attributes().find_map(|attribute| match attribute.parsed_attribute() {
        ExtensionRequest(asked) => Some(extensions(&asked.extensions)),
        _ => None,
    });
    RequestView {
        subject: info.subject.to_string(),
        key: key_view(info.subject_pki.raw),
        signature: signature(&request.signature_algorithm),
        wrong: check(request).err().map(|error| error.to_string()),
        extensions: asked.unwrap_or_default(),
    }
}

fn crl_view(crl: &CertificateRevocationList<'_>) -> CrlView {
    let revoked = crl.iter_revoked_certificates().map(|revoked| {
        let reason = revoked.reason_code().map(|(_, code)| reason(code));
        (serial::hex(revoked.raw_serial()), revoked.revocation_date.into(), reason)
    });
    CrlView {
        issuer: crl.issuer().to_string(),
        number: crl.crl_number().map(ToString::to_string),
        this_update: crl.last_update().into(),
        next_update: crl.next_update().map(Into::into),
        signature: signature(&crl.signature_algorithm),
        revoked: revoked.collect(),
    }
}

/// What openssl calls it.
fn reason(code: ReasonCode) -> String {
    let known = Reason::ALL.into_iter().find(|reason| reason.code() as u8 == code.0);
    known.map_or_else(|| code.to_string(), |reason| reason.name().to_owned())
}

fn key_view(spki: &[u8]) -> KeyView {
    KeyView { kind: key::describe(spki), sha256: colons(&Sha256::digest(spki)) }
}

fn signature(algorithm: &AlgorithmIdentifier<'_>) -> String {
    name_of(&algorithm.algorithm)
}

fn extensions(all: &[X509Extension<'_>]) -> Extensions {
    let mut said = Extensions::default();
    for extension in all {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                said.names = names.general_names.iter().map(name).collect();
            }
            ParsedExtension::BasicConstraints(constraints) => said.ca = constraints.ca,
            ParsedExtension::KeyUsage(usage) => {
                let flags = [
                    (usage.digital_signature(), "digitalSignature"),
                    (usage.non_repudiation(), "nonRepudiation"),
                    (usage.key_encipherment(), "keyEncipherment"),
                    (usage.data_encipherment(), "dataEncipherment"),
                    (usage.key_agreement(), "keyAgreement"),
                    (usage.key_cert_sign(), "keyCertSign"),
                    (usage.crl_sign(), "cRLSign"),
                    (usage.encipher_only(), "encipherOnly"),
                    (usage.decipher_only(), "decipherOnly"),
                ];
                said.key_usage = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let flags = [
                    (usage.any, "anyExtendedKeyUsage"),
                    (usage.server_auth, "serverAuth"),
                    (usage.client_auth, "clientAuth"),
                    (usage.code_signing, "codeSigning"),
                    (usage.email_protection, "emailProtection"),
                    (usage.time_stamping, "timeStamping"),
                    (usage.ocsp_signing, "OCSPSigning"),
                ];
                let known = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned());
                said.extended_key_usage = known.chain(usage.other.iter().map(name_of)).collect();
            }
            _ => {}
        }
    }
    said
}

/// As they are, well formed or not.
fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(text) => Name::Dns((*text).to_owned()).to_string(),
        GeneralName::RFC822Name(text) => Name::Email((*text).to_owned()).to_string(),
        GeneralName::URI(text) => Name::Uri((*text).to_owned()).to_string(),
        GeneralName::IPAddress(octets) => {
            address(octets).map_or_else(|| name.to_string(), |ip| ip.to_string())
        }
        _ => name.to_string(),
    }
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":")
}
