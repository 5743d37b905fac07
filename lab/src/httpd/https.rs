//! HTTPS for people who try things: a thread for each connection, sessions resumed by tickets of its own, as a server's
//! are. It is not for measuring.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::conf::Tls;
use crate::serve::{Site, listen_any};

/// Serves on port 443 until the process ends.
pub(super) fn start(site: &Site, tls: &Tls, provider: Arc<CryptoProvider>) -> anyhow::Result<()> {
    let shown = |path: &std::path::Path| format!("cannot use {}", path.display());
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&tls.cert).with_context(|| shown(&tls.cert))?.collect();
    let key = PrivateKeyDer::from_pem_file(&tls.key).with_context(|| shown(&tls.key))?;
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config
        .with_no_client_auth()
        .with_single_cert(chain.with_context(|| shown(&tls.cert))?, key)
        .with_context(|| format!("{} and {} do not go together", tls.cert.display(), tls.key.display()))?;
    let (site, config) = (site.clone(), Arc::new(config));
    let listener = listen_any(443).context("cannot listen on TCP port 443")?;
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let (site, config) = (site.clone(), Arc::clone(&config));
            // A client that hangs up is no affair of the server's; one for whom there is no thread hangs up too.
            let _ = thread::Builder::new().spawn(move || serve(&site, config, stream));
        }
    };
    thread::Builder::new().name("https".to_owned()).spawn(accept).context("cannot start a thread")?;
    Ok(())
}

fn serve(site: &Site, config: Arc<ServerConfig>, stream: TcpStream) -> io::Result<()> {
    let peer = stream.peer_addr()?;
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut session = BufReader::new(StreamOwned::new(session, stream));
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            // A request's head is short, and so are its lines.
            if session.by_ref().take(8192).read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line);
        }
        let mut words = head.first().map(String::as_str).unwrap_or_default().split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let found = if method == "GET" { site.page(path, peer) } else { None };
        let (status, body) = found.unwrap_or_else(|| ("404 Not Found", "nothing here\n".to_owned()));
        let out = session.get_mut();
        write!(
            out,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        out.flush()?;
    }
}
