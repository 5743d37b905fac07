//! What a user should know about a certificate that was issued otherwise than it was asked for.

use std::fmt;

use super::{Date, Name};

/// A remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The certificate ends with its authority.
    Shortened(Date),
    /// A request without names.
    FromCommonName(Name),
    /// Names of the request that others have replaced.
    Replaced(Vec<Name>),
    /// Something that the request asks for and does not get.
    NotGranted(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shortened(until) => write!(f, "valid until {until} only: the authority itself ends then"),
            Self::FromCommonName(name) => write!(
                f,
                "the request holds no subjectAltName, without which browsers accept no server: its common name is taken, \
                 {name}"
            ),
            Self::Replaced(names) => {
                let names: Vec<_> = names.iter().map(ToString::to_string).collect();
                write!(f, "the names in the request are left out: {}", names.join(", "))
            }
            Self::NotGranted(what) => write!(f, "the request asks for {what}, which is not granted"),
        }
    }
}
