//! Private keys: made, and read as openssl writes them (PKCS #8, PKCS #1, SEC 1).

use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::pki_types::PrivateKeyDer;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo};
use x509_parser::public_key::PublicKey;

use super::{CaError, pem};

/// The kinds of keys that are made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Small and fast, understood by every client: the one to take.
    EcdsaP256,
    /// Its larger relative.
    EcdsaP384,
    /// For clients of another age.
    Rsa2048,
    /// Four times as slow to sign as the shorter one.
    Rsa4096,
    /// Not understood by browsers.
    Ed25519,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::EcdsaP256, Self::EcdsaP384, Self::Rsa2048, Self::Rsa4096, Self::Ed25519];

    /// What users call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa4096 => "rsa-4096",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The kind that users call so.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(super) fn generate(self) -> Result<KeyPair, CaError> {
        Ok(match self {
            Self::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
            Self::EcdsaP384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?,
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?,
            Self::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096)?,
            Self::Ed25519 => without_public_key(&KeyPair::generate_for(&PKCS_ED25519)?)?,
        })
    }
}

/// What comes before the 32 octets of a private key of Ed25519 in PKCS #8, version 1 (RFC 8410 7).
const ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The same key in the older form: the newer, which holds the public key too (RFC 5958), openssl 3.0 does not read.
fn without_public_key(key: &KeyPair) -> Result<KeyPair, CaError> {
    let start = ED25519.len();
    let secret = key.serialized_der().get(start..start + 32).ok_or(CaError::KeyKind)?;
    let der = [&ED25519[..], secret].concat();
    let older = KeyPair::try_from(&PrivateKeyDer::Pkcs8(der.into()))?;
    if older.public_key_raw() == key.public_key_raw() { Ok(older) } else { Err(CaError::KeyKind) }
}

/// A private key.
#[derive(Debug)]
pub struct Key(pub(super) KeyPair);

impl Key {
    /// The first key of a PEM text.
    pub fn read(text: &[u8]) -> Result<Self, CaError> {
        from_block(&pem::first(pem::Kind::Key, text)?).map(Self)
    }
}

pub(super) fn from_block(block: &pem::Block) -> Result<KeyPair, CaError> {
    let der = block.der.as_slice();
    let der = match block.label.as_str() {
        "PRIVATE KEY" => PrivateKeyDer::Pkcs8(der.into()),
        "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(der.into()),
        "EC PRIVATE KEY" => PrivateKeyDer::Sec1(der.into()),
        _ => return Err(CaError::EncryptedKey),
    };
    KeyPair::try_from(&der).map_err(|_| CaError::KeyKind)
}

/// Algorithm and size, for people. The argument is a SubjectPublicKeyInfo.
pub(super) fn describe(spki: &[u8]) -> String {
    let Ok((_, spki)) = SubjectPublicKeyInfo::from_der(spki) else { return "unreadable".to_owned() };
    let algorithm = spki.algorithm.algorithm.to_id_string();
    let curve =
        spki.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| oid.to_id_string());
    match (algorithm.as_str(), curve.as_deref(), spki.parsed()) {
        (_, _, Ok(PublicKey::RSA(key))) => format!("RSA {}", key.key_size()),
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7"), _) => "ECDSA P-256".to_owned(),
        ("1.2.840.10045.2.1", Some("1.3.132.0.34"), _) => "ECDSA P-384".to_owned(),
        ("1.2.840.10045.2.1", Some("1.3.132.0.35"), _) => "ECDSA P-521".to_owned(),
        ("1.2.840.10045.2.1", Some(curve), _) => format!("ECDSA on {curve}"),
        ("1.3.101.112", ..) => "Ed25519".to_owned(),
        ("1.3.101.113", ..) => "Ed448".to_owned(),
        _ => format!("algorithm {algorithm}"),
    }
}
