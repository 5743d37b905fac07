//! What servers show to whoever asks.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::thread;

use rcgen::SanType;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection};

use super::*;

/// Asks a server with this certificate, which may want to see one of its client.
fn ask(made: &Made, name: Option<&str>, clients: Option<&Ca>) -> std::io::Result<Shown> {
    let config =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(ca) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)), provider());
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
    let config = config.with_single_cert(vec![made.der.clone()], key).unwrap();
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || {
        let mut session = ServerConnection::new(Arc::new(config)).unwrap();
        // Fails where it wants more than it gets.
        let _ = session.complete_io(&mut theirs);
    });
    let shown = Shown::ask(&mut ours, IpAddr::V4(Ipv4Addr::LOCALHOST), name);
    drop(ours);
    server.join().unwrap();
    shown
}

#[test]
fn a_server_shows_its_certificate_whatever_it_is_worth() {
    let ca = Ca::new("ca");
    let made = ca.issue(&["www.example", "10.0.0.1"], Kind::P256);
    for (name, clients) in [(None, None), (Some("other.example"), None), (None, Some(&ca))] {
        let shown = ask(&made, name, clients).unwrap();
        let names: Vec<_> = shown.names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["www.example", "10.0.0.1"]);
        assert_eq!((shown.not_before, shown.not_after), (*NOW - DAY, *NOW + 30 * DAY));
    }
}

#[test]
fn names_hold_nothing_that_a_terminal_would_obey() {
    let ca = Ca::new("ca");
    let mut odd = params("x");
    // An escape sequence, a line, and text from right to left.
    let said = SanType::DnsName("\u{1b}[2Ja\r\nb\u{7f}".try_into().unwrap());
    odd.subject_alt_names = vec![said];
    let common = params("\u{1b}]0;a\u{7}\u{9b}31m\u{202e}b ü");
    for (params, expected) in
        [(odd, "\\u{1b}[2ja\\r\\nb\\u{7f}"), (common, "\\u{1b}]0;a\\u{7}\\u{9b}31m\\u{202e}b ü")]
    {
        let shown = ask(&ca.sign(&params, &Kind::P256.key()), None, None).unwrap();
        let names: Vec<_> = shown.names.iter().map(ToString::to_string).collect();
        assert_eq!(names, [expected]);
    }
}

#[test]
fn whoever_speaks_no_tls_shows_nothing() {
    for said in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(said).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        Shown::ask(&mut ours, IpAddr::V4(Ipv4Addr::LOCALHOST), None).unwrap_err();
    }
}
