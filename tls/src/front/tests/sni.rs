//! Which certificate a client gets.

use super::*;
use SignatureScheme::{ECDSA_NISTP256_SHA256, ED25519, RSA_PKCS1_SHA256, RSA_PSS_SHA256};

const ANY: &[SignatureScheme] = &[ECDSA_NISTP256_SHA256, ED25519, RSA_PSS_SHA256, RSA_PKCS1_SHA256];

/// Which of `made` a client gets that asks for this name.
fn served(front: &Front, made: &[&Made], name: &str, schemes: &[SignatureScheme]) -> Result<usize, Failure> {
    let session = meet(front, &Arc::new(credulous(TLS13, schemes)), name)?;
    let old = meet(front, &Arc::new(credulous(TLS12, schemes)), name)?;
    assert_eq!(session.certificate(), old.certificate(), "the version makes no difference");
    Ok(made.iter().position(|made| made.der == *session.certificate()).unwrap())
}

#[test]
fn a_name_is_found_exactly_then_by_wildcard_then_the_first_pair_serves() {
    let ca = Ca::new("ca");
    let made: Vec<_> = [["www.example"], ["*.shop.example"], ["new.shop.example"]]
        .iter()
        .map(|names| ca.issue(names, Kind::P256))
        .collect();
    let made: Vec<_> = made.iter().collect();
    let front = front(&settings(&made));
    for (name, place) in [
        ("www.example", 0),
        ("WWW.eXaMple", 0),
        ("www.example.", 0),
        ("old.shop.example", 1),
        ("OLD.SHOP.EXAMPLE", 1),
        ("new.shop.example", 2),
        ("very.old.shop.example", 0),
        ("shop.example", 0),
        ("elsewhere.example", 0),
        ("10.0.0.1", 0),
    ] {
        assert_eq!(served(&front, &made, name, ANY), Ok(place), "{name}");
    }
}

#[test]
fn dots_at_the_end_and_capitals_do_not_matter_in_certificates_either() {
    let ca = Ca::new("ca");
    let mut params = params("capitals");
    params.subject_alt_names = vec![
        rcgen::SanType::DnsName("WWW.Example".try_into().unwrap()),
        rcgen::SanType::DnsName("*.B.EXAMPLE".try_into().unwrap()),
    ];
    let made = ca.sign(&params, &Kind::P256.key());
    let front = front(&FrontSettings { unknown_name: UnknownName::Refuse, ..settings(&[&made]) });
    assert!(front.names.find(Some("WWW.example.")).is_ok());
    assert!(front.names.find(Some("a.b.example")).is_ok());
    assert!(front.names.find(Some(".b.example")).is_ok(), "rustls lets no such name through");
}

#[test]
fn unknown_names_are_refused_where_the_front_says_so() {
    let ca = Ca::new("ca");
    let (www, address) = (ca.issue(&["www.example"], Kind::P256), ca.issue(&["10.0.0.1"], Kind::P256));
    let refusing =
        |made: &[&Made]| front(&FrontSettings { unknown_name: UnknownName::Refuse, ..settings(made) });
    let only_names = refusing(&[&www]);
    assert_eq!(served(&only_names, &[&www], "www.example", ANY), Ok(0));
    let refused = |name| served(&only_names, &[&www], name, ANY);
    assert_eq!(refused("other.example"), Err(Failure::Refused(Refused::UnknownName)));
    assert_eq!(refused("10.0.0.1"), Err(Failure::Refused(Refused::NoName)));
    let both = refusing(&[&www, &address]);
    assert_eq!(served(&both, &[&www, &address], "10.0.0.1", ANY), Ok(1));
    assert_eq!(
        served(&both, &[&www, &address], "other.example", ANY),
        Err(Failure::Refused(Refused::UnknownName))
    );
}

#[test]
fn who_asks_for_no_name_gets_the_first_certificate_for_an_address() {
    let ca = Ca::new("ca");
    let www = ca.issue(&["www.example"], Kind::P256);
    let (one, two) = (ca.issue(&["10.0.0.1"], Kind::Rsa), ca.issue(&["10.0.0.2"], Kind::P256));
    let same = ca.issue(&["10.0.0.1"], Kind::Ed25519);
    let made = [&www, &one, &two, &same];
    let front = front(&settings(&made));
    assert_eq!(
        served(&front, &made, "10.0.0.1", ANY),
        Ok(3),
        "which of two for the same address is the key's affair"
    );
    assert_eq!(served(&front, &made, "10.0.0.1", &[RSA_PSS_SHA256]), Ok(1));
    assert_eq!(
        served(&front, &made, "other.example", ANY),
        Ok(0),
        "but names that nobody has are the first pair's"
    );
}

#[test]
fn of_two_certificates_for_a_name_the_client_gets_one_it_can_verify_rsa_last() {
    let ca = Ca::new("ca");
    let rsa = ca.issue(&["www.example"], Kind::Rsa);
    let ecdsa = ca.issue(&["www.example"], Kind::P256);
    let made = [&rsa, &ecdsa];
    let front = front(&settings(&made));
    for name in ["www.example", "other.example", "10.0.0.1"] {
        assert_eq!(served(&front, &made, name, ANY), Ok(1), "{name}");
        assert_eq!(served(&front, &made, name, &[RSA_PSS_SHA256, RSA_PKCS1_SHA256]), Ok(0), "{name}");
    }
}

#[test]
fn a_tls_1_2_client_without_suites_for_ecdsa_gets_rsa() {
    let ca = Ca::new("ca");
    let (rsa, ecdsa) = (ca.issue(&["www.example"], Kind::Rsa), ca.issue(&["www.example"], Kind::P256));
    let front = front(&settings(&[&rsa, &ecdsa]));
    let mut provider = CryptoProvider::clone(&provider());
    provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains("ECDHE_RSA"));
    let config = client_builder(provider, TLS12)
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous {
            schemes: ANY.to_vec(),
            ..Credulous::default()
        }))
        .with_no_client_auth();
    let session = meet(&front, &Arc::new(config), "www.example").unwrap();
    assert_eq!(session.certificate(), &rsa.der);
}

#[test]
fn a_client_that_can_verify_nothing_learns_that_the_handshake_failed() {
    let front = front(&settings(&[&Ca::new("ca").issue(&["www.example"], Kind::P256)]));
    let met = meet(&front, &Arc::new(credulous(TLS13, &[ED25519])), "www.example");
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
    assert!(matches!(met, Err(Failure::Handshake { client: Some(told), .. }) if told == alert));
}

#[test]
fn a_pair_that_would_never_be_used_is_told_of() {
    let ca = Ca::new("ca");
    let (one, other) =
        (ca.issue(&["a.example", "b.example"], Kind::P256), ca.issue(&["b.example"], Kind::P256));
    let rsa = ca.issue(&["b.example"], Kind::Rsa);
    let mut settings = settings(&[&one, &rsa, &other]);
    settings.pairs[2].chain.name = "other.crt".to_owned();
    let (_, warnings) = Front::new(&settings, &Clock::at(*NOW)).unwrap();
    let [Warning::Shadowed { file, name, other }] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!((file.as_str(), name.as_str(), other.as_str()), ("other.crt", "b.example", "www.crt"));
}
