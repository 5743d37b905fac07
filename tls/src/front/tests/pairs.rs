//! Certificates and keys, as people have them in files.

use std::process::Command;

use proptest::prelude::*;

use super::*;

fn made(files: &PairFiles) -> (Pair, Vec<Warning>) {
    Pair::new(files, *NOW).unwrap()
}

fn refused(files: &PairFiles) -> String {
    Pair::new(files, *NOW).unwrap_err().to_string()
}

#[test]
fn a_pair_tells_what_a_listing_shows() {
    let ca = Ca::new("ca");
    for (kind, shown) in [
        (Kind::P256, "ECDSA P-256"),
        (Kind::P384, "ECDSA P-384"),
        (Kind::Ed25519, "Ed25519"),
        (Kind::Rsa, "RSA 2048"),
    ] {
        let made = ca.issue(&["www.example", "*.b.example", "10.0.0.1", "fd00::1"], kind);
        let (pair, warnings) = self::made(&made.files());
        assert_eq!(warnings, []);
        assert_eq!(pair.kind().to_string(), shown);
        let names: Vec<_> = pair.names().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["www.example", "*.b.example", "10.0.0.1", "fd00::1"]);
        assert_eq!((pair.subject(), pair.issuer(), pair.file()), ("CN=www.example", "CN=ca", "www.crt"));
        assert_eq!((pair.not_before(), pair.not_after()), (*NOW - DAY, *NOW + 30 * DAY));
        assert_eq!(*pair.fingerprint(), Fingerprint::of(&made.der));
        assert_eq!(
            pair.fingerprint().to_string().replace(':', "")[..16].to_lowercase(),
            pair.fingerprint().short()
        );
    }
}

#[test]
fn the_front_tells_when_the_first_certificate_expires() {
    let ca = Ca::new("ca");
    let long = ca.issue(&["a.example"], Kind::P256);
    let mut params = params("b.example");
    params.not_after = (*NOW + 3 * DAY).into();
    let short = ca.sign(&params, &Kind::P256.key());
    let front = front(&settings(&[&long, &short]));
    assert_eq!(front.expires(), Some(*NOW + 3 * DAY));
    let subjects: Vec<_> = front.pairs().iter().map(Pair::subject).collect();
    assert_eq!(subjects, ["CN=a.example", "CN=b.example"]);
}

#[test]
fn a_chain_out_of_order_is_put_in_order_and_its_owner_is_told() {
    let root = Ca::new("root");
    let between = root.below("between");
    let www = between.issue(&["www.example"], Kind::P256);
    let in_order = [&www.pem, &between.made.pem, &root.made.pem];
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1]] {
        let chain: String = order.iter().map(|place| in_order[*place].as_str()).collect();
        let (pair, warnings) = made(&files(&chain, &www.key));
        assert_eq!(pair.certified.cert, [www.der.clone(), between.made.der.clone(), root.made.der.clone()]);
        assert_eq!(pair.subject(), "CN=www.example");
        let told = warnings == [Warning::Reordered { file: "www.crt".to_owned() }];
        assert_eq!(told, order != [0, 1, 2], "{warnings:?}");
    }
}

#[test]
fn a_client_that_trusts_the_root_accepts_a_chain_that_was_out_of_order() {
    let root = Ca::new("root");
    let between = root.below("between");
    let www = between.issue(&["www.example"], Kind::P256);
    let pairs = vec![files(&format!("{}{}", between.made.pem, www.pem), &www.key)];
    let front = front(&FrontSettings { pairs, ..settings(&[]) });
    meet(&front, &Arc::new(client(&root, TLS13)), "www.example").unwrap();
}

#[test]
fn what_does_not_belong_to_the_chain_comes_last_and_what_is_there_twice_once() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let www = ca.issue(&["www.example"], Kind::P256);
    let chain = format!("{}{}{}{}", www.pem, www.pem, other.made.pem, ca.made.pem);
    let (pair, warnings) = made(&files(&chain, &www.key));
    assert_eq!(pair.certified.cert, [www.der, ca.made.der, other.made.der]);
    let file = "www.crt".to_owned();
    let unrelated = Warning::Unrelated { file: file.clone(), subject: "CN=other".to_owned() };
    assert_eq!(warnings, [Warning::Reordered { file }, unrelated]);
}

#[test]
fn one_file_may_hold_both_and_of_several_keys_the_right_one_is_taken() {
    let ca = Ca::new("ca");
    let (www, other) = (ca.issue(&["www.example"], Kind::P256), ca.issue(&["other.example"], Kind::Ed25519));
    let all = format!("{}{}{}", other.key, www.key, www.pem);
    assert_eq!(made(&files(&all, &all)).0.subject(), "CN=www.example");
}

#[test]
fn a_key_of_somebody_else_is_refused() {
    let ca = Ca::new("ca");
    let (www, other) = (ca.issue(&["www.example"], Kind::P256), ca.issue(&["www.example"], Kind::P256));
    assert_eq!(
        refused(&files(&www.pem, &other.key)),
        "www.key: the private key belongs to none of the certificates in www.crt: `openssl x509 -noout -pubkey -in \
         www.crt` and `openssl pkey -pubout -in www.key` should agree"
    );
}

#[test]
fn time_is_what_the_clock_says() {
    let www = Ca::new("ca").issue(&["www.example"], Kind::P256);
    let at = |now| Pair::new(&www.files(), now).map(|_| ()).map_err(|error| error.to_string());
    let (first, last, second) = (*NOW - DAY, *NOW + 30 * DAY, Duration::from_secs(1));
    assert_eq!([at(first), at(last)], [Ok(()), Ok(())]);
    assert_eq!(
        at(last + second).unwrap_err(),
        "www.crt: the certificate of CN=www.example has expired (Feb 14 08:00:00 2027 +00:00): it has to be renewed"
    );
    assert!(
        at(first - second).unwrap_err().contains("is not valid yet (not before Jan 14 08:00:00 2027 +00:00)")
    );
}

#[test]
fn an_issuer_that_has_expired_is_told_of() {
    let root = Ca::new("root");
    let mut params = ca_params("between");
    params.not_after = (*NOW - DAY / 2).into();
    let key = Kind::P256.key();
    let made = root.sign(&params, &key);
    let between = Ca { issuer: Issuer::new(params, key), made };
    let www = between.issue(&["www.example"], Kind::P256);
    let (_, warnings) = self::made(&files(&format!("{}{}", www.pem, between.made.pem), &www.key));
    let told = Warning::IssuerNotValid { file: "www.crt".to_owned(), subject: "CN=between".to_owned() };
    assert_eq!(warnings, [told]);
}

#[test]
fn files_that_hold_something_else_are_named_with_the_way_out() {
    let www = Ca::new("ca").issue(&["www.example"], Kind::P256);
    let pem = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
    for (chain, key, says) in [
        (
            "",
            www.key.as_str(),
            "www.crt: no certificate in it: it should have a line -----BEGIN CERTIFICATE-----",
        ),
        (&www.key, &www.key, "www.crt: no certificate in it"),
        (&pem("CERTIFICATE"), &www.key, "www.crt: certificate 1 in it is damaged"),
        (&format!("{}{}", www.pem, pem("CERTIFICATE")), &www.key, "www.crt: certificate 2 in it is damaged"),
        ("-----BEGIN CERTIFICATE-----\n", &www.key, "www.crt: not readable as PEM"),
        (&www.pem, "", "www.key: no private key in it"),
        (&www.pem, &www.pem, "www.key: no private key in it"),
        (&www.pem, &pem("PRIVATE KEY"), "www.key: not a private key that can be used"),
        (&www.pem, &pem("DSA PRIVATE KEY"), "www.key: not a private key that can be used"),
        (&www.pem, &pem("OPENSSH PRIVATE KEY"), "www.key: not a private key that can be used"),
        (
            &www.pem,
            &pem("ENCRYPTED PRIVATE KEY"),
            "www.key: the private key is encrypted: `openssl pkey -in www.key",
        ),
    ] {
        let error = refused(&files(chain, key));
        assert!(error.starts_with(says), "{error}");
    }
    let der = PairFiles { chain: source("www.der", &www.der), ..www.files() };
    assert!(refused(&der).contains("`openssl x509 -inform der -in www.der -out FILE` makes PEM of it"));
    assert!(matches!(Front::new(&FrontSettings::default(), &Clock::at(*NOW)), Err(FrontError::NoPair)));
}

#[test]
fn what_is_stapled_is_an_ocsp_response() {
    let ca = Ca::new("ca");
    let www = ca.issue(&["www.example"], Kind::P256);
    let with = |bytes: &[u8]| PairFiles { ocsp: Some(source("www.ocsp", bytes)), ..www.files() };
    let good = [0x30, 3, 0x0a, 1, 0];
    assert_eq!(made(&with(&good)).0.certified.ocsp, Some(good.to_vec()));
    for (bytes, says) in [
        (&b"nonsense"[..], "www.ocsp: not an OCSP response: it is not DER"),
        (&[], "www.ocsp: not an OCSP response: it is not DER"),
        (&[0x30, 3, 0x0a, 1], "www.ocsp: not an OCSP response: it is not DER"),
        (&[0x30, 3, 0x0a, 1, 0, 0], "www.ocsp: not an OCSP response: it is not DER"),
        (&[0x30, 0], "www.ocsp: not an OCSP response: it is not a DER sequence"),
        (&[0x0a, 1, 0], "www.ocsp: not an OCSP response: it is not a DER sequence"),
        (&[0x30, 3, 0x0a, 1, 6], "www.ocsp: not an OCSP response: it says that the responder failed"),
    ] {
        assert!(refused(&with(bytes)).starts_with(says), "{bytes:?}: {}", refused(&with(bytes)));
    }
}

#[test]
fn a_certificate_that_demands_stapling_says_so_where_nothing_is_stapled() {
    let ca = Ca::new("ca");
    let mut params = params("www.example");
    params.subject_alt_names = vec![rcgen::SanType::DnsName("www.example".try_into().unwrap())];
    let feature =
        rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], vec![0x30, 3, 2, 1, 5]);
    params.custom_extensions = vec![feature];
    let www = ca.sign(&params, &Kind::P256.key());
    let told = Warning::MustStaple { file: "www.crt".to_owned(), subject: "CN=www.example".to_owned() };
    assert_eq!(made(&www.files()).1, [told]);
    let ocsp = Some(source("www.ocsp", [0x30, 3, 0x0a, 1, 0]));
    assert_eq!(made(&PairFiles { ocsp, ..www.files() }).1, []);
}

#[test]
fn a_certificate_that_says_where_its_issuers_is_comes_with_it() {
    let root = Ca::new("root");
    let between = root.below("between");
    let mut params = params("www.example");
    params.subject_alt_names = CertificateParams::new(["www.example".to_owned()]).unwrap().subject_alt_names;
    // SEQUENCE { SEQUENCE { caIssuers, [6] "http://ca/ca.crt" } }
    let mut access = vec![0x30, 30, 0x30, 28, 6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86, 16];
    access.extend(b"http://ca/ca.crt");
    params.custom_extensions =
        vec![rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access)];
    let www = between.sign(&params, &Kind::P256.key());
    let (file, subject) = ("www.crt".to_owned(), "CN=www.example".to_owned());
    let told = Warning::Alone { file, subject, issuer: "http://ca/ca.crt".to_owned() };
    assert_eq!(made(&www.files()).1, [told]);
    assert_eq!(made(&files(&format!("{}{}", www.pem, between.made.pem), &www.key)).1, []);
}

/// Keys and certificates as openssl makes them, in a folder of their own. The commands are a shell's.
fn openssl(commands: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh").args(["-ec", commands]).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dir
}

fn read(dir: &tempfile::TempDir, name: &str) -> Source {
    source(name, std::fs::read(dir.path().join(name)).unwrap())
}

#[test]
fn keys_of_every_form_that_openssl_writes_are_read() {
    let dir = openssl(
        "openssl genrsa -traditional -out pkcs1.key 2048
         openssl genrsa -out pkcs8.key 2048
         openssl ecparam -genkey -name prime256v1 -out sec1.key
         openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.key
         openssl genpkey -algorithm ed25519 -out ed25519.key
         for key in *.key; do openssl req -new -x509 -key $key -subj /CN=www.example -days 30 -out ${key%key}crt; done",
    );
    for name in ["pkcs1", "pkcs8", "sec1", "p384", "ed25519"] {
        let files = PairFiles {
            chain: read(&dir, &format!("{name}.crt")),
            key: read(&dir, &format!("{name}.key")),
            ocsp: None,
        };
        let (pair, warnings) = Pair::new(&files, SystemTime::now()).unwrap();
        assert_eq!(
            pair.names(),
            [Name::Dns("www.example".to_owned())],
            "{name}: the common name serves for one"
        );
        assert!(matches!(&warnings[..], [Warning::NoNames { .. }]), "{warnings:?}");
    }
}

#[test]
fn what_openssl_encrypts_or_makes_too_small_is_refused() {
    let dir = openssl(
        "openssl genrsa -out plain.key 2048
         openssl req -new -x509 -key plain.key -subj /CN=www.example -days 30 -out plain.crt
         openssl pkcs8 -topk8 -in plain.key -passout pass:secret -out pkcs8.key
         openssl rsa -in plain.key -aes128 -traditional -passout pass:secret -out pkcs1.key
         openssl genrsa -out small.key 1024
         openssl genpkey -algorithm ed448 -out ed448.key",
    );
    let refused = |name| {
        let files = PairFiles { chain: read(&dir, "plain.crt"), key: read(&dir, name), ocsp: None };
        Pair::new(&files, SystemTime::now()).unwrap_err().to_string()
    };
    for name in ["pkcs8.key", "pkcs1.key"] {
        let says = format!("{name}: the private key is encrypted: `openssl pkey -in {name} -out FILE`");
        assert!(refused(name).starts_with(&says), "{}", refused(name));
    }
    for name in ["small.key", "ed448.key"] {
        assert!(refused(name).contains("not a private key that can be used"), "{}", refused(name));
    }
}

#[test]
fn names_and_fingerprints_are_spelled_as_openssl_spells_them() {
    let dir = openssl(
        "openssl genpkey -algorithm ed25519 -out www.key
         openssl req -new -x509 -utf8 -key www.key -out www.crt -days 30 \
           -subj '/C=CN/ST=Beijing/O=A, B \\+ \"C\"/OU=ü;<x>/CN=#www /emailAddress=a@b.example'
         openssl x509 -in www.crt -noout -subject -nameopt RFC2253 > subject
         openssl x509 -in www.crt -noout -fingerprint -sha256 > fingerprint",
    );
    let files = PairFiles { chain: read(&dir, "www.crt"), key: read(&dir, "www.key"), ocsp: None };
    let (pair, _) = Pair::new(&files, SystemTime::now()).unwrap();
    let said = |name| {
        String::from_utf8(read(&dir, name).bytes).unwrap().trim_end().split_once('=').unwrap().1.to_owned()
    };
    assert_eq!(pair.subject(), said("subject"));
    assert_eq!(pair.fingerprint().to_string(), said("fingerprint"));
}

/// Texts that look like PEM more often than chance has it.
fn pem_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[A-Za-z0-9+/=\\n]{0,80}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            "-----BEGIN CERTIFICATE-----\n",
            "-----END CERTIFICATE-----\n",
            "-----BEGIN PRIVATE KEY-----\n",
            "-----END PRIVATE KEY-----\n",
            "-----BEGIN X509 CRL-----\n",
            "-----END X509 CRL-----\n",
            "MIIBszCCAVqgAwIBAgI",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

static WWW: LazyLock<Made> = LazyLock::new(|| Ca::new("ca").issue(&["www.example", "10.0.0.1"], Kind::P256));

proptest! {
    #[test]
    fn no_text_is_too_strange_for_an_answer(chain in pem_like(), key in pem_like(), ocsp in prop::collection::vec(any::<u8>(), 0..30)) {
        let strange = |name: &str, bytes: &Vec<u8>| source(name, bytes);
        let files = PairFiles { chain: strange("c", &chain), key: strange("k", &key), ocsp: None };
        prop_assert!(Pair::new(&files, *NOW).is_err());
        let ocsp = PairFiles { ocsp: Some(strange("o", &ocsp)), ..WWW.files() };
        let _ = Pair::new(&ocsp, *NOW);
        let authorities = Authorities { ca: strange("c", &chain), crls: vec![strange("l", &key)] };
        prop_assert!(ClientCertificates::Optional(authorities).verification(*NOW, &mut Vec::new()).is_err());
    }

    /// A certificate with a byte changed is a certificate with other contents, or none; never the end of the program.
    #[test]
    fn a_damaged_certificate_has_an_answer_too(at: prop::sample::Index, byte: u8) {
        let mut der = WWW.der.to_vec();
        let at = at.index(der.len());
        der[at] = byte;
        let ders = [CertificateDer::from(der)];
        if let Ok(certificates) = certificate::parsed("c", &ders) {
            let _ = subject::rfc4514(certificates[0].subject());
        }
    }
}
