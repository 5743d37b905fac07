//! What a server of TLS shows to whoever asks, believed or not: for those who look whether servers are as they should be.
//! Nothing is ever said to a server in such a session.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection};

use super::certificate::{Name, names, parsed, time};
use super::error::FrontError;
use crate::anybody::anybody;
use crate::provider::provider;

/// A server's own certificate, as far as it can be wrong without being damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What it is for: subject alternative names or, where it has none, the common name.
    pub names: Vec<Name>,
    /// When it begins to be valid.
    pub not_before: SystemTime,
    /// When it ceases to be valid.
    pub not_after: SystemTime,
}

impl Shown {
    /// Shakes hands with the server at the other end of `stream`: asks for this name, or for none where there is no name
    /// but its address.
    ///
    /// # Errors
    /// It does not speak TLS, or breaks off before it has shown a certificate; the name can stand in no certificate.
    pub fn ask(stream: &mut (impl Read + Write), at: IpAddr, name: Option<&str>) -> io::Result<Self> {
        let whom = match name {
            Some(name) => ServerName::try_from(name.to_owned()).map_err(io::Error::other)?,
            None => at.into(),
        };
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(anybody())
            .with_no_client_auth();
        let mut session = ClientConnection::new(Arc::new(config), whom).map_err(io::Error::other)?;
        let mut ended = Ok(());
        while session.is_handshaking() && ended.is_ok() {
            ended = session.complete_io(stream).map(drop);
        }
        // One that wants to see a certificate of ours has shown its own before it refuses us.
        match session.peer_certificates() {
            Some(certificates) => {
                Self::of(certificates.get(..1).unwrap_or_default()).map_err(io::Error::other)
            }
            None => Err(ended.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn of(own: &[CertificateDer<'static>]) -> Result<Self, FrontError> {
        let file = "what it shows";
        let no_certificate =
            || FrontError::NoCertificate { file: file.to_owned(), way_out: "it shows none".to_owned() };
        let certificates = parsed(file, own)?;
        let certificate = certificates.first().ok_or_else(no_certificate)?;
        let validity = certificate.validity();
        Ok(Self {
            names: names(certificate).0,
            not_before: time(validity.not_before),
            not_after: time(validity.not_after),
        })
    }
}
