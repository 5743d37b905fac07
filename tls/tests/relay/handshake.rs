//! From the first byte to the end of the handshake.

use std::{io::Write, sync::Arc, time::Duration};

use rustls::version::{TLS12, TLS13};
use tls::{How, Leg, Timeout};

use crate::world::{Front, World, client_config, server_config, terms};

/// A world whose client has said these bytes and no TLS.
fn after(bytes: &[u8]) -> World {
    let mut world = World::new(terms(), client_config(&TLS13, &[]));
    world.client.leg.write_all(bytes).unwrap();
    world.turn();
    world
}

fn failed(world: &World) -> Vec<(String, u64)> {
    world.counters.failed().collect()
}

#[test]
fn a_session_is_made_and_counted() {
    for (version, tls12, tls13) in [(&TLS12, 1, 0), (&TLS13, 0, 1)] {
        let mut world = World::new(terms(), client_config(version, &[]));
        world.run();
        let counters = world.counters.clone();
        assert_eq!((counters.full.get(), counters.resumed.get()), (1, 0));
        assert_eq!((counters.tls12.get(), counters.tls13.get()), (tls12, tls13));
        assert_eq!(counters.suites().map(|(_, n)| n).sum::<u64>(), 1);
        assert_eq!((counters.open.get(), counters.handshaking.get()), (1, 0));
        assert_eq!(world.connects.len(), 1);
        drop(world);
        assert_eq!(counters.open.get(), 0);
    }
}

#[test]
fn a_hello_may_come_byte_by_byte() {
    let mut world = World::new(terms(), client_config(&TLS13, &[]));
    world.near.wire.borrow_mut().step = 1;
    world.run();
    assert!(!world.client.tls.is_handshaking());
}

#[test]
fn the_protocol_that_was_agreed_on_is_told() {
    let mut terms = terms();
    terms.accept =
        Arc::new(Front { config: Arc::new(server_config(&[b"h2", b"http/1.1"], false)), asks: false });
    let mut world = World::new(terms, client_config(&TLS13, &[b"h2"]));
    world.run();
    assert_eq!(world.connects[0].alpn.as_deref(), Some(&b"h2"[..]));
}

#[test]
fn what_cannot_be_met_is_refused_with_its_alert() {
    let front = |alpn: &[&[u8]]| {
        let mut terms = terms();
        terms.accept = Arc::new(Front { config: Arc::new(server_config(alpn, false)), asks: false });
        terms
    };
    let table = [
        (World::named(terms(), client_config(&TLS13, &[]), "other.example"), "unrecognized_name", 1),
        (World::new(front(&[b"http/1.1"]), client_config(&TLS12, &[b"spdy"])), "no_application_protocol", 0),
    ];
    for (mut world, alert, misses) in table {
        world.run();
        assert_eq!(failed(&world), [(alert.to_owned(), 1)]);
        assert!(world.client.error.as_ref().is_some_and(|e| e.contains("received fatal alert")), "{alert}");
        assert_eq!(world.counters.sni_misses.get(), misses);
        assert_eq!(world.counters.handshaking.get(), 0);
        assert!(world.connects.is_empty());
        world.client.leg.shutdown();
        world.run();
        assert!(matches!(world.end, Some(How::Alert(_))), "{alert}");
    }
}

#[test]
fn a_client_that_does_not_trust_the_front_is_counted_by_its_own_alert() {
    let mut config = client_config(&TLS13, &[]);
    let nobody = rustls::client::WebPkiServerVerifier::builder_with_provider(
        Arc::new({
            let mut roots = rustls::RootCertStore::empty();
            let pem = crate::world::new_authority("other").cert_pem;
            roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
            roots
        }),
        config.crypto_provider().clone(),
    );
    config.dangerous().set_certificate_verifier(nobody.build().unwrap());
    let mut world = World::new(terms(), config);
    world.run();
    assert_eq!(failed(&world), [("unknown_ca".to_owned(), 1)]);
}

#[test]
fn http_in_clear_is_told_what_is_spoken_here() {
    for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.0\r\n\r\n", "OPTIONS "] {
        let mut world = after(request.as_bytes());
        let answer = String::from_utf8(world.client.leg.take()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains("speaks TLS"), "{answer}");
        assert!(world.client.leg.ended());
        world.client.leg.shutdown();
        world.turn();
        assert_eq!(world.end, Some(How::PlainHttp));
        assert_eq!(world.counters.plain_http.get(), 1);
        assert_eq!(world.counters.handshaking.get(), 0);
    }
}

#[test]
fn http_in_clear_may_come_byte_by_byte() {
    let mut world = World::new(terms(), client_config(&TLS13, &[]));
    for byte in b"GET " {
        assert!(world.client.leg.take().is_empty());
        world.client.leg.write_all(&[*byte]).unwrap();
        world.turn();
    }
    assert!(world.client.leg.take().starts_with(b"HTTP/1.1 400 "));
}

#[test]
fn what_is_no_tls_gets_an_alert() {
    let long = {
        // A ClientHello of 64 KiB, in records that are all there.
        let mut bytes = Vec::new();
        for i in 0..5 {
            let head: &[u8] = if i == 0 { &[1, 1, 0, 0] } else { &[0, 0, 0, 0] };
            bytes.extend([22, 3, 1, 0x40, 0]);
            bytes.extend(head);
            bytes.extend(vec![0; 0x4000 - 4]);
        }
        bytes
    };
    let table: [(&[u8], &str); 6] = [
        (b"GEX / HTTP/1.1\r\n", "decode_error"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07", "decode_error"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "decode_error"),
        (&[22, 3, 1, 0, 4, 1, 0, 0, 0], "decode_error"),
        (&[23, 3, 3, 0, 1, 0], "unexpected_message"),
        (&long, "decode_error"),
    ];
    for (bytes, alert) in table {
        let mut world = after(bytes);
        let sent = world.client.leg.take();
        assert!(matches!(sent[..], [21, 3, _, 0, 2, 2, _]), "{:?}: {sent:?}", &bytes[..4]);
        assert_eq!(failed(&world), [(alert.to_owned(), 1)], "{:?}", &bytes[..4]);
        assert!(world.client.leg.ended());
    }
}

#[test]
fn a_client_that_dawdles_in_the_handshake_is_cut_off() {
    let mut world = World::new(terms(), client_config(&TLS13, &[]));
    for _ in 0..9 {
        world.client.leg.write_all(&[22]).unwrap();
        world.now += Duration::from_secs(1);
        world.turn();
        world.client.leg.take();
        world.near.wire.borrow_mut().there.queue.clear();
        if world.end.is_some() {
            break;
        }
    }
    let mut world = after(&[22, 3, 1]);
    assert_eq!(world.relay.poll_timeout(), Some(world.now + Duration::from_secs(10)));
    world.now += Duration::from_secs(10);
    world.turn();
    assert_eq!(world.end, Some(How::TimedOut(Timeout::Handshake)));
    assert!(world.client.leg.is_reset());
    assert_eq!(world.counters.handshaking.get(), 0);
    assert!(world.counters.timeouts().any(|n| n == (Timeout::Handshake, 1)));
}

#[test]
fn a_client_that_leaves_in_the_handshake_is_counted() {
    let mut world = after(&[22, 3, 1]);
    world.client.leg.shutdown();
    world.turn();
    assert_eq!(world.end, Some(How::ClientGone));
    assert_eq!((world.counters.gone.get(), world.counters.handshaking.get()), (1, 0));
}

#[test]
fn renegotiation_is_refused() {
    let mut world = World::new(terms(), client_config(&TLS12, &[]));
    world.run();
    world.client.say("before");
    world.run();
    assert_eq!(world.served(), "before");
    // A second ClientHello in clear where ciphertext is due: no client of ours would make a proper one.
    world.client.leg.write_all(&[22, 3, 3, 0, 4, 1, 0, 0, 0]).unwrap();
    world.run();
    assert!(world.client.error.as_ref().is_some_and(|e| e.contains("received fatal alert")));
    assert!(world.server().is_reset());
}
