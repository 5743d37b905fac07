//! Why there is no certificate. The caller knows the file and says it before these words.

use super::{BadName, Date};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// There is no such block of PEM in a text.
    #[error("there is no {wanted} in PEM form in it{instead}")]
    Missing {
        /// What was looked for.
        wanted: &'static str,
        /// What is there instead, or how it can be converted: words that follow.
        instead: String,
    },
    /// A block of PEM does not end, or is not base64.
    #[error("it is damaged: a block of PEM in it cannot be decoded")]
    Damaged,
    /// What is in the PEM is not what its label says.
    #[error("the {0} in it cannot be read")]
    Unreadable(&'static str),
    /// A key with a passphrase.
    #[error("the key is encrypted: take the passphrase off with `openssl pkey -in FILE -out NEWFILE`")]
    EncryptedKey,
    /// A key of another kind.
    #[error(
        "the key is of a kind that is not used here: take RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519"
    )]
    KeyKind,
    /// Two files that do not belong together.
    #[error("the key is not the key of the certificate: take the one that it was made with")]
    OtherKey,
    /// A certificate that may not sign others.
    #[error("the certificate is not that of an authority: {0}")]
    NotAuthority(&'static str),
    /// The authority has ended.
    #[error("the authority's certificate has expired on {0}: make another authority")]
    Expired(Date),
    /// The authority has not begun.
    #[error("the authority's certificate is not valid before {0}: is the clock right?")]
    NotYet(Date),
    /// Not the subject's own request.
    #[error(
        "the signature of the request is wrong: it was damaged, or is not made with the key that it names"
    )]
    RequestSignature,
    /// A signature that cannot be checked.
    #[error("the signature of the request is of a kind that cannot be checked here: {0}")]
    RequestAlgorithm(String),
    /// A name that cannot stand in a certificate.
    #[error(transparent)]
    Name(#[from] BadName),
    /// Nothing to issue a certificate for.
    #[error("a server's certificate needs a DNS name or an IP address")]
    NoName,
    /// Nobody to issue a certificate for.
    #[error("a client's certificate needs a common name, an e-mail address, a DNS name or an IP address")]
    Nobody,
    /// A common name that is no name of a server.
    #[error(
        "the request names no DNS name and no IP address, and its common name, {0:?}, is neither: say which names the \
         server has"
    )]
    CommonName(String),
    /// A subject that cannot be written or repeated.
    #[error("the subject cannot be used: {0}")]
    Subject(String),
    /// A line that is none of the index.
    #[error("line {line}: {what}")]
    Index {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Someone else's certificate.
    #[error("the certificate was issued by {0}, not by this authority")]
    NotOurs(String),
    /// A list that is signed with what it revokes.
    #[error("an authority cannot revoke itself: make another one, and have its clients forget this")]
    Itself,
    /// It is on the list already.
    #[error("the certificate was revoked on {0} already")]
    Revoked(Date),
    /// The cryptographic library refused.
    #[error("the cryptographic library refuses: {0}")]
    Crypto(#[from] rcgen::Error),
    /// There was no randomness.
    #[error("the system gives no random bytes")]
    Randomness,
}
