//! Certificates of clients (mTLS): who is asked for one, and whose are accepted.
//!
//! With revocation lists each certificate of a client's chain has to be on a list's authority's books: a client whose
//! issuer has no list is refused, as nginx and HAProxy do it. A list that should have been replaced still counts.
//!
//! Nobody is verified again who comes with a ticket: a certificate that has expired since may be used until the ticket
//! dies. One that has been revoked may not: a new list is a new [`Verification::digest`], and makes tickets worthless.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::certificate::parsed;
use super::error::{FrontError, Warning};
use super::source::Source;
use super::subject::{rfc4514, sha256};
use crate::provider::provider;

/// Whether clients are asked for a certificate.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// No.
    #[default]
    Off,
    /// Yes, and those that have none are served too. A certificate that is not accepted ends the handshake.
    Optional(Authorities),
    /// Yes, and those that have none are refused.
    Required(Authorities),
}

/// Whose certificates of clients are accepted.
#[derive(Clone, Debug)]
pub struct Authorities {
    /// Certificates of authorities, PEM.
    pub ca: Source,
    /// What they have revoked, PEM.
    pub crls: Vec<Source>,
}

/// How clients are verified, and what stands for all of it: the same for the same authorities, lists and policy.
pub(super) struct Verification {
    pub verifier: Arc<dyn ClientCertVerifier>,
    pub digest: [u8; 32],
}

impl ClientCertificates {
    pub(super) fn verification(
        &self,
        now: SystemTime,
        warnings: &mut Vec<Warning>,
    ) -> Result<Verification, FrontError> {
        let (policy, authorities) = match self {
            Self::Off => {
                let verifier = WebPkiClientVerifier::no_client_auth();
                return Ok(Verification { verifier, digest: sha256(&[b"off"]) });
            }
            Self::Optional(authorities) => (b"optional".as_slice(), authorities),
            Self::Required(authorities) => (b"required".as_slice(), authorities),
        };
        let file = &authorities.ca.name;
        let ders = authorities.ca.certificates()?;
        let mut roots = RootCertStore::empty();
        for (nth, der) in ders.iter().enumerate() {
            roots.add(der.clone()).map_err(|source| FrontError::Authority {
                file: file.clone(),
                nth: nth + 1,
                source,
            })?;
        }
        let crls = authorities.lists(now, warnings)?;
        if !crls.is_empty() {
            for certificate in parsed(file, &ders)? {
                if !crls.iter().any(|crl| crl.issuer == certificate.subject().as_raw()) {
                    let subject = rfc4514(certificate.subject());
                    warnings.push(Warning::NoCrlOf { file: file.clone(), subject });
                }
            }
        }

        // In whatever order directors have been given them.
        let mut digests: Vec<_> = ders.iter().map(|der| sha256(&[b"ca", der])).collect();
        digests.extend(crls.iter().map(|crl| sha256(&[b"crl", &crl.der])));
        digests.sort_unstable();
        let digest = sha256(&[policy, &digests.concat()]);

        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .with_crls(crls.into_iter().map(|crl| crl.der.into()));
        let builder = match self {
            Self::Optional(_) => builder.allow_unauthenticated(),
            _ => builder,
        };
        Ok(Verification { verifier: builder.build()?, digest })
    }
}

struct Crl {
    /// The issuer's name as it is encoded.
    issuer: Vec<u8>,
    der: Vec<u8>,
}

impl Authorities {
    fn lists(&self, now: SystemTime, warnings: &mut Vec<Warning>) -> Result<Vec<Crl>, FrontError> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut lists = Vec::new();
        for file in &self.crls {
            for (nth, der) in file.crls()?.into_iter().enumerate() {
                let Ok(([], crl)) = CertificateRevocationList::from_der(&der) else {
                    return Err(FrontError::Crl { file: file.name.clone(), nth: nth + 1 });
                };
                if let Some(next) = crl.next_update().filter(|next| next.timestamp() < now.cast_signed()) {
                    warnings.push(Warning::OldCrl {
                        file: file.name.clone(),
                        issuer: rfc4514(crl.issuer()),
                        next_update: next.to_string(),
                    });
                }
                let issuer = crl.issuer().as_raw().to_vec();
                lists.push(Crl { issuer, der });
            }
        }
        Ok(lists)
    }
}
