//! A certificate authority: makes itself, is kept as two PEM texts, issues certificates for servers.
//!
//! Keys are ECDSA P-256. Never touches a file: the caller decides where secrets live.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use std::time::{Duration, SystemTime};

/// Certificates are valid from an hour ago, for hosts whose clocks are a little behind.
const SLACK: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A text is not the PEM of a CA certificate or of its key.
    #[error("this is not a certificate authority's certificate and key: {0}")]
    Unreadable(#[source] rcgen::Error),
    /// A name cannot stand in a certificate.
    #[error("{name:?} cannot stand in a certificate: give a DNS name or an IP address")]
    Name {
        /// The name.
        name: String,
    },
    /// A certificate needs a name.
    #[error("a certificate needs at least one DNS name or IP address")]
    NoName,
    /// The cryptographic library refused.
    #[error("cannot make the certificate: {0}")]
    Crypto(#[from] rcgen::Error),
}

/// A certificate and its private key, as PEM texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub cert_pem: String,
    /// Its private key (PKCS #8): a secret.
    pub key_pem: String,
}

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: Issued,
}

impl Authority {
    /// Makes a new authority called `name`, valid for `days` days from `now`.
    pub fn create(name: &str, days: u32, now: SystemTime) -> Result<Self, CaError> {
        let mut params = params(name, days, now);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = Issued { cert_pem: params.self_signed(&key)?.pem(), key_pem: key.serialize_pem() };
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The authority that was kept as these texts.
    pub fn load(pem: Issued) -> Result<Self, CaError> {
        let key = KeyPair::from_pem(&pem.key_pem).map_err(CaError::Unreadable)?;
        let issuer = Issuer::from_ca_cert_pem(&pem.cert_pem, key).map_err(CaError::Unreadable)?;
        Ok(Self { issuer, pem })
    }

    /// Its own certificate and key.
    pub const fn pem(&self) -> &Issued {
        &self.pem
    }

    /// Issues a certificate for a server with these DNS names and IP addresses, valid for `days` days from `now`.
    pub fn issue(&self, names: &[String], days: u32, now: SystemTime) -> Result<Issued, CaError> {
        let first = names.first().ok_or(CaError::NoName)?;
        let mut params = params(first, days, now);
        for name in names {
            let san =
                CertificateParams::new([name.clone()]).map_err(|_| CaError::Name { name: name.clone() })?;
            params.subject_alt_names.extend(san.subject_alt_names);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok(Issued { cert_pem: params.signed_by(&key, &self.issuer)?.pem(), key_pem: key.serialize_pem() })
    }
}

fn params(name: &str, days: u32, now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (now - SLACK).into();
    params.not_after = (now + DAY * days).into();
    params
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    /// What openssl thinks of a server's certificate.
    fn openssl_verifies(ca: &Issued, server: &Issued, name: &str) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let (ca_file, file) = (dir.path().join("ca.pem"), dir.path().join("server.pem"));
        std::fs::write(&ca_file, &ca.cert_pem).unwrap();
        std::fs::write(&file, &server.cert_pem).unwrap();
        let kind = if name.parse::<std::net::IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" };
        let mut openssl = Command::new("openssl");
        openssl.args(["verify", "-x509_strict", "-purpose", "sslserver", kind, name, "-CAfile"]);
        openssl.arg(ca_file).arg(file).output().expect("openssl is installed").status.success()
    }

    #[test]
    fn openssl_accepts_what_it_issues_for_the_names_it_holds() {
        let now = SystemTime::now();
        let ca = Authority::create("ca.example", 365, now).unwrap();
        let server = ca.issue(&names(&["www.example", "10.0.0.1", "fd00::1"]), 30, now).unwrap();
        for name in ["www.example", "10.0.0.1", "fd00::1"] {
            assert!(openssl_verifies(ca.pem(), &server, name), "{name}");
        }
        assert!(!openssl_verifies(ca.pem(), &server, "other.example"));
        let stranger = Authority::create("ca.example", 365, now).unwrap();
        assert!(!openssl_verifies(stranger.pem(), &server, "www.example"));
    }

    #[test]
    fn an_authority_that_was_kept_goes_on_issuing() {
        let now = SystemTime::now();
        let ca = Authority::create("ca.example", 365, now).unwrap();
        let again = Authority::load(ca.pem().clone()).unwrap();
        let server = again.issue(&names(&["www.example"]), 30, now).unwrap();
        assert!(openssl_verifies(ca.pem(), &server, "www.example"));
    }

    #[test]
    fn what_is_no_name_or_no_authority_is_refused() {
        let now = SystemTime::now();
        let ca = Authority::create("ca.example", 365, now).unwrap();
        assert!(matches!(ca.issue(&[], 30, now), Err(CaError::NoName)));
        assert!(matches!(ca.issue(&names(&["größe"]), 30, now), Err(CaError::Name { .. })));
        let nonsense = Issued { cert_pem: "nonsense".to_owned(), key_pem: "nonsense".to_owned() };
        assert!(matches!(Authority::load(nonsense), Err(CaError::Unreadable(_))));
    }
}
