//! Who a certificate speaks of: distinguished names as text (RFC 4514), fingerprints, a client's identity.
//!
//! The text holds printable ASCII and nothing else: it goes into logs and HTTP headers as it is.

use std::fmt::{self, Write};

use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, Tag, ToDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::provider::primitives::digest;

/// The SHA-256 of a certificate. Shown as openssl shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(certificate: &[u8]) -> Self {
        Self(sha256(&[certificate]))
    }

    /// The first eight bytes as hexadecimal digits: enough to tell one's own certificates apart.
    pub fn short(&self) -> String {
        self.0[..8].iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(i, byte)| write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" }))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// SHA-256 of the parts, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The client at the other end of a session, by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// Its distinguished name (RFC 4514), printable ASCII.
    pub subject: String,
    /// Its certificate's fingerprint.
    pub fingerprint: Fingerprint,
}

impl ClientIdentity {
    /// Reads the chain that rustls has verified (`peer_certificates`).
    pub fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let first = chain.first()?;
        let (_, certificate) = X509Certificate::from_der(first).ok()?;
        Some(Self { subject: rfc4514(certificate.subject()), fingerprint: Fingerprint::of(first) })
    }
}

/// A name as text: the last part first, as RFC 4514 section 2.1 wants it.
pub(super) fn rfc4514(name: &X509Name<'_>) -> String {
    let parts: Vec<_> =
        name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// Short names of RFC 4514 section 3, and two that openssl has besides.
const TYPES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let known = TYPES.iter().find(|(known, _)| *known == oid);
    match (known, text(attribute.attr_value())) {
        (Some((_, short)), Some(value)) => format!("{short}={}", escaped(&value)),
        // Section 2.4: a type without a short name, or a value that is no text, is spelled in hexadecimal.
        (known, _) => {
            let mut out = format!("{}=#", known.map_or(oid.as_str(), |(_, short)| short));
            for byte in attribute.attr_value().to_der_vec().unwrap_or_default() {
                let _ = write!(out, "{byte:02X}");
            }
            out
        }
    }
}

/// A value of any of the string types that names are made of.
fn text(value: &Any<'_>) -> Option<String> {
    let bytes: &[u8] = value.data;
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            String::from_utf8(bytes.to_vec()).ok()
        }
        Tag::T61String => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString if bytes.len().is_multiple_of(2) => {
            let units: Vec<_> = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// RFC 4514 section 2.4. All that is not printable ASCII goes as `\XX`, byte by byte of its UTF-8.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (i, byte) in value.bytes().enumerate() {
        let at_an_end = byte == b' ' && (i == 0 || i == last) || byte == b'#' && i == 0;
        if at_an_end || b"\"+,;<>\\".contains(&byte) {
            out.push('\\');
            out.push(char::from(byte));
        } else if byte == b' ' || byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "\\{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_as_in_the_examples_of_rfc_4514() {
        assert_eq!(escaped("James \"Jim\" Smith, III"), r#"James \"Jim\" Smith\, III"#);
        assert_eq!(escaped("Before\rAfter"), r"Before\0DAfter");
        assert_eq!(escaped("Lučić"), r"Lu\C4\8Di\C4\87");
        assert_eq!(escaped("#1 "), r"\#1\ ");
        assert_eq!(escaped(" "), r"\ ");
        assert_eq!(escaped(""), "");
    }

    #[test]
    fn strings_of_old_types_are_read_and_what_is_no_text_is_not() {
        let read = |tag, data: &[u8]| text(&Any::from_tag_and_data(tag, data));
        assert_eq!(read(Tag::BmpString, &[0, b'a', 1, 7]), Some("ać".to_owned()));
        assert_eq!(read(Tag::BmpString, &[0, b'a', 1]), None);
        assert_eq!(read(Tag::T61String, &[b'a', 0xe9]), Some("aé".to_owned()));
        assert_eq!(read(Tag::Utf8String, &[0xff]), None);
        assert_eq!(read(Tag::OctetString, b"a"), None);
    }
}
