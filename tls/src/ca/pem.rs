//! The blocks of a PEM text. What stands between them, such as the text that `openssl ca` and `openssl x509 -text` write
//! before a certificate, is passed over.

use std::io::Cursor;

use x509_parser::error::PEMError;
use x509_parser::pem::Pem;

use super::CaError;

/// What can be in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Certificate,
    Request,
    Key,
    Crl,
}

impl Kind {
    fn of(label: &str) -> Option<Self> {
        Some(match label {
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => Self::Certificate,
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Self::Request,
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => Self::Key,
            "X509 CRL" => Self::Crl,
            _ => return None,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Request => "certificate request",
            Self::Key => "private key",
            Self::Crl => "revocation list",
        }
    }

    const fn tool(self) -> &'static str {
        match self {
            Self::Certificate => "x509",
            Self::Request => "req",
            Self::Key => "pkey",
            Self::Crl => "crl",
        }
    }
}

/// A block, decoded.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) kind: Kind,
    pub(super) label: String,
    pub(super) der: Vec<u8>,
    /// As it was read, from its first dash to its last.
    pub(super) text: String,
}

/// All blocks that are of a known kind, in their order.
pub(super) fn blocks(text: &[u8]) -> Result<Vec<Block>, CaError> {
    // Its headers would be taken for base64 (RFC 1421 4.6.1.1).
    let old_encryption = b"Proc-Type: 4,ENCRYPTED";
    if text.windows(old_encryption.len()).any(|window| window == old_encryption) {
        return Err(CaError::EncryptedKey);
    }
    let mut blocks = Vec::new();
    let mut rest = text;
    loop {
        let (Pem { label, contents: der }, read) = match Pem::read(Cursor::new(rest)) {
            Ok(block) => block,
            Err(PEMError::MissingHeader) => return Ok(blocks),
            Err(_) => return Err(CaError::Damaged),
        };
        if let Some(kind) = Kind::of(&label) {
            let text = String::from_utf8_lossy(&rest[..read]);
            let text = text.rfind("-----BEGIN ").map_or("", |start| text[start..].trim_end()).to_owned();
            blocks.push(Block { kind, label, der, text });
        }
        rest = &rest[read..];
    }
}

/// All blocks of one kind: at least one.
pub(super) fn all(kind: Kind, text: &[u8]) -> Result<Vec<Block>, CaError> {
    let blocks = blocks(text)?;
    let instead = blocks.first().map(|other| format!(", but a {}", other.kind.name()));
    let blocks: Vec<_> = blocks.into_iter().filter(|block| block.kind == kind).collect();
    if blocks.is_empty() {
        let instead = instead.unwrap_or_else(|| {
            format!(
                "; if it is DER, `openssl {} -inform der -in FILE -out FILE.pem` converts it",
                kind.tool()
            )
        });
        return Err(CaError::Missing { wanted: kind.name(), instead });
    }
    Ok(blocks)
}

/// The first block of a kind.
pub(super) fn first(kind: Kind, text: &[u8]) -> Result<Block, CaError> {
    Ok(all(kind, text)?.swap_remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_among_other_text_and_damage_is_said() {
        let text = "Certificate:\n  Data: g\u{fc}ltig\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC \
                    PARAMETERS-----\n-----BEGIN EC PRIVATE KEY-----\nAQID\n-----END EC PRIVATE KEY-----\n";
        let block = first(Kind::Key, text.as_bytes()).unwrap();
        assert_eq!((block.label.as_str(), block.der.as_slice()), ("EC PRIVATE KEY", &[1, 2, 3][..]));
        let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
        assert_eq!(first(Kind::Key, &latin).unwrap().der, [1, 2, 3]);
        let key = "-----BEGIN EC PRIVATE KEY-----\nAQID\n-----END EC PRIVATE KEY-----";
        assert_eq!(block.text, key);

        let error = |kind, text: &str| first(kind, text.as_bytes()).unwrap_err().to_string();
        assert!(
            error(Kind::Certificate, text).contains("no certificate in PEM form in it, but a private key")
        );
        assert!(error(Kind::Certificate, "0\u{3}").contains("`openssl x509 -inform der "));
        for damaged in [&text[..text.len() - 40], &text.replace("AQID", "AQ*D")] {
            assert!(error(Kind::Key, damaged).contains("damaged"), "{damaged}");
        }
    }
}
