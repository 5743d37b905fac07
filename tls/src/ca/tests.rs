//! The authority against openssl: each has to accept what the other makes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tempfile::TempDir;

use super::show::{CertificateView, Item};
use super::*;

mod requests;

const DAY: Duration = Duration::from_secs(86_400);

/// A directory in which openssl works.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).unwrap()
    }

    /// What openssl answers to a line of words, and whether it is content.
    fn ask(&self, line: &str) -> (bool, String) {
        let mut command = Command::new("openssl");
        let output =
            command.args(line.split(' ')).current_dir(self.path()).output().expect("openssl is installed");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    fn openssl(&self, line: &str) -> String {
        let (good, text) = self.ask(line);
        assert!(good, "openssl {line}: {text}");
        text
    }

    /// Whether `cert` is good for this, by the authority in `ca.crt`.
    fn verifies(&self, cert: &str, more: &str) -> bool {
        self.ask(&format!("verify -CAfile ca.crt {more} {cert}")).0
    }
}

fn named(name: &str) -> Subject {
    Subject::new(Some(name), None).unwrap()
}

fn authority(kind: KeyKind, days: u32, now: SystemTime) -> (Pair, Authority) {
    let pair = Authority::create(&named("ca.ilinux.io"), kind, days, now).unwrap();
    let authority = load(pair.cert_pem.as_bytes(), pair.key_pem.as_bytes()).unwrap();
    (pair, authority)
}

fn load(cert: &[u8], key: &[u8]) -> Result<Authority, CaError> {
    Authority::load(cert, Key::read(key)?)
}

fn order(usage: Usage, names: &[&str]) -> Order {
    let names = names.iter().map(|name| Name::host(name).unwrap()).collect();
    Order { usage, subject: Subject::default(), names, days: 30 }
}

fn shown(pem: &str) -> CertificateView {
    match show::items(pem.as_bytes()).unwrap().remove(0) {
        Item::Certificate(view) => *view,
        other => panic!("{other:?}"),
    }
}

#[test]
fn openssl_accepts_what_it_issues_whatever_the_kinds_of_keys() {
    let now = SystemTime::now();
    for kind in KeyKind::ALL {
        let desk = Desk::new();
        let (pair, ca) = authority(kind, 365, now);
        desk.write("ca.crt", &pair.cert_pem);
        desk.write("ca.key", &pair.key_pem);
        desk.openssl("pkey -in ca.key -noout -check");
        // The larger keys take long to make.
        let kinds = if kind == KeyKind::EcdsaP256 { &KeyKind::ALL[..] } else { &[KeyKind::EcdsaP256, kind] };
        for kind in kinds {
            let names = ["www.ilinux.io", "*.magedu.io", "172.16.0.99", "fd00::99"];
            let (_, issued) = ca.issue(&order(Usage::Server, &names), *kind, now).unwrap();
            desk.write("www.crt", &issued.cert_pem);
            desk.write("www.key", &issued.key_pem);
            let good = "-x509_strict -purpose sslserver -verify_hostname";
            for name in ["www.ilinux.io", "a.magedu.io"] {
                assert!(desk.verifies("www.crt", &format!("{good} {name}")), "{name} {kind:?}");
            }
            for ip in ["172.16.0.99", "fd00::99"] {
                assert!(
                    desk.verifies("www.crt", &format!("-x509_strict -purpose sslserver -verify_ip {ip}")),
                    "{ip}"
                );
            }
            assert!(!desk.verifies("www.crt", &format!("{good} other.ilinux.io")));
            assert!(!desk.verifies("www.crt", "-purpose sslclient"));
            let public = desk.openssl("x509 -in www.crt -noout -pubkey");
            assert_eq!(desk.openssl("pkey -in www.key -pubout"), public, "{kind:?}");
        }
    }
}

#[test]
fn a_certificate_has_the_extensions_that_it_needs_and_a_serial_number_of_its_own() {
    let now = SystemTime::now();
    let desk = Desk::new();
    let (pair, ca) = authority(KeyKind::EcdsaP256, 365, now);
    desk.write("ca.crt", &pair.cert_pem);
    let text = desk.openssl("x509 -in ca.crt -noout -text");
    for expected in [
        "Basic Constraints: critical\n                CA:TRUE, pathlen:0",
        "Key Usage: critical\n                Certificate Sign, CRL Sign",
        "Subject Key Identifier",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let (issued, rsa) = ca.issue(&order(Usage::Server, &["www.ilinux.io"]), KeyKind::Rsa2048, now).unwrap();
    desk.write("www.crt", &rsa.cert_pem);
    let text = desk.openssl("x509 -in www.crt -noout -text");
    for expected in [
        "Basic Constraints: critical\n                CA:FALSE",
        "Key Usage: critical\n                Digital Signature, Key Encipherment",
        "Extended Key Usage: \n                TLS Web Server Authentication",
        "Subject Key Identifier",
        "Authority Key Identifier",
        "Subject: CN = www.ilinux.io",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let (other, _) = ca.issue(&order(Usage::Server, &["www.ilinux.io"]), KeyKind::EcdsaP256, now).unwrap();
    assert_ne!(issued.entry.serial, other.entry.serial);
    assert_eq!(shown(&rsa.cert_pem).serial, issued.entry.serial);
}

#[test]
fn a_client_gets_a_certificate_for_clients_and_needs_no_host_name() {
    let now = SystemTime::now();
    let desk = Desk::new();
    let (pair, ca) = authority(KeyKind::EcdsaP256, 365, now);
    desk.write("ca.crt", &pair.cert_pem);
    let mut wang = order(Usage::Client, &[]);
    wang.subject = Subject::new(Some("Wang"), Some("MageEdu")).unwrap();
    wang.names.push(Name::email("wang@ilinux.io").unwrap());
    let (_, issued) = ca.issue(&wang, KeyKind::EcdsaP256, now).unwrap();
    desk.write("wang.crt", &issued.cert_pem);
    assert!(desk.verifies("wang.crt", "-x509_strict -purpose sslclient -verify_email wang@ilinux.io"));
    assert!(!desk.verifies("wang.crt", "-purpose sslserver"));
    assert_eq!(shown(&issued.cert_pem).subject, "O=MageEdu, CN=Wang");
    assert!(matches!(ca.issue(&order(Usage::Client, &[]), KeyKind::EcdsaP256, now), Err(CaError::Nobody)));
    assert!(matches!(ca.issue(&order(Usage::Server, &[]), KeyKind::EcdsaP256, now), Err(CaError::NoName)));
}

#[test]
fn a_name_too_long_for_a_common_name_stands_among_the_names_only() {
    let now = SystemTime::now();
    let desk = Desk::new();
    let (pair, ca) = authority(KeyKind::EcdsaP256, 365, now);
    desk.write("ca.crt", &pair.cert_pem);
    let long = format!("{}.ilinux.io", "w".repeat(60));
    let (_, issued) = ca.issue(&order(Usage::Server, &[&long]), KeyKind::EcdsaP256, now).unwrap();
    desk.write("www.crt", &issued.cert_pem);
    assert!(desk.verifies("www.crt", &format!("-x509_strict -purpose sslserver -verify_hostname {long}")));
    assert_eq!(shown(&issued.cert_pem).subject, "");
}

#[test]
fn nothing_is_valid_for_longer_than_its_authority() {
    let start = SystemTime::now();
    let (pair, ca) = authority(KeyKind::EcdsaP256, 20, start);
    let end = shown(&pair.cert_pem).not_after;
    let issue = |now| ca.issue(&order(Usage::Server, &["www.ilinux.io"]), KeyKind::EcdsaP256, now);
    let (issued, _) = issue(start).unwrap();
    assert_eq!(issued.notes, [Note::Shortened(end)]);
    assert_eq!((shown(&issued.cert_pem).not_after, issued.entry.expires), (end, end));
    let mut shorter = order(Usage::Server, &["www.ilinux.io"]);
    shorter.days = 20;
    let (issued, _) = ca.issue(&shorter, KeyKind::EcdsaP256, start).unwrap();
    assert_eq!(issued.notes, []);
    // An hour ago, but not before the authority was.
    let view = shown(&issued.cert_pem);
    assert_eq!(view.not_before, shown(&pair.cert_pem).not_before);
    assert!(matches!(issue(start + 20 * DAY), Err(CaError::Expired(at)) if at == end));
    assert!(matches!(issue(start - DAY), Err(CaError::NotYet(_))));
}

#[test]
fn an_authority_that_openssl_made_is_taken_with_its_key_in_any_form() {
    for (make, convert) in [
        ("genrsa -out ca.key 2048", "rsa -in ca.key -traditional -out other.key"),
        ("ecparam -name prime256v1 -genkey -out ca.key", "pkcs8 -topk8 -nocrypt -in ca.key -out other.key"),
        (
            "ecparam -name secp384r1 -genkey -noout -out ca.key",
            "pkcs8 -topk8 -nocrypt -in ca.key -out other.key",
        ),
        (
            "ecparam -name secp521r1 -genkey -noout -out ca.key",
            "pkcs8 -topk8 -nocrypt -in ca.key -out other.key",
        ),
        ("genpkey -algorithm ed25519 -out ca.key", "pkey -in ca.key -out other.key"),
    ] {
        let desk = Desk::new();
        desk.openssl(make);
        desk.openssl(convert);
        desk.openssl("req -new -x509 -key ca.key -out ca.crt -days 365 -subj /C=CN/ST=Beijing/O=MageEdu/CN=ca.ilinux.io");
        let now = SystemTime::now();
        for key in ["ca.key", "other.key"] {
            let ca = load(&desk.read("ca.crt"), &desk.read(key)).unwrap();
            let (issued, pair) =
                ca.issue(&order(Usage::Server, &["www.ilinux.io"]), KeyKind::EcdsaP256, now).unwrap();
            desk.write("www.crt", &pair.cert_pem);
            let good = "-purpose sslserver -verify_hostname www.ilinux.io";
            assert!(desk.verifies("www.crt", good), "{make} {key}");
            assert_eq!(ca.entry(pair.cert_pem.as_bytes()).unwrap(), issued.entry);
        }
        let passphrase = "-aes128 -passout pass:secret";
        desk.openssl(&format!("pkey -in ca.key {passphrase} -out pkcs8.key"));
        // Ed25519 has no older form.
        let old = desk.ask(&format!("pkey -in ca.key -traditional {passphrase} -out old.key")).0;
        assert_eq!(old, !make.contains("ed25519"));
        for key in if old { &["pkcs8.key", "old.key"][..] } else { &["pkcs8.key"] } {
            let error = load(&desk.read("ca.crt"), &desk.read(key)).unwrap_err();
            assert!(matches!(error, CaError::EncryptedKey), "{make} {key}: {error}");
        }
    }
}

#[test]
fn what_is_no_authority_is_refused_with_the_reason() {
    let now = SystemTime::now();
    let (pair, ca) = authority(KeyKind::EcdsaP256, 365, now);
    let (_, server) = ca.issue(&order(Usage::Server, &["www.ilinux.io"]), KeyKind::EcdsaP256, now).unwrap();
    let refusal = |cert: &str, key: &str| load(cert.as_bytes(), key.as_bytes()).unwrap_err().to_string();
    for (cert, key, expected) in [
        (&server.cert_pem, &server.key_pem, "basicConstraints say CA:FALSE"),
        (&pair.cert_pem, &server.key_pem, "the key is not the key of the certificate"),
        (&pair.key_pem, &pair.key_pem, "no certificate in PEM form in it, but a private key"),
        (&pair.cert_pem, &pair.cert_pem, "no private key in PEM form in it, but a certificate"),
        (
            &"nonsense".to_owned(),
            &pair.key_pem,
            "no certificate in PEM form in it; if it is DER, `openssl x509 ",
        ),
    ] {
        assert!(refusal(cert, key).contains(expected), "{expected}: {}", refusal(cert, key));
    }
    let desk = Desk::new();
    desk.openssl("genrsa -out ca.key 1024");
    desk.openssl("req -new -x509 -key ca.key -out ca.crt -subj /CN=ca");
    let key = String::from_utf8(desk.read("ca.key")).unwrap();
    assert!(refusal(&pair.cert_pem, &key).contains("RSA of 2048 to 8192 bits"));
    desk.openssl(
        "req -new -x509 -newkey ed25519 -nodes -keyout ca.key -out ca.crt -subj /DC=io/DC=ilinux/CN=ca",
    );
    let error = load(&desk.read("ca.crt"), &desk.read("ca.key")).unwrap_err().to_string();
    assert!(error.contains("DC is in it twice"), "{error}");
    desk.openssl(
        "req -new -x509 -newkey ed25519 -nodes -keyout ca.key -out ca.crt -subj /CN=ca -addext keyUsage=digitalSignature",
    );
    let error = load(&desk.read("ca.crt"), &desk.read("ca.key")).unwrap_err().to_string();
    assert!(error.contains("keyUsage lacks keyCertSign"), "{error}");
    desk.openssl(
        "req -new -x509 -newkey ed25519 -nodes -keyout ca.key -out ca.crt -subj /CN=ca -addext keyUsage=keyCertSign",
    );
    let ca = load(&desk.read("ca.crt"), &desk.read("ca.key")).unwrap();
    let error = ca.crl(&Index::default(), 1, 30, now).unwrap_err().to_string();
    assert!(error.contains("keyUsage lacks cRLSign"), "{error}");
}

#[test]
fn an_authority_below_another_says_what_servers_have_to_send() {
    let desk = Desk::new();
    desk.openssl(
        "req -new -x509 -newkey ed25519 -nodes -keyout root.key -out ca.crt -days 99 -subj /CN=root",
    );
    desk.openssl("req -new -newkey ed25519 -nodes -keyout sub.key -out sub.csr -subj /CN=sub");
    desk.write(
        "ext",
        "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    );
    desk.openssl(
        "x509 -req -in sub.csr -CA ca.crt -CAkey root.key -set_serial 7 -days 90 -extfile ext -out sub.crt",
    );
    let now = SystemTime::now();
    let both = [desk.read("sub.crt"), desk.read("ca.crt")].concat();
    let ca = load(&both, &desk.read("sub.key")).unwrap();
    assert_eq!(ca.above().as_bytes(), desk.read("sub.crt"));
    let (_, issued) = ca.issue(&order(Usage::Server, &["www.ilinux.io"]), KeyKind::EcdsaP256, now).unwrap();
    desk.write("www.crt", &issued.cert_pem);
    desk.write("above.crt", ca.above());
    assert!(desk.verifies("www.crt", "-untrusted above.crt -purpose sslserver"));
    assert_eq!(authority(KeyKind::EcdsaP256, 9, now).1.above(), "");
}

#[test]
fn openssl_refuses_what_was_revoked_and_nothing_else() {
    let now = SystemTime::now();
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let desk = Desk::new();
        let (pair, ca) = authority(kind, 365, now);
        desk.write("ca.crt", &pair.cert_pem);
        let mut index = Index::default();
        for name in ["good", "bad"] {
            let (issued, pair) = ca.issue(&order(Usage::Server, &[name]), kind, now).unwrap();
            desk.write(name, &pair.cert_pem);
            index.add(issued.entry);
        }
        let check = |number: u64, index: &Index| {
            let crl = ca.crl(index, number, 30, now).unwrap();
            assert_eq!(crl.next_update, Date::from(now).plus_days(30));
            desk.write("ca.crl", &crl.pem);
            assert!(desk.openssl("crl -in ca.crl -CAfile ca.crt -noout").contains("verify OK"));
            let check = "-x509_strict -crl_check -CRLfile ca.crl";
            (desk.verifies("good", check), desk.verifies("bad", check))
        };
        assert_eq!(check(1, &index), (true, true));
        let bad = ca.entry(&desk.read("bad")).unwrap();
        index.revoke(bad.clone(), Reason::KeyCompromise, now.into()).unwrap();
        assert_eq!(check(2, &index), (true, false));
        let items = show::items(&desk.read("ca.crl")).unwrap();
        let Item::Crl(view) = &items[0] else { panic!("{items:?}") };
        assert_eq!(view.number.as_deref(), Some("2"));
        let revoked = (bad.serial, Date::from(now), Some("keyCompromise".to_owned()));
        assert_eq!(view.revoked, [revoked]);

        assert!(matches!(ca.entry(pair.cert_pem.as_bytes()), Err(CaError::Itself)));
        let (_, stranger) = authority(kind, 365, now);
        let error = stranger.entry(&desk.read("bad")).unwrap_err();
        assert!(matches!(error, CaError::NotOurs(_)), "one of the same name: {error}");
    }
}

#[test]
fn what_is_shown_is_what_openssl_shows() {
    let now = SystemTime::now();
    let desk = Desk::new();
    let (pair, ca) = authority(KeyKind::EcdsaP384, 365, now);
    let (_, issued) =
        ca.issue(&order(Usage::Server, &["www.ilinux.io", "fd00::99"]), KeyKind::Rsa2048, now).unwrap();
    desk.write("www.crt", &issued.cert_pem);
    let view = shown(&issued.cert_pem);
    let text = desk.openssl("x509 -in www.crt -noout -fingerprint -sha256 -serial -issuer");
    for part in [&view.sha256, &view.serial] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(view.extensions.names, ["DNS:www.ilinux.io", "IP:fd00::99"]);
    assert_eq!((view.key.kind.as_str(), view.signature.as_str()), ("RSA 2048", "ecdsa-with-SHA384"));
    assert_eq!(view.authority_key_id, shown(&pair.cert_pem).key_id);
    assert_eq!(
        (view.issuer.as_str(), view.self_issued, view.extensions.ca),
        ("CN=ca.ilinux.io", false, false)
    );
    let items = show::items(issued.key_pem.as_bytes()).unwrap();
    assert!(matches!(&items[..], [Item::Key(key)] if *key == view.key), "{items:?}");
    // All of a file, in its order.
    let file = [issued.cert_pem, pair.cert_pem, pair.key_pem].concat();
    assert_eq!(show::items(file.as_bytes()).unwrap().len(), 3);
}

#[test]
fn damaged_bytes_are_shown_or_refused_and_never_make_it_panic() {
    let now = SystemTime::now();
    let desk = Desk::new();
    let (pair, ca) = authority(KeyKind::EcdsaP256, 365, now);
    let mut index = Index::default();
    index
        .revoke(
            ca.issue(&order(Usage::Server, &["w"]), KeyKind::EcdsaP256, now).unwrap().0.entry,
            Reason::Superseded,
            now.into(),
        )
        .unwrap();
    desk.openssl(
        "req -new -newkey ed25519 -nodes -keyout k -out r -subj /CN=w -addext subjectAltName=DNS:w,IP:::1",
    );
    let crl = ca.crl(&index, 1, 30, now).unwrap().pem;
    for text in [pair.cert_pem.as_bytes(), pair.key_pem.as_bytes(), crl.as_bytes(), &desk.read("r")] {
        let mut block = pem::blocks(text).unwrap().remove(0);
        assert!(show::item(&block).is_ok());
        for at in 0..block.der.len() {
            for mask in [0x01, 0x20, 0x80, 0xff] {
                block.der[at] ^= mask;
                let _ = (show::item(&block), Request::from_der(&block.der));
                let _ = authority::certificate(&block.der).map(|cert| Subject::try_from(cert.subject()));
                block.der[at] ^= mask;
            }
            let rest = block.der.split_off(at);
            assert!(show::item(&block).is_err(), "{:?} of {at} bytes", block.kind);
            block.der.extend(rest);
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<Vec<u8>>()) {
        let _ = (show::items(&text), Request::read(&text), load(&text, &text));
        let text = String::from_utf8_lossy(&text);
        let _ = (Subject::parse(&format!("/{text}")), Index::parse(&text), Name::dns(&text), Name::email(&text));
    }
}
