//! A front as relays ask it.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::ClientHello;

use super::{ClientIdentity, Front};
use crate::relay::{Accept, NoSuchName};

impl Accept for Front {
    fn accept(&self, hello: &ClientHello<'_>) -> Result<Arc<ServerConfig>, NoSuchName> {
        Self::accept(self, hello).map_err(|_| NoSuchName)
    }

    fn asks_for_certificates(&self) -> bool {
        self.asks
    }

    fn subject(&self, certificate: &CertificateDer<'_>) -> String {
        // It was verified, so it could be read.
        ClientIdentity::of(std::slice::from_ref(certificate))
            .map_or_else(String::new, |client| client.subject)
    }
}
