//! The names that a certificate is for (RFC 5280 4.2.1.6).

use std::fmt;
use std::net::IpAddr;

use rcgen::SanType;
use rcgen::string::Ia5String;
use rustls::pki_types::DnsName;

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A DNS name; its first label may be `*`.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// An e-mail address, of a client.
    Email(String),
    /// A URI, which only requests bring.
    Uri(String),
}

/// A text that is no such name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {wanted}{hint}")]
pub struct BadName {
    text: String,
    wanted: &'static str,
    hint: &'static str,
}

impl Name {
    /// A DNS name.
    pub fn dns(text: &str) -> Result<Self, BadName> {
        let bad = |hint| Err(BadName { text: text.to_owned(), wanted: "DNS name", hint });
        if text.parse::<IpAddr>().is_ok() {
            return bad(": it is an IP address");
        }
        if text.ends_with('.') {
            return bad(" of a certificate: leave the dot at its end out");
        }
        if !text.is_ascii() {
            return bad(" of a certificate: write its form in ASCII, which begins with xn--");
        }
        if DnsName::try_from(text.strip_prefix("*.").unwrap_or(text)).is_err() {
            return bad(
                ": it takes labels of letters, digits and hyphens, and a * only as the whole first label",
            );
        }
        Ok(Self::Dns(text.to_owned()))
    }

    /// An IP address.
    pub fn ip(text: &str) -> Result<Self, BadName> {
        let bad = |_| BadName { text: text.to_owned(), wanted: "IP address", hint: "" };
        text.parse().map(Self::Ip).map_err(bad)
    }

    /// An e-mail address (a mailbox of RFC 5321 without quotes).
    pub fn email(text: &str) -> Result<Self, BadName> {
        let local = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"\"(),:;<>@[\\]".contains(&b))
        };
        match text.split_once('@') {
            Some((user, host)) if local(user) && DnsName::try_from(host).is_ok() => {
                Ok(Self::Email(text.to_owned()))
            }
            _ => Err(BadName { text: text.to_owned(), wanted: "e-mail address", hint: "" }),
        }
    }

    /// A DNS name or an IP address.
    pub fn host(text: &str) -> Result<Self, BadName> {
        Self::ip(text).or_else(|_| Self::dns(text))
    }

    /// Whether it can be the name of a server.
    pub const fn is_host(&self) -> bool {
        matches!(self, Self::Dns(_) | Self::Ip(_))
    }

    /// The name without its kind.
    pub fn text(&self) -> String {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) => text.clone(),
            Self::Ip(ip) => ip.to_string(),
        }
    }

    pub(super) fn san(&self) -> Result<SanType, rcgen::Error> {
        let text = |text: &str| Ia5String::try_from(text);
        Ok(match self {
            Self::Dns(name) => SanType::DnsName(text(name)?),
            Self::Ip(ip) => SanType::IpAddress(*ip),
            Self::Email(name) => SanType::Rfc822Name(text(name)?),
            Self::Uri(name) => SanType::URI(text(name)?),
        })
    }
}

/// As openssl shows it.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Dns(_) => "DNS",
            Self::Ip(_) => "IP",
            Self::Email(_) => "email",
            Self::Uri(_) => "URI",
        };
        write!(f, "{kind}:{}", self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_stand_in_a_certificate_is_refused_with_the_reason() {
        for good in ["www.ilinux.io", "*.ilinux.io", "localhost", "a_b.example", "xn--gre-7ka3b.example"] {
            assert_eq!(Name::dns(good), Ok(Name::Dns(good.to_owned())));
        }
        for (bad, hint) in [
            ("172.16.0.99", "is an IP address"),
            ("fd00::1", "is an IP address"),
            ("www.ilinux.io.", "dot at its end"),
            ("gr\u{f6}\u{df}e.example", "xn--"),
            ("", "labels"),
            ("www..io", "labels"),
            ("-a.example", "labels"),
            ("w*.example", "labels"),
            ("www.*.io", "labels"),
            ("a b.example", "labels"),
            ("300.1.1.1", "labels"),
            (&"a".repeat(64), "labels"),
        ] {
            let error = Name::dns(bad).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{bad:?} is no DNS name")) && error.contains(hint), "{error}");
        }
        for bad in ["172.16.0.256", "10.0.0.0/8", "www", ""] {
            assert!(Name::ip(bad).is_err(), "{bad}");
        }
        assert!(Name::email("wang@ilinux.io").is_ok());
        for bad in ["wang", "@ilinux.io", "wang@", "wang@a@b", "w ang@ilinux.io", "w\u{e9}@ilinux.io"] {
            assert!(Name::email(bad).is_err(), "{bad}");
        }
    }
}
