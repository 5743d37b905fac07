//! TLS to servers: whom to trust.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use super::error::FrontError;
use super::source::Source;
use crate::provider::provider;
use crate::relay::Backend;

impl Backend {
    /// Servers show a certificate of one of these authorities (PEM), for `name`; without one, for their address.
    ///
    /// # Errors
    /// The file holds no authority's certificate; the name can stand in no certificate.
    pub fn new(authorities: &Source, name: Option<&str>) -> Result<Self, FrontError> {
        let mut roots = RootCertStore::empty();
        for (i, certificate) in authorities.certificates()?.into_iter().enumerate() {
            roots.add(certificate).map_err(|source| FrontError::Authority {
                file: authorities.name.clone(),
                nth: i + 1,
                source,
            })?;
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = name.map(|name| {
            ServerName::try_from(name.to_owned()).map_err(|_| FrontError::BackendName(name.to_owned()))
        });
        Ok(Self { config: Arc::new(config), name: name.transpose()? })
    }
}
