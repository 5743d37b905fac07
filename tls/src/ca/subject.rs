//! Who a certificate is for or from: a distinguished name (RFC 5280 4.1.2.4 and 4.1.2.6).
//!
//! The names of issuers are compared byte by byte. A name that the library could not write again exactly as it was read
//! (one that holds an attribute twice, or two attributes in one place) is therefore refused.

use std::fmt;

use rcgen::string::{BmpString, Ia5String, PrintableString};
use rcgen::{DistinguishedName, DnType, DnValue};
use x509_parser::asn1_rs::Tag;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::CaError;

/// How an attribute is written.
#[derive(Clone, Copy)]
enum Form {
    Utf8,
    Printable,
    Ia5,
}

/// What openssl calls the attributes, where they are registered, their form, and how long they may be (RFC 5280 A.1).
const ATTRIBUTES: [(&str, &[u64], Form, usize); 10] = [
    ("C", &[2, 5, 4, 6], Form::Printable, 2),
    ("ST", &[2, 5, 4, 8], Form::Utf8, 128),
    ("L", &[2, 5, 4, 7], Form::Utf8, 128),
    ("O", &[2, 5, 4, 10], Form::Utf8, 64),
    ("OU", &[2, 5, 4, 11], Form::Utf8, 64),
    ("CN", &[2, 5, 4, 3], Form::Utf8, 64),
    ("emailAddress", &[1, 2, 840, 113_549, 1, 9, 1], Form::Ia5, 255),
    ("serialNumber", &[2, 5, 4, 5], Form::Printable, 64),
    ("DC", &[0, 9, 2342, 19_200_300, 100, 1, 25], Form::Ia5, 63),
    ("UID", &[0, 9, 2342, 19_200_300, 100, 1, 1], Form::Utf8, 255),
];

const COMMON_NAME: &[u64] = &[2, 5, 4, 3];

/// A distinguished name. It may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject(DistinguishedName);

impl Subject {
    /// In the words of `openssl req -subj`: `/C=CN/O=MageEdu/CN=www.ilinux.io`, with `\/` for a slash.
    pub fn parse(text: &str) -> Result<Self, CaError> {
        let bad = |what: String| CaError::Subject(format!("{text:?}: {what}"));
        let Some(rest) = text.strip_prefix('/') else {
            return Err(bad("it begins with a slash, as in /O=MageEdu/CN=www.ilinux.io".to_owned()));
        };
        let mut subject = Self::default();
        for part in split(rest) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(bad(format!("{part:?} is not KEY=VALUE")));
            };
            subject.push(key, value)?;
        }
        Ok(subject)
    }

    /// This common name, within this organization.
    pub fn new(common_name: Option<&str>, organization: Option<&str>) -> Result<Self, CaError> {
        let mut subject = Self::default();
        for (key, value) in [("O", organization), ("CN", common_name)] {
            if let Some(value) = value {
                subject.push(key, value)?;
            }
        }
        Ok(subject)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().next().is_none()
    }

    /// With a common name where it has none and `name` fits.
    #[must_use]
    pub(super) fn or_common_name(mut self, name: &str) -> Self {
        if self.common_name().is_none() {
            // A DNS name may be too long for it: then the subject stays without.
            let _ = self.push("CN", name);
        }
        self
    }

    pub(super) fn common_name(&self) -> Option<String> {
        self.0.get(&DnType::from_oid(COMMON_NAME)).map(text)
    }

    pub(super) const fn dn(&self) -> &DistinguishedName {
        &self.0
    }

    fn push(&mut self, key: &str, value: &str) -> Result<(), CaError> {
        let bad = |what: String| Err(CaError::Subject(what));
        let Some((_, oid, form, longest)) =
            ATTRIBUTES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(key))
        else {
            let known = ATTRIBUTES.map(|(name, ..)| name).join(", ");
            return bad(format!("there is no {key:?} in it; there are {known}"));
        };
        if value.is_empty() {
            return bad(format!("{key} is empty"));
        }
        if value.chars().count() > *longest || (key.eq_ignore_ascii_case("C") && value.len() != 2) {
            let length = if *longest == 2 {
                "two letters".to_owned()
            } else {
                format!("at most {longest} characters")
            };
            return bad(format!("{key}={value}: it takes {length}"));
        }
        if value.chars().any(char::is_control) {
            return bad(format!("{key}={value:?} holds control characters"));
        }
        let letters =
            || CaError::Subject(format!("{key}={value}: there are characters in it that cannot stand there"));
        let content = match form {
            Form::Utf8 => DnValue::Utf8String(value.to_owned()),
            Form::Printable => {
                DnValue::PrintableString(PrintableString::try_from(value).map_err(|_| letters())?)
            }
            Form::Ia5 => DnValue::Ia5String(Ia5String::try_from(value).map_err(|_| letters())?),
        };
        let kind = DnType::from_oid(oid);
        if self.0.get(&kind).is_some() {
            return bad(format!("{key} is in it twice"));
        }
        self.0.push(kind, content);
        Ok(())
    }
}

/// What is between unescaped slashes.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '/' => parts.push(String::new()),
            _ => {
                let c = if c == '\\' { chars.next().unwrap_or('\\') } else { c };
                parts.last_mut().expect("it begins with one").push(c);
            }
        }
    }
    parts
}

impl TryFrom<&X509Name<'_>> for Subject {
    type Error = CaError;

    fn try_from(name: &X509Name<'_>) -> Result<Self, CaError> {
        let mut dn = DistinguishedName::new();
        for rdn in name.iter() {
            let mut attributes = rdn.iter();
            let (Some(attribute), None) = (attributes.next(), attributes.next()) else {
                return Err(CaError::Subject("two attributes stand in one place of it".to_owned()));
            };
            let (kind, value) = read(attribute)?;
            if dn.get(&kind).is_some() {
                let oid = attribute.attr_type().to_id_string();
                return Err(CaError::Subject(format!("{} is in it twice", key(&oid))));
            }
            dn.push(kind, value);
        }
        Ok(Self(dn))
    }
}

fn read(attribute: &AttributeTypeAndValue<'_>) -> Result<(DnType, DnValue), CaError> {
    let oid = attribute.attr_type();
    let bad = |what| CaError::Subject(format!("{} in it {what}", key(&oid.to_id_string())));
    let numbers: Vec<u64> = oid.iter().ok_or_else(|| bad("has an odd number"))?.collect();
    let data = attribute.attr_value().data;
    let ascii = || std::str::from_utf8(data).map_err(|_| bad("is not text"));
    let wrong = |_| bad("holds characters that cannot stand there");
    let value = match attribute.attr_value().tag() {
        Tag::Utf8String => DnValue::Utf8String(ascii()?.to_owned()),
        Tag::PrintableString => DnValue::PrintableString(PrintableString::try_from(ascii()?).map_err(wrong)?),
        Tag::Ia5String => DnValue::Ia5String(Ia5String::try_from(ascii()?).map_err(wrong)?),
        Tag::BmpString => DnValue::BmpString(BmpString::from_utf16be(data.to_vec()).map_err(wrong)?),
        _ => return Err(bad("is a text of a kind that is out of use")),
    };
    Ok((DnType::from_oid(&numbers), value))
}

/// What openssl calls the attribute with this number.
fn key(dotted: &str) -> &str {
    let named = |oid: &[u64]| oid.iter().map(ToString::to_string).collect::<Vec<_>>().join(".") == dotted;
    ATTRIBUTES.iter().find(|(_, oid, ..)| named(oid)).map_or(dotted, |(name, ..)| name)
}

fn text(value: &DnValue) -> String {
    match value {
        DnValue::Utf8String(text) => text.clone(),
        DnValue::PrintableString(text) => text.as_str().to_owned(),
        DnValue::Ia5String(text) => text.as_str().to_owned(),
        DnValue::BmpString(text) => {
            let units = text.as_bytes().chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        // No other kind is read or written here.
        _ => String::new(),
    }
}

/// In one line, as `openssl ca` keeps it: `/O=MageEdu/CN=www.ilinux.io`, with `\xE4` for what is not ASCII.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, value) in self.0.iter() {
            let oid = ATTRIBUTES.iter().find(|(_, oid, ..)| DnType::from_oid(oid) == *kind);
            match (oid, kind) {
                (Some((name, ..)), _) => write!(f, "/{name}=")?,
                (None, DnType::CustomDnType(oid)) => {
                    let dotted: Vec<_> = oid.iter().map(ToString::to_string).collect();
                    write!(f, "/{}=", dotted.join("."))?;
                }
                (None, kind) => write!(f, "/{kind:?}=")?,
            }
            for byte in text(value).bytes() {
                match byte {
                    b' '..=b'~' => write!(f, "{}", byte as char)?,
                    _ => write!(f, "\\x{byte:02X}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_and_shown_in_the_words_of_openssl() {
        for line in [
            "/C=CN/ST=Beijing/L=Beijing/O=MageEdu/OU=devops/CN=ca.ilinux.io",
            "/DC=io/UID=7/serialNumber=12/emailAddress=wang@ilinux.io",
        ] {
            assert_eq!(Subject::parse(line).unwrap().to_string(), line);
        }
        assert_eq!(Subject::parse(r"/o=A\/B/CN=a\\b").unwrap().to_string(), r"/O=A/B/CN=a\b");
        assert_eq!(Subject::parse("/O=\u{94b1}").unwrap().to_string(), r"/O=\xE9\x92\xB1");
        assert_eq!(Subject::new(Some("w"), Some("M")).unwrap().to_string(), "/O=M/CN=w");
    }

    #[test]
    fn a_subject_that_cannot_be_is_refused_with_its_place() {
        let long = format!("/CN={}", "x".repeat(65));
        for (line, expected) in [
            ("CN=www", "begins with a slash"),
            ("/", "\"\" is not KEY=VALUE"),
            ("/CN=www/O", "\"O\" is not KEY=VALUE"),
            ("/X=1", "there is no \"X\" in it; there are C, ST, L, O,"),
            ("/C=CHN", "C=CHN: it takes two letters"),
            ("/C=C", "C=C: it takes two letters"),
            ("/C=C_", "C=C_: there are characters"),
            ("/CN=", "CN is empty"),
            ("/CN=a\u{7}b", "control characters"),
            ("/CN=a/CN=b", "CN is in it twice"),
            (&long, "at most 64 characters"),
        ] {
            let error = Subject::parse(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
