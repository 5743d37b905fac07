//! Fronts and clients that meet in memory. Certificates are rcgen's, the time is [`NOW`] unless a test says otherwise.

#![allow(clippy::result_large_err)] // No test is slowed down by it.

use std::io::{Cursor, Read, Write};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::Acceptor;
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, DigitallySignedStruct, HandshakeKind, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};

use super::*;
use crate::provider::provider;

mod clients;
mod handshakes;
mod openssl;
mod pairs;
mod resumption;
mod shown;
mod sni;

const DAY: Duration = Duration::from_secs(86_400);
static NOW: LazyLock<SystemTime> =
    LazyLock::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
/// It takes a while to make one.
static RSA: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap());

/// Kinds of keys, as a test asks for them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    P256,
    P384,
    Ed25519,
    Rsa,
}

impl Kind {
    const ALL: [Self; 4] = [Self::P256, Self::P384, Self::Ed25519, Self::Rsa];

    fn key(self) -> KeyPair {
        match self {
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            Self::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
            Self::Ed25519 => KeyPair::generate_for(&PKCS_ED25519).unwrap(),
            Self::Rsa => KeyPair::from_pem(&RSA.serialize_pem()).unwrap(),
        }
    }
}

/// A certificate and its key, PEM and DER.
struct Made {
    pem: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Made {
    fn files(&self) -> PairFiles {
        files(&self.pem, &self.key)
    }
}

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    made: Made,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (*NOW - DAY).into();
    params.not_after = (*NOW + 30 * DAY).into();
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Ca {
    fn new(name: &str) -> Self {
        let (params, key) = (ca_params(name), Kind::P256.key());
        let certificate = params.self_signed(&key).unwrap();
        let made = Made { pem: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() };
        Self { issuer: Issuer::new(params, key), made }
    }

    /// An authority below this one.
    fn below(&self, name: &str) -> Self {
        let (params, key) = (ca_params(name), Kind::P256.key());
        let made = self.sign(&params, &key);
        Self { issuer: Issuer::new(params, key), made }
    }

    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Made {
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Made { pem: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }

    fn issue(&self, names: &[&str], kind: Kind) -> Made {
        let mut params = params(names[0]);
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
        self.sign(&params, &kind.key())
    }
}

fn source(name: &str, bytes: impl AsRef<[u8]>) -> Source {
    Source { name: name.to_owned(), bytes: bytes.as_ref().to_vec() }
}

fn files(chain: &str, key: &str) -> PairFiles {
    PairFiles { chain: source("www.crt", chain), key: source("www.key", key), ocsp: None }
}

fn settings(pairs: &[&Made]) -> FrontSettings {
    FrontSettings { pairs: pairs.iter().map(|made| made.files()).collect(), ..FrontSettings::default() }
}

fn front(settings: &FrontSettings) -> Front {
    Front::new(settings, &Clock::at(*NOW)).unwrap().0
}

type Versions = &'static [&'static SupportedProtocolVersion];
const TLS12: Versions = &[&rustls::version::TLS12];
const TLS13: Versions = &[&rustls::version::TLS13];

fn client_builder(
    provider: CryptoProvider,
    versions: Versions,
) -> ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_details(Arc::new(provider), Clock::at(*NOW))
        .with_protocol_versions(versions)
        .unwrap()
}

/// Who trusts this authority alone.
fn roots(ca: &Ca) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.made.der.clone()).unwrap();
    roots
}

/// A client that trusts this authority.
fn client(ca: &Ca, versions: Versions) -> ClientConfig {
    client_of(ca, CryptoProvider::clone(&provider()), versions)
}

/// The same, with what this provider has.
fn client_of(ca: &Ca, provider: CryptoProvider, versions: Versions) -> ClientConfig {
    client_builder(provider, versions).with_root_certificates(roots(ca)).with_no_client_auth()
}

/// A client that trusts everybody, but understands these signatures only.
fn credulous(versions: Versions, schemes: &[SignatureScheme]) -> ClientConfig {
    client_builder(CryptoProvider::clone(&provider()), versions)
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous {
            schemes: schemes.to_vec(),
            ..Credulous::default()
        }))
        .with_no_client_auth()
}

#[derive(Debug, Default)]
struct Credulous {
    schemes: Vec<SignatureScheme>,
    /// The OCSP response that came with the last certificate.
    stapled: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        stapled: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.stapled.lock().unwrap() = stapled.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// How a client and a front parted.
#[derive(Debug, PartialEq)]
enum Failure {
    Refused(Refused),
    /// What the server says is wrong, and what the client learns of it.
    Handshake {
        server: rustls::Error,
        client: Option<rustls::Error>,
    },
    Client(rustls::Error),
}

#[derive(Debug)]
struct Session {
    client: ClientConnection,
    server: ServerConnection,
}

impl Session {
    fn kind(&self) -> HandshakeKind {
        assert_eq!(self.client.handshake_kind(), self.server.handshake_kind());
        self.server.handshake_kind().unwrap()
    }

    /// The certificate that the client got.
    fn certificate(&self) -> &CertificateDer<'static> {
        &self.client.peer_certificates().unwrap()[0]
    }
}

/// A client calls `name` at this front, and gets an answer.
fn meet(front: &Front, config: &Arc<ClientConfig>, name: &str) -> Result<Session, Failure> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut Cursor::new(sent(&mut client))).unwrap();
    let accepted = acceptor.accept().unwrap().expect("a ClientHello is there as a whole");
    let chosen = front.accept(&accepted.client_hello()).map_err(Failure::Refused)?;
    let mut server = match accepted.into_connection(chosen) {
        Ok(server) => server,
        Err((server, mut alert)) => {
            let mut bytes = Vec::new();
            alert.write_all(&mut bytes).unwrap();
            return Err(Failure::Handshake { server, client: told(&mut client, bytes) });
        }
    };
    server.writer().write_all(b"hello").unwrap();
    loop {
        let bytes = sent_by_server(&mut server);
        let more = !bytes.is_empty();
        if let Some(error) = told(&mut client, bytes) {
            return Err(Failure::Client(error));
        }
        let bytes = sent(&mut client);
        if !more && bytes.is_empty() {
            break;
        }
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            if let Err(error) = server.process_new_packets() {
                let bytes = sent_by_server(&mut server);
                return Err(Failure::Handshake { server: error, client: told(&mut client, bytes) });
            }
        }
    }
    let mut hello = [0; 5];
    client.reader().read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    Ok(Session { client, server })
}

fn sent(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn sent_by_server(server: &mut ServerConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// The client reads this: what is wrong?
fn told(client: &mut ClientConnection, bytes: Vec<u8>) -> Option<rustls::Error> {
    let mut bytes = bytes.as_slice();
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        if let Err(error) = client.process_new_packets() {
            return Some(error);
        }
    }
    None
}
