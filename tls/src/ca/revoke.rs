//! Revocation lists (RFC 5280 5).

use std::time::SystemTime;

use rcgen::{CertificateRevocationListParams, KeyUsagePurpose, RevokedCertParams, SerialNumber};
use x509_parser::error::X509Error;

use super::authority::certificate;
use super::{Authority, CaError, Date, Entry, Index, Status, Subject, pem, serial};

/// A list that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// The list.
    pub pem: String,
    /// When there should be another one.
    pub next_update: Date,
}

impl Authority {
    /// The list of what the index says is revoked, with this number (a higher one than all before), for so many days.
    pub fn crl(&self, index: &Index, number: u64, days: u32, now: SystemTime) -> Result<Crl, CaError> {
        if !self.issuer.key_usages().contains(&KeyUsagePurpose::CrlSign) {
            return Err(CaError::NotAuthority(
                "its keyUsage lacks cRLSign, without which it can revoke nothing",
            ));
        }
        let now = Date::from(now);
        let next_update = now.plus_days(days);
        let revoked = index.entries().filter_map(|entry| match entry.status {
            Status::Revoked(date, reason) => Some(RevokedCertParams {
                serial_number: SerialNumber::from(serial::from_hex(&entry.serial)?),
                revocation_time: date.asn1().to_datetime(),
                reason_code: Some(reason.code()),
                invalidity_date: None,
            }),
            _ => None,
        });
        let params = CertificateRevocationListParams {
            this_update: now.asn1().to_datetime(),
            next_update: next_update.asn1().to_datetime(),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: self.key_id.clone(),
        };
        Ok(Crl { pem: params.signed_by(&self.issuer)?.pem()?, next_update })
    }

    /// The entry of a certificate that this authority has issued, to revoke it by.
    pub fn entry(&self, cert_pem: &[u8]) -> Result<Entry, CaError> {
        let block = pem::first(pem::Kind::Certificate, cert_pem)?;
        if block.der == self.der {
            return Err(CaError::Itself);
        }
        let (cert, ours) = (certificate(&block.der)?, certificate(&self.der)?);
        // Signatures on P-521 cannot be checked here: then the name has to do.
        let forged = || {
            let result = cert.verify_signature(Some(ours.public_key()));
            result.is_err_and(|error| error != X509Error::SignatureUnsupportedAlgorithm)
        };
        if cert.issuer().as_raw() != ours.subject().as_raw() || forged() {
            return Err(CaError::NotOurs(cert.issuer().to_string()));
        }
        // One that cannot be written again can be revoked all the same.
        let subject = Subject::try_from(cert.subject());
        let subject = subject.map_or_else(|_| cert.subject().to_string(), |subject| subject.to_string());
        Ok(Entry::valid(cert.raw_serial(), cert.validity().not_after.into(), subject))
    }
}
