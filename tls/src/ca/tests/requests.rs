//! Requests that openssl makes, and worse ones.

use x509_parser::pem::Pem;

use super::*;

/// The request of `openssl req -new` with a key made like this.
fn request(desk: &Desk, key: &str, more: &str) -> Vec<u8> {
    desk.openssl(&format!("genpkey {key} -out www.key"));
    desk.openssl(&format!("req -new -key www.key -out www.csr {more}"));
    desk.read("www.csr")
}

const SUBJECT: &str = "-subj /C=CN/ST=Beijing/L=Beijing/O=MageEdu/OU=devops/CN=www.ilinux.io";
const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

fn notes(issued: &Issued) -> String {
    issued.notes.iter().map(|note| format!("{note}\n")).collect()
}

#[test]
fn a_request_of_openssl_is_signed_with_its_subject_its_key_and_its_names() {
    let now = SystemTime::now();
    for (key, hash) in [
        ("-algorithm RSA", "-sha256"),
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:3072", "-sha512"),
        (P256, "-sha256"),
        // The hash says nothing about the curve.
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-384", "-sha256"),
        (P256, "-sha384"),
        ("-algorithm ed25519", "-sha256"),
    ] {
        let desk = Desk::new();
        let (pair, ca) = authority(KeyKind::EcdsaP256, 365, now);
        desk.write("ca.crt", &pair.cert_pem);
        let names = "-addext subjectAltName=DNS:www.ilinux.io,DNS:*.ilinux.io,IP:172.16.0.99,IP:fd00::99";
        for (names, host, said) in
            [(names, "a.ilinux.io", ""), ("", "www.ilinux.io", "its common name is taken")]
        {
            let csr = request(&desk, key, format!("{hash} {SUBJECT} {names}").trim_end());
            let request = Request::read(&csr).unwrap();
            let issued = ca.sign(&request, order(Usage::Server, &[]), now).unwrap();
            assert_eq!(notes(&issued).is_empty(), said.is_empty());
            assert!(notes(&issued).contains(said), "{key}: {}", notes(&issued));
            desk.write("www.crt", &issued.cert_pem);
            let good = format!("-x509_strict -purpose sslserver -verify_hostname {host}");
            assert!(desk.verifies("www.crt", &good), "{key} {host}");
            for part in ["subject", "pubkey"] {
                let of = |kind: &str| desk.openssl(&format!("{kind} -noout -{part}"));
                assert_eq!(of("x509 -in www.crt"), of("req -in www.csr"), "{key}");
            }
            assert_eq!(issued.entry.subject, SUBJECT.trim_start_matches("-subj "));
        }
    }
}

#[test]
fn what_a_request_may_not_have_is_not_granted_and_said() {
    let now = SystemTime::now();
    let (_, ca) = authority(KeyKind::EcdsaP256, 365, now);
    let desk = Desk::new();
    let more = format!(
        "{SUBJECT} -addext basicConstraints=critical,CA:TRUE -addext keyUsage=digitalSignature,keyCertSign -addext \
         extendedKeyUsage=serverAuth,clientAuth,codeSigning -addext nsComment=hello -addext \
         subjectAltName=DNS:www.ilinux.io,RID:1.2.3,otherName:1.2.3;UTF8:x"
    );
    let request = Request::read(&request(&desk, P256, &more)).unwrap();
    let issued = ca.sign(&request, order(Usage::Server, &[]), now).unwrap();
    let said = notes(&issued);
    for expected in [
        "CA:TRUE",
        "key usage keyCertSign",
        "extended key usage clientAuth",
        "extended key usage codeSigning",
        "extension nsComment",
        "name of another kind (RegisteredID(1.2.3",
        "name of another kind (OtherName(1.2.3",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let view = shown(&issued.cert_pem);
    assert_eq!(view.extensions.names, ["DNS:www.ilinux.io"]);
    assert!(!view.extensions.ca);
    assert_eq!(view.extensions.key_usage, ["digitalSignature"]);
    assert_eq!(view.extensions.extended_key_usage, ["serverAuth"]);

    let client = ca.sign(&request, order(Usage::Client, &[]), now).unwrap();
    assert_eq!(shown(&client.cert_pem).extensions.extended_key_usage, ["clientAuth"]);
    assert!(notes(&client).contains("serverAuth") && !notes(&client).contains("clientAuth"));
}

#[test]
fn names_of_the_order_replace_those_of_the_request() {
    let now = SystemTime::now();
    let (_, ca) = authority(KeyKind::EcdsaP256, 365, now);
    let desk = Desk::new();
    let csr = request(&desk, P256, &format!("{SUBJECT} -addext subjectAltName=DNS:www.ilinux.io"));
    let request = Request::read(&csr).unwrap();
    let issued = ca.sign(&request, order(Usage::Server, &["web.ilinux.io", "10.0.0.1"]), now).unwrap();
    assert_eq!(shown(&issued.cert_pem).extensions.names, ["DNS:web.ilinux.io", "IP:10.0.0.1"]);
    assert_eq!(notes(&issued), "the names in the request are left out: DNS:www.ilinux.io\n");
}

#[test]
fn a_common_name_is_a_name_of_a_server_only_if_it_can_be_one() {
    let now = SystemTime::now();
    let (_, ca) = authority(KeyKind::EcdsaP256, 365, now);
    let desk = Desk::new();
    let read = |cn: &str| Request::read(&request(&desk, P256, &format!("-subj {cn}"))).unwrap();
    let address = ca.sign(&read("/CN=172.16.0.99"), order(Usage::Server, &[]), now).unwrap();
    assert_eq!(shown(&address.cert_pem).extensions.names, ["IP:172.16.0.99"]);
    let wang = read("/CN=Wang_&_Co");
    let error = ca.sign(&wang, order(Usage::Server, &[]), now).unwrap_err();
    assert!(matches!(&error, CaError::CommonName(name) if name == "Wang_&_Co"), "{error}");
    let client = ca.sign(&wang, order(Usage::Client, &[]), now).unwrap();
    assert_eq!((client.notes.len(), shown(&client.cert_pem).subject.as_str()), (0, "CN=Wang_&_Co"));
    assert!(matches!(ca.sign(&read("/O=M"), order(Usage::Server, &[]), now), Err(CaError::NoName)));
}

#[test]
fn the_subject_of_a_request_stays_as_it_is() {
    let (_, ca) = authority(KeyKind::EcdsaP256, 365, SystemTime::now());
    let desk = Desk::new();
    for (subject, shown_as) in [("/O=MageEdu", "O=MageEdu"), ("/", "")] {
        let csr = request(&desk, P256, &format!("-subj {subject} -addext subjectAltName=DNS:www.ilinux.io"));
        let issued =
            ca.sign(&Request::read(&csr).unwrap(), order(Usage::Server, &[]), SystemTime::now()).unwrap();
        assert_eq!((shown(&issued.cert_pem).subject.as_str(), issued.notes.len()), (shown_as, 0));
    }
}

#[test]
fn a_request_that_proves_nothing_is_refused() {
    let desk = Desk::new();
    let read = |key: &str, more: &str| Request::read(&request(&desk, key, more)).unwrap_err().to_string();
    for (key, more, expected) in [
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:1024", SUBJECT, "RSA of 2048"),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-521",
            SUBJECT,
            "cannot be checked here: ecdsa-with-SHA256 with a key ECDSA P-521",
        ),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", SUBJECT, "cannot be checked here"),
        (P256, "-subj /CN=www -addext subjectAltName=DNS:a_b..c", "\"a_b..c\" is no DNS name"),
        (P256, "-subj /CN=www -addext subjectAltName=email:w", "\"w\" is no e-mail address"),
        (P256, "-subj /OU=a/OU=b", "OU is in it twice"),
        (P256, "-multivalue-rdn -subj /OU=a+CN=b", "two attributes"),
    ] {
        let error = read(key, more);
        assert!(error.contains(expected), "{key} {more}: {error}");
    }
    assert!(Request::read(&desk.read("www.key")).unwrap_err().to_string().contains("but a private key"));
}

#[test]
fn a_request_is_refused_if_any_byte_of_it_or_of_its_signature_was_changed() {
    let desk = Desk::new();
    let csr =
        request(&desk, "-algorithm ed25519", &format!("{SUBJECT} -addext subjectAltName=DNS:www.ilinux.io"));
    let (pem, _) = Pem::read(std::io::Cursor::new(&csr)).unwrap();
    assert!(Request::from_der(&pem.contents).is_ok());
    // What is signed, the signature's algorithm (7 octets) and header (3), the signature (64).
    let signed = pem.contents.len() - 74;
    for at in (0..signed).chain(signed + 10..pem.contents.len()) {
        let mut der = pem.contents.clone();
        der[at] ^= 1;
        assert!(Request::from_der(&der).is_err(), "byte {at}");
    }
}
