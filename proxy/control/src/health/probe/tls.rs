//! A TLS handshake; and what pages by HTTPS and gRPC stand on.
//!
//! Sessions are never resumed: a ticket would say how the server was when it gave it. The configuration of a check is made
//! once, and once more whenever its file of authorities has changed.
//!
//! Who is not verified may be anybody, with any certificate, as keepalived has it; when it expires is looked at if that is
//! asked for.

mod authorities;
mod expiry;
mod words;

use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};
use sched::TlsCheck;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Tools;
use super::asking::{Asking, First, Stage};
use authorities::Authorities;

/// What is spoken within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// No ALPN.
    Any,
    /// `h2`.
    Http2,
}

#[derive(Debug)]
pub(super) struct Ready {
    sni: Option<ServerName<'static>>,
    trust: Trust,
    min_days: u16,
    protocol: Protocol,
    tools: Arc<Tools>,
}

#[derive(Debug)]
enum Trust {
    Anybody(Arc<ClientConfig>),
    Host(OnceLock<Arc<ClientConfig>>),
    File(Authorities),
}

/// What is wrong with it whatever the files hold.
pub(super) fn check(check: &TlsCheck) -> Result<(), String> {
    if check.ca.is_some() && !check.verify {
        return Err("it names authorities (`ca`), but verifies nobody: set `verify`".into());
    }
    name(check).map(drop)
}

fn name(check: &TlsCheck) -> Result<Option<ServerName<'static>>, String> {
    let Some(sni) = &check.sni else { return Ok(None) };
    match ServerName::try_from(sni.clone()) {
        Ok(name @ ServerName::DnsName(_)) => Ok(Some(name)),
        Ok(_) => Err(format!("`{sni}` is an address, and addresses do not stand in SNI: leave it out")),
        Err(_) => Err(format!("`{sni}` is no name that can stand in SNI")),
    }
}

impl Ready {
    pub(super) fn new(check: &TlsCheck, protocol: Protocol, tools: &Arc<Tools>) -> Result<Self, String> {
        let trust = match (check.verify, &check.ca) {
            (false, _) => Trust::Anybody(anybody(tools, protocol, check.sni.is_some())?),
            (true, None) => Trust::Host(OnceLock::new()),
            (true, Some(path)) => Trust::File(Authorities::new(path)),
        };
        Ok(Self { sni: name(check)?, trust, min_days: check.min_days, protocol, tools: Arc::clone(tools) })
    }

    pub(super) async fn ask(&self, asking: &Asking<'_>) -> Result<(), String> {
        let stream = asking.stream(First::We).await?;
        let mut stream = self.shake(asking, stream).await?;
        // It closes its end of the connection first, then.
        stream.get_mut().1.send_close_notify();
        let goodbye = async {
            stream.flush().await?;
            while stream.read(&mut [0; 512]).await? != 0 {}
            std::io::Result::Ok(())
        };
        asking.leave(goodbye).await;
        Ok(())
    }

    /// A session, by a certificate that is as it was asked for.
    pub(super) async fn shake(
        &self,
        asking: &Asking<'_>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = self.sni.clone().unwrap_or_else(|| asking.target.server.ip().into());
        let connector = TlsConnector::from(self.config(asking)?);
        let stream = connector.connect(name, stream).await.map_err(|e| words::handshake(&e))?;
        asking.reached(Stage::Shaken);
        let session = stream.get_ref().1;
        if self.min_days > 0 {
            let certificate = session.peer_certificates().and_then(<[_]>::first);
            expiry::check(
                certificate.ok_or("the server has no certificate")?,
                self.min_days,
                UnixTime::now(),
            )?;
        }
        if self.protocol == Protocol::Http2 && session.alpn_protocol() != Some(b"h2") {
            return Err(
                "the server does not speak HTTP/2 within TLS (it does not choose `h2` by ALPN)".into()
            );
        }
        Ok(stream)
    }

    fn config(&self, asking: &Asking<'_>) -> Result<Arc<ClientConfig>, String> {
        let verifying = |roots| verifying(&self.tools, roots, self.protocol, self.sni.is_some());
        match &self.trust {
            Trust::Anybody(config) => Ok(Arc::clone(config)),
            Trust::Host(config) => match config.get() {
                Some(config) => Ok(Arc::clone(config)),
                None => {
                    let made = verifying(self.tools.roots(asking)?)?;
                    Ok(Arc::clone(config.get_or_init(|| made)))
                }
            },
            Trust::File(authorities) => authorities.config(asking, verifying),
        }
    }
}

fn anybody(tools: &Tools, protocol: Protocol, sni: bool) -> Result<Arc<ClientConfig>, String> {
    let config = ClientConfig::builder_with_provider(Arc::clone(&tools.provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&tools.anybody))
        .with_no_client_auth();
    Ok(finished(config, protocol, sni))
}

fn verifying(
    tools: &Tools,
    roots: Arc<RootCertStore>,
    protocol: Protocol,
    sni: bool,
) -> Result<Arc<ClientConfig>, String> {
    let config = ClientConfig::builder_with_provider(Arc::clone(&tools.provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(finished(config, protocol, sni))
}

fn finished(mut config: ClientConfig, protocol: Protocol, sni: bool) -> Arc<ClientConfig> {
    config.resumption = Resumption::disabled();
    config.enable_sni = sni;
    if protocol == Protocol::Http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Arc::new(config)
}

#[cfg(test)]
mod tests;
