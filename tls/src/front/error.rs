//! Why there is no front, and what is odd about one that there is.

use rustls::pki_types::pem;
use rustls::server::VerifierBuilderError;

/// Why a front cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each variant is its message.
pub enum FrontError {
    #[error("a front needs a certificate and its key")]
    NoPair,
    #[error("{file}: not readable as PEM: {source}")]
    Pem { file: String, source: pem::Error },
    #[error("{file}: no certificate in it: {way_out}")]
    NoCertificate { file: String, way_out: String },
    #[error("{file}: certificate {nth} in it is damaged: {reason}")]
    Certificate { file: String, nth: usize, reason: String },
    #[error("{file}: no private key in it: it should have a line -----BEGIN PRIVATE KEY-----")]
    NoKey { file: String },
    #[error(
        "{file}: the private key is encrypted: `openssl pkey -in {file} -out FILE` makes one that is not"
    )]
    EncryptedKey { file: String },
    #[error(
        "{file}: not a private key that can be used: give an ECDSA (P-256, P-384), RSA (2048 to 8192 bits) or Ed25519 \
         key in PEM, as `openssl genpkey` makes them"
    )]
    UnknownKey { file: String },
    #[error(
        "{key}: the private key belongs to none of the certificates in {chain}: \
         `openssl x509 -noout -pubkey -in {chain}` and `openssl pkey -pubout -in {key}` should agree"
    )]
    Mismatch { chain: String, key: String },
    #[error("{file}: the certificate of {subject} has expired ({not_after}): it has to be renewed")]
    Expired { file: String, subject: String, not_after: String },
    #[error(
        "{file}: the certificate of {subject} is not valid yet (not before {not_before}): \
         is the clock of this host right?"
    )]
    NotYetValid { file: String, subject: String, not_before: String },
    #[error("{file}: not an OCSP response: {reason}; `openssl ocsp -respout {file}` makes one")]
    Ocsp { file: String, reason: &'static str },
    #[error("{file}: certificate {nth} in it cannot be trusted as an authority: {source}")]
    Authority { file: String, nth: usize, source: rustls::Error },
    #[error("{file}: no revocation list in it: it should have a line -----BEGIN X509 CRL-----")]
    NoCrl { file: String },
    #[error("{file}: revocation list {nth} in it is damaged")]
    Crl { file: String, nth: usize },
    #[error("client certificates cannot be checked: {0}")]
    Verifier(#[from] VerifierBuilderError),
    #[error("{0:?} cannot stand in ALPN: a protocol has 1 to 255 bytes, such as http/1.1")]
    Alpn(String),
    #[error(
        "{file}: too short to make ticket keys of ({length} bytes of 32): `head -c 64 /dev/urandom > {file}`"
    )]
    ShortSecret { file: String, length: usize },
    #[error(
        "tickets cannot live {lifetime} s under keys that change every {rotation} s: keys change every minute or more \
         slowly, and tickets live 1 s to 7 days and at most for 100 changes"
    )]
    TicketTimes { lifetime: u64, rotation: u64 },
    #[error("{0:?} cannot be a server's name: give a DNS name or an address")]
    BackendName(String),
    #[error("the provider of cryptography refuses")]
    Crypto,
    #[error("rustls refuses: {0}")]
    Rustls(#[from] rustls::Error),
}

/// What its owner should know about a front that works all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // Each variant is its message.
pub enum Warning {
    #[error("{file}: the certificates are not in order: sent as server, issuer, issuer's issuer")]
    Reordered { file: String },
    #[error("{file}: {subject} issued nothing before it in the chain: sent last")]
    Unrelated { file: String, subject: String },
    #[error("{file}: the certificate of the issuer {subject} is not valid now: clients may refuse the chain")]
    IssuerNotValid { file: String, subject: String },
    #[error(
        "{file}: the certificate of {subject} comes without that of its issuer, which is to be had at {issuer}: clients \
         that do not fetch it refuse; append it (PEM) to the file"
    )]
    Alone { file: String, subject: String, issuer: String },
    #[error(
        "{file}: the certificate of {subject} has no subject alternative name: many clients refuse it (RFC 9110 4.3.4)"
    )]
    NoNames { file: String, subject: String },
    #[error(
        "{file}: the certificate of {subject} demands a stapled OCSP response (RFC 7633), and none is given"
    )]
    MustStaple { file: String, subject: String },
    #[error("{file}: never used for {name}: {other} has the same kind of key and comes first")]
    Shadowed { file: String, name: String, other: String },
    #[error(
        "{file}: no revocation list of {subject} is given: all of its client certificates will be refused"
    )]
    NoCrlOf { file: String, subject: String },
    #[error(
        "{file}: the revocation list of {issuer} should have been replaced by {next_update}: used as it is"
    )]
    OldCrl { file: String, issuer: String, next_update: String },
}
