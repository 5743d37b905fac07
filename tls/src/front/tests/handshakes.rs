//! Versions, suites, groups, ALPN, stapling: what is agreed upon.

use rustls::{AlertDescription, CipherSuite, Error, NamedGroup, ProtocolVersion};

use super::*;

#[test]
fn every_kind_of_key_serves_every_version_that_its_profile_has() {
    let ca = Ca::new("ca");
    for kind in Kind::ALL {
        let made = ca.issue(&["www.example"], kind);
        for (profile, versions, served) in [
            (Profile::Modern, TLS13, Some(ProtocolVersion::TLSv1_3)),
            (Profile::Modern, TLS12, None),
            (Profile::Intermediate, TLS13, Some(ProtocolVersion::TLSv1_3)),
            (Profile::Intermediate, TLS12, Some(ProtocolVersion::TLSv1_2)),
        ] {
            let front = front(&FrontSettings { profile, ..settings(&[&made]) });
            let met = meet(&front, &Arc::new(client(&ca, versions)), "www.example");
            match (served, met) {
                (Some(version), Ok(session)) => {
                    assert_eq!(session.server.protocol_version(), Some(version));
                    assert_eq!(session.certificate(), &made.der);
                }
                (None, Err(Failure::Handshake { client, .. })) => {
                    assert_eq!(client, Some(Error::AlertReceived(AlertDescription::ProtocolVersion)));
                }
                (_, other) => panic!("{kind:?}, {profile:?}: {other:?}"),
            }
        }
    }
}

fn suite(front: &Front, ca: &Ca, versions: Versions, offered: &[CipherSuite]) -> CipherSuite {
    let mut provider = CryptoProvider::clone(&provider());
    provider.cipher_suites = offered
        .iter()
        .map(|wanted| *provider.cipher_suites.iter().find(|suite| suite.suite() == *wanted).unwrap())
        .collect();
    let session = meet(front, &Arc::new(client_of(ca, provider, versions)), "www.example").unwrap();
    session.server.negotiated_cipher_suite().unwrap().suite()
}

#[test]
fn aes_128_is_chosen_whatever_the_clients_order_unless_it_wants_chacha20() {
    use CipherSuite::*;
    let ca = Ca::new("ca");
    let front = front(&settings(&[&ca.issue(&["www.example"], Kind::P256)]));
    let (aes128, aes256, chacha20) =
        (TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256);
    assert_eq!(suite(&front, &ca, TLS13, &[aes256, chacha20, aes128]), aes128);
    assert_eq!(suite(&front, &ca, TLS13, &[aes256, chacha20]), aes256);
    assert_eq!(suite(&front, &ca, TLS13, &[chacha20, aes256, aes128]), chacha20);
    let (aes128, aes256, chacha20) = (
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    );
    assert_eq!(suite(&front, &ca, TLS12, &[aes256, chacha20, aes128]), aes128);
    assert_eq!(suite(&front, &ca, TLS12, &[chacha20, aes128]), chacha20);
}

#[test]
fn keys_are_exchanged_post_quantum_where_both_can() {
    let ca = Ca::new("ca");
    let front = front(&settings(&[&ca.issue(&["www.example"], Kind::P256)]));
    let group = |config| {
        let session = meet(&front, &Arc::new(config), "www.example").unwrap();
        session.server.negotiated_key_exchange_group().unwrap().name()
    };
    assert_eq!(group(client(&ca, TLS13)), NamedGroup::X25519);
    let hybrid = Profile::Modern.provider(First::Aes);
    let best = hybrid.kx_groups[0].name();
    assert_eq!(group(client_of(&ca, hybrid, TLS13)), best);
}

#[test]
fn the_first_of_our_protocols_is_chosen_that_the_client_offers_and_none_is_an_alert() {
    let ca = Ca::new("ca");
    let made = ca.issue(&["www.example"], Kind::P256);
    let meet_with = |ours: &[&str], theirs: &[&str]| {
        let alpn = ours.iter().map(|name| (*name).to_owned()).collect();
        let front = front(&FrontSettings { alpn, ..settings(&[&made]) });
        let mut config = client(&ca, TLS13);
        config.alpn_protocols = theirs.iter().map(|name| name.as_bytes().to_vec()).collect();
        meet(&front, &Arc::new(config), "www.example").map(|session| {
            session.server.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())
        })
    };
    assert_eq!(meet_with(&["h2", "http/1.1"], &["http/1.1", "h2"]), Ok(Some("h2".to_owned())));
    assert_eq!(meet_with(&["http/1.1"], &["h2", "http/1.1"]), Ok(Some("http/1.1".to_owned())));
    assert_eq!(meet_with(&["http/1.1"], &[]), Ok(None));
    assert_eq!(meet_with(&[], &["h2"]), Ok(None));
    let alert = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    assert_eq!(
        meet_with(&["http/1.1"], &["h2"]),
        Err(Failure::Handshake { server: Error::NoApplicationProtocol, client: Some(alert) })
    );
}

#[test]
fn what_cannot_stand_in_alpn_is_refused() {
    let made = Ca::new("ca").issue(&["www.example"], Kind::P256);
    for protocol in [String::new(), "x".repeat(256)] {
        let settings = FrontSettings { alpn: vec![protocol], ..settings(&[&made]) };
        assert!(matches!(Front::new(&settings, &Clock::at(*NOW)), Err(FrontError::Alpn(_))));
    }
}

#[test]
fn the_stapled_response_gets_to_clients() {
    let www = Ca::new("ca").issue(&["www.example"], Kind::P256);
    let response = [0x30, 3, 0x0a, 1, 0];
    let mut settings = settings(&[&www]);
    settings.pairs[0].ocsp = Some(source("www.ocsp", response));
    let front = front(&settings);
    for versions in [TLS12, TLS13] {
        let schemes = vec![SignatureScheme::ECDSA_NISTP256_SHA256];
        let verifier = Arc::new(Credulous { schemes, ..Credulous::default() });
        let config = client_builder(CryptoProvider::clone(&provider()), versions)
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
            .with_no_client_auth();
        meet(&front, &Arc::new(config), "www.example").unwrap();
        assert_eq!(*verifier.stapled.lock().unwrap(), response);
    }
}

#[derive(Debug, Default)]
struct Overheard(Mutex<Vec<String>>);

impl KeyLog for Overheard {
    fn log(&self, label: &str, _: &[u8], _: &[u8]) {
        self.0.lock().unwrap().push(label.to_owned());
    }
}

#[test]
fn secrets_are_told_to_whom_the_settings_name() {
    let ca = Ca::new("ca");
    let overheard = Arc::new(Overheard::default());
    let key_log = Some(Arc::clone(&overheard) as Arc<dyn KeyLog>);
    let front = front(&FrontSettings { key_log, ..settings(&[&ca.issue(&["www.example"], Kind::P256)]) });
    meet(&front, &Arc::new(client(&ca, TLS13)), "www.example").unwrap();
    let labels = overheard.0.lock().unwrap();
    assert!(labels.iter().any(|label| label == "SERVER_TRAFFIC_SECRET_0"), "{labels:?}");
}

#[test]
fn there_is_no_early_data() {
    let front = front(&settings(&[&Ca::new("ca").issue(&["www.example"], Kind::P256)]));
    for config in [&front.aes_first, &front.chacha20_first] {
        assert_eq!(config.max_early_data_size, 0);
        assert!(!config.send_half_rtt_data);
    }
}
