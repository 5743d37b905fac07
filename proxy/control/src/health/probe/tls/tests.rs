//! Servers with certificates of rcgen's.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig, SupportedProtocolVersion};
use sched::{BodyTest, Check, CheckKind, HttpCheck, HttpUrl};
use tempfile::{TempDir, tempdir};
use tokio_rustls::TlsAcceptor;

use super::super::tests::{LONG, ask, says, serve, starved, target, tools, why};
use super::super::{Question, Success};
use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const NAME: &str = "www.ilinux.io";
const RIGHT: Result<Success, String> = Ok(Success { weight: None });

/// An authority, and its file.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: TempDir,
}

impl Ca {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        Self::named(&format!("authority {}", MADE.fetch_add(1, Ordering::Relaxed)))
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let folder = tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &pem).unwrap();
        Self { issuer: Issuer::new(params, key), pem, folder }
    }

    fn check(&self, sni: Option<&str>) -> TlsCheck {
        let ca = Some(self.folder.path().join("ca.pem"));
        TlsCheck { sni: sni.map(str::to_owned), verify: true, ca, min_days: 0 }
    }

    /// A certificate for these names, good from so many days ago for so many days and a half.
    fn issue(&self, names: &[&str], ago: u32, days: u32) -> ServerConfig {
        self.issue_for(rustls::ALL_VERSIONS, names, ago, days)
    }

    fn issue_for(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        names: &[&str],
        ago: u32,
        days: u32,
    ) -> ServerConfig {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let from = SystemTime::now() - ago * DAY;
        params.not_before = from.into();
        params.not_after = (from + days * DAY + DAY / 2).into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ServerConfig::builder_with_provider(::tls::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

/// What a server has seen of a handshake: SNI, whether it was resumed, whether the client has taken its leave.
#[derive(Debug, PartialEq)]
struct Seen {
    sni: Option<String>,
    kind: HandshakeKind,
    left: bool,
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// A server that does TLS, answers what it hears by a page, and keeps what it sees.
async fn server(config: ServerConfig) -> (SocketAddr, Log) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let log = Log::default();
    let seen = Arc::clone(&log);
    let addr = serve(move |stream| {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let session = stream.get_ref().1;
            let (sni, kind) = (session.server_name().map(str::to_owned), session.handshake_kind().unwrap());
            let heard = stream.read(&mut [0; 4096]).await;
            if heard.as_ref().is_ok_and(|length| *length > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nall is OK").await;
                let _ = stream.shutdown().await;
            }
            seen.lock().unwrap().push(Seen { sni, kind, left: matches!(heard, Ok(0)) });
        }
    })
    .await;
    (addr, log)
}

async fn good(ca: &Ca) -> SocketAddr {
    server(ca.issue(&[NAME, "127.0.0.1"], 1, 30)).await.0
}

fn tls(check: TlsCheck) -> CheckKind {
    CheckKind::Tls(check)
}

/// So many days from now.
fn day(days: f64) -> String {
    expiry::date(UnixTime::now().as_secs().cast_signed() + (days * 86_400.0) as i64)
}

#[tokio::test]
async fn whoever_is_not_verified_may_have_any_certificate() {
    let ca = Ca::new();
    for config in [ca.issue(&[NAME], 1, 30), ca.issue(&[NAME], 100, 1), ca.issue(&[], 1, 30)] {
        let addr = server(config).await.0;
        assert_eq!(ask(tls(TlsCheck::default()), addr).await, RIGHT);
        let sni = Some("other.example".to_owned());
        assert_eq!(ask(tls(TlsCheck { sni, ..TlsCheck::default() }), addr).await, RIGHT);
    }
    for version in rustls::ALL_VERSIONS {
        let addr = server(ca.issue_for(&[version], &[NAME], 1, 30)).await.0;
        assert_eq!(ask(tls(TlsCheck::default()), addr).await, RIGHT, "{version:?}");
    }
}

#[tokio::test]
async fn whoever_is_verified_has_a_valid_one_for_the_name_or_the_address() {
    let ca = Ca::new();
    let addr = good(&ca).await;
    assert_eq!(ask(tls(ca.check(Some(NAME))), addr).await, RIGHT);
    assert_eq!(ask(tls(ca.check(None)), addr).await, RIGHT, "for the address");
    assert_eq!(
        why(tls(ca.check(Some("other.example"))), addr).await,
        "certificate is for www.ilinux.io, 127.0.0.1, and not for other.example"
    );
    let unnamed = server(ca.issue(&[NAME], 1, 30)).await.0;
    assert_eq!(
        why(tls(ca.check(None)), unnamed).await,
        "certificate is for www.ilinux.io, and not for 127.0.0.1"
    );
    let none = server(ca.issue(&[], 1, 30)).await.0;
    assert_eq!(
        why(tls(ca.check(Some(NAME))), none).await,
        "certificate is for no name, and not for www.ilinux.io"
    );

    let expired = server(ca.issue(&[NAME], 30, 20)).await.0;
    let expected = format!("certificate expired on {}", day(-9.5));
    assert_eq!(why(tls(ca.check(Some(NAME))), expired).await, expected);
    let mut early = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    early.not_before = (SystemTime::now() + 3 * DAY).into();
    let key = KeyPair::generate().unwrap();
    let certificate = early.signed_by(&key, &ca.issuer).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let expected = format!("certificate is not valid before {}", day(3.0));
    assert_eq!(why(tls(ca.check(Some(NAME))), server(config).await.0).await, expected);

    let stranger = "certificate of an authority that is not known here";
    assert_eq!(why(tls(Ca::new().check(Some(NAME))), addr).await, stranger);
    let (one, namesake) = (Ca::named("one"), Ca::named("one"));
    let forged = "certificate is not signed by the authority that it names, as that is known here";
    assert_eq!(why(tls(namesake.check(Some(NAME))), good(&one).await).await, forged);
}

#[tokio::test]
async fn without_a_file_those_are_trusted_whom_the_host_trusts() {
    let ca = Ca::new();
    let addr = good(&ca).await;
    let check = TlsCheck { ca: None, ..ca.check(Some(NAME)) };
    let check = Check { timeout: LONG, ..Check::new(tls(check)) };
    let tools = tools();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(
        rustls::pki_types::pem::PemObject::pem_slice_iter(ca.pem.as_bytes()).flatten(),
    );
    tools.roots.set(Arc::new(roots)).unwrap();
    assert_eq!(Question::new(&check, &tools).ask(&target(addr)).await.result, RIGHT);

    // This very host knows nothing of that authority.
    let why =
        Question::new(&check, &super::super::tests::tools()).ask(&target(addr)).await.result.unwrap_err();
    assert!(
        why == "certificate of an authority that is not known here" || why.contains("trusts no authority"),
        "{why}"
    );
}

#[tokio::test]
async fn authorities_that_this_host_has_no_descriptor_to_read_are_no_failure_of_the_server() {
    let ca = Ca::new();
    let addr = good(&ca).await;
    let right = tls(ca.check(Some(NAME)));
    let host = tls(TlsCheck { ca: None, ..ca.check(Some(NAME)) });
    for (kind, later_right) in [(right, true), (host, false)] {
        // The connection has the last one.
        let [starved, later] = starved(1, kind, addr).await;
        let why = starved.result.unwrap_err();
        let lacks = starved.lacking && why.ends_with("too many files are open here");
        assert!(lacks || why.contains("trusts no authority"), "{why}");
        assert_eq!((later.lacking, later.result.is_ok()), (false, later_right), "{later:?}");
    }
}

#[tokio::test]
async fn a_certificate_has_to_be_good_for_so_many_days_whether_or_not_it_is_verified() {
    let ca = Ca::new();
    let addr = server(ca.issue(&[NAME], 10, 15)).await.0;
    for check in [TlsCheck::default(), ca.check(Some(NAME))] {
        let days = |min_days| tls(TlsCheck { min_days, ..check.clone() });
        assert_eq!(ask(days(5), addr).await, RIGHT);
        assert_eq!(
            why(days(14), addr).await,
            format!("certificate expires on {}, in 5 days, where 14 were wanted", day(5.5))
        );
    }
    let expired = server(ca.issue(&[NAME], 30, 20)).await.0;
    let check = TlsCheck { min_days: 1, ..TlsCheck::default() };
    assert_eq!(why(tls(check), expired).await, format!("certificate expired on {}", day(-9.5)));
}

#[test]
fn days_are_counted_to_the_second() {
    let ca = Ca::new();
    let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2026, 1, 2);
    let certificate = params.signed_by(&KeyPair::generate().unwrap(), &ca.issuer).unwrap();
    let end = 1_767_312_000;
    let check = |seconds_before: i64, days| {
        let now = UnixTime::since_unix_epoch(Duration::from_secs((end - seconds_before) as u64));
        expiry::check(certificate.der(), days, now)
    };
    assert_eq!(check(14 * 86_400, 14), Ok(()));
    let late = |words: &str, days| {
        Err(format!("certificate expires on 2026-01-02, in {words}, where {days} were wanted"))
    };
    assert_eq!(check(14 * 86_400 - 1, 14), late("13 days", 14));
    assert_eq!(check(86_400, 2), late("1 day", 2));
    assert_eq!(check(0, 1), late("less than a day", 1));
    assert_eq!(check(-1, 1), Err("certificate expired on 2026-01-02".to_owned()));
    assert!(expiry::check(&CertificateDer::from(vec![1, 2, 3]), 1, UnixTime::now()).is_err());
}

#[tokio::test]
async fn the_name_is_asked_for_if_there_is_one_and_no_session_is_resumed_and_the_client_takes_its_leave() {
    let ca = Ca::new();
    for version in rustls::ALL_VERSIONS {
        for sni in [None, Some(NAME)] {
            for check in [ca.check(sni), TlsCheck { sni: sni.map(str::to_owned), ..TlsCheck::default() }] {
                let (addr, log) = server(ca.issue_for(&[version], &[NAME, "127.0.0.1"], 1, 30)).await;
                let check = Check { timeout: LONG, ..Check::new(tls(check)) };
                let question = Question::new(&check, &tools());
                for _ in 0..3 {
                    assert_eq!(question.ask(&target(addr)).await.result, RIGHT);
                }
                while log.lock().unwrap().len() < 3 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                for seen in log.lock().unwrap().iter() {
                    let full = matches!(seen.kind, HandshakeKind::Full);
                    assert!(full && seen.left && seen.sni.as_deref() == sni, "{version:?}: {seen:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_file_of_authorities_is_read_again_when_it_has_changed() {
    let (old, new) = (Ca::new(), Ca::new());
    let (old_server, new_server) = (good(&old).await, good(&new).await);
    let check = Check { timeout: LONG, ..Check::new(tls(old.check(Some(NAME)))) };
    let question = Question::new(&check, &tools());
    let ask = async |addr| question.ask(&target(addr)).await.result;
    let stranger = Err("certificate of an authority that is not known here".to_owned());
    assert_eq!(ask(old_server).await, RIGHT);
    assert_eq!(ask(new_server).await, stranger);

    let file = old.folder.path().join("ca.pem");
    let replace = |content: &str| {
        let beside = old.folder.path().join("new");
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(&beside, &file).unwrap();
    };
    replace(&new.pem);
    assert_eq!(ask(new_server).await, RIGHT);
    assert_eq!(ask(old_server).await, stranger);
    replace(&format!("{}\nsome words\n{}", old.pem, new.pem));
    assert_eq!((ask(old_server).await, ask(new_server).await), (RIGHT, RIGHT));

    let shown = file.display();
    replace("nothing");
    assert_eq!(ask(new_server).await, Err(format!("there is no certificate in {shown}")));
    replace(&format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", old.pem));
    let why = ask(new_server).await.unwrap_err();
    assert!(why.starts_with(&format!("certificate 2 of {shown}: ")), "{why}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(ask(new_server).await, Err(format!("cannot read {shown}: no such file or directory")));
    replace(&new.pem);
    assert_eq!(ask(new_server).await, RIGHT);
}

#[tokio::test]
async fn what_is_not_tls_and_what_has_no_version_in_common_is_said() {
    let plain = says("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(why(tls(TlsCheck::default()), plain).await, "the answer is not TLS");
    // A ServerHello of TLS 1.1, as old servers say it.
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x13, 0]);
    let old = says(hello).await;
    let old = why(tls(TlsCheck::default()), old).await;
    assert!(old.contains("no version or suite of TLS in common") || old.contains("not TLS"), "{old}");
    // An alert, fatal: handshake_failure.
    let alert = says(vec![21, 3, 3, 0, 2, 2, 40]).await;
    let alert = why(tls(TlsCheck::default()), alert).await;
    assert_eq!(alert, "the server ends the TLS handshake by an alert, HandshakeFailure");
}

#[tokio::test]
async fn pages_come_by_https_too() {
    let ca = Ca::new();
    let addr = good(&ca).await;
    let page = |tls: TlsCheck, keyword: &str| {
        let body = vec![BodyTest::Keyword(keyword.to_owned())];
        let urls = vec![HttpUrl { body, ..HttpUrl::new("/") }];
        CheckKind::Http(HttpCheck { urls, tls: Some(tls), ..HttpCheck::default() })
    };
    assert_eq!(ask(page(ca.check(Some(NAME)), "OK"), addr).await, RIGHT);
    assert_eq!(ask(page(TlsCheck::default(), "OK"), addr).await, RIGHT);
    assert_eq!(why(page(TlsCheck::default(), "KO"), addr).await, "the body does not contain `KO`");
    let why = why(page(Ca::new().check(Some(NAME)), "OK"), addr).await;
    assert_eq!(why, "certificate of an authority that is not known here");
}

#[tokio::test]
async fn a_server_that_does_not_say_goodbye_within_tls_has_answered_all_the_same() {
    let ca = Ca::new();
    let acceptor = TlsAcceptor::from(Arc::new(ca.issue(&[NAME], 1, 30)));
    let rude = |answer: &'static [u8]| {
        let acceptor = acceptor.clone();
        serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
                let _ = stream.flush().await;
                // Of TCP alone.
                let _ = stream.get_mut().0.shutdown().await;
                while stream.get_mut().0.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {}
            }
        })
    };
    let page = CheckKind::Http(HttpCheck { tls: Some(TlsCheck::default()), ..HttpCheck::default() });
    assert_eq!(ask(page.clone(), rude(b"HTTP/1.0 200 OK\r\n\r\nbody").await).await, RIGHT);
    let cut = rude(b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nbody").await;
    assert_eq!(why(page, cut).await, "the body ends after 4 of 10 bytes");
}

#[test]
fn what_can_never_be_is_said_beforehand() {
    let sni = |name: &str| TlsCheck { sni: Some(name.to_owned()), ..TlsCheck::default() };
    for (wrong, part) in [
        (sni("127.0.0.1"), "is an address"),
        (sni("::1"), "is an address"),
        (sni("a b"), "is no name"),
        (sni(""), "is no name"),
        (TlsCheck { ca: Some(Path::new("ca.pem").to_owned()), ..TlsCheck::default() }, "set `verify`"),
    ] {
        let why = check(&wrong).expect_err(part);
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(check(&sni(NAME)), Ok(()));
}
