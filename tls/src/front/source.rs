//! Files as they come in: a content and the name that messages call it by. Nothing here opens one.

use std::fmt;

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::FrontError;

/// A file's content and its name.
#[derive(Clone)]
pub struct Source {
    /// What messages call it: its path, as its owner wrote it.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The content may be a secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.bytes.len())
    }
}

impl Source {
    /// All certificates in it, as they stand, at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, FrontError> {
        let certificates: Vec<_> =
            self.sections()?.filter(SectionKind::Certificate).map(Into::into).collect();
        if certificates.is_empty() {
            let way_out = if self.bytes.first() == Some(&DER_SEQUENCE) {
                format!(
                    "it looks like DER: `openssl x509 -inform der -in {} -out FILE` makes PEM of it",
                    self.name
                )
            } else {
                "it should have a line -----BEGIN CERTIFICATE-----".to_owned()
            };
            return Err(FrontError::NoCertificate { file: self.name.clone(), way_out });
        }
        Ok(certificates)
    }

    /// All private keys in it, at least one.
    pub(super) fn keys(&self) -> Result<Vec<PrivateKeyDer<'static>>, FrontError> {
        // Before all else: a PEM reader passes over what is encrypted, or stumbles over its headers.
        if ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"].iter().any(|mark| self.has(mark)) {
            return Err(FrontError::EncryptedKey { file: self.name.clone() });
        }
        let keys: Vec<_> = self
            .sections()?
            .0
            .into_iter()
            .filter_map(|(kind, der)| PrivateKeyDer::from_pem(kind, der))
            .collect();
        match keys.is_empty() {
            true if self.has(" PRIVATE KEY-----") => Err(FrontError::UnknownKey { file: self.name.clone() }),
            true => Err(FrontError::NoKey { file: self.name.clone() }),
            false => Ok(keys),
        }
    }

    /// All revocation lists in it, at least one.
    pub(super) fn crls(&self) -> Result<Vec<Vec<u8>>, FrontError> {
        let crls: Vec<_> = self.sections()?.filter(SectionKind::Crl).collect();
        if crls.is_empty() { Err(FrontError::NoCrl { file: self.name.clone() }) } else { Ok(crls) }
    }

    fn sections(&self) -> Result<Sections, FrontError> {
        let mut rest = self.bytes.as_slice();
        let mut sections = Vec::new();
        while let Some(section) =
            pem::from_buf(&mut rest).map_err(|e| FrontError::Pem { file: self.name.clone(), source: e })?
        {
            sections.push(section);
        }
        Ok(Sections(sections))
    }

    fn has(&self, mark: &str) -> bool {
        self.bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
    }
}

/// The first byte of everything that is DER here.
pub(super) const DER_SEQUENCE: u8 = 0x30;

/// What a PEM file holds, decoded.
struct Sections(Vec<(SectionKind, Vec<u8>)>);

impl Sections {
    fn filter(self, wanted: SectionKind) -> impl Iterator<Item = Vec<u8>> {
        self.0.into_iter().filter(move |(kind, _)| *kind == wanted).map(|(_, der)| der)
    }
}
