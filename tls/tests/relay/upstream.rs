//! The way to the server: refusals, prefaces, TLS.

use std::{
    io::{Read, Write},
    sync::Arc,
    time::Duration,
};

use rustls::{ServerConnection, pki_types::ServerName, version::TLS13};
use tls::{Backend, How, Leg, Next, Terms, Timeout};

use crate::world::{NAME, World, client_config, http_terms, server_config, terms};

#[test]
fn as_many_servers_are_tried_as_the_terms_say() {
    let mut world = World::new(Terms { attempts: 3, ..terms() }, client_config(&TLS13, &[]));
    world.open = false;
    world.run();
    assert_eq!(world.connects.len(), 3);
    assert_eq!(world.end, Some(How::NoServer));
    assert!(world.client.leg.is_reset());
    assert_eq!(world.counters.refused.get(), 3);
}

#[test]
fn with_http_the_client_is_told_that_there_is_no_server() {
    let mut world = World::established(http_terms());
    assert!(world.connects.is_empty(), "a server is found for a request, not for a client");
    world.open = false;
    world.client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    world.run();
    assert!(world.client.heard().starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{}", world.client.heard());
    assert!(world.client.ended);
    world.client.leg.shutdown();
    world.run();
    assert_eq!(world.end, Some(How::NoServer));
}

#[test]
fn a_server_that_does_not_answer_the_knock_is_one_that_refuses() {
    let mut world = World::new(terms(), client_config(&TLS13, &[]));
    let mut asked = 0;
    let mut drive = |world: &mut World| {
        world.client.pump();
        let next = world.relay.drive(&mut world.near, None, world.now, &mut world.scratch);
        world.client.pump();
        asked += usize::from(matches!(next, Next::Connect(_)));
        (asked, next)
    };
    for _ in 0..5 {
        drive(&mut world);
    }
    assert_eq!(world.relay.poll_timeout(), Some(world.now + Duration::from_secs(5)));
    world.now += Duration::from_secs(5);
    assert!(matches!(drive(&mut world), (2, Next::Connect(_))));
    world.now += Duration::from_secs(5);
    drive(&mut world);
    assert!(matches!(drive(&mut world), (2, Next::Ended(How::NoServer))));
    assert!(world.counters.timeouts().any(|n| n == (Timeout::Connect, 2)));
}

#[test]
fn the_preface_comes_before_all_else() {
    let mut world = World::new(terms(), client_config(&TLS13, &[]));
    world.preface = b"PROXY TCP4 192.0.2.7 203.0.113.1 40000 443\r\n".to_vec();
    world.client.say("hello");
    world.run();
    assert_eq!(world.served(), "PROXY TCP4 192.0.2.7 203.0.113.1 40000 443\r\nhello");
}

fn with_backend(name: &'static str) -> Terms {
    let config = Arc::new(client_config(&TLS13, &[]));
    Terms { backend: Some(Backend { config, name: Some(ServerName::try_from(name).unwrap()) }), ..terms() }
}

/// A server that speaks TLS, after so much of a preface.
struct Backing {
    tls: ServerConnection,
    preface: usize,
    got: Vec<u8>,
}

impl Backing {
    fn new(preface: usize) -> Self {
        let tls = ServerConnection::new(Arc::new(server_config(&[], false))).unwrap();
        Self { tls, preface, got: Vec::new() }
    }

    fn run(&mut self, world: &mut World) {
        for _ in 0..10 {
            world.run();
            let server = world.server.as_mut().unwrap();
            let mut preface = vec![0; self.preface];
            if self.preface > 0 && server.read_exact(&mut preface).is_ok() {
                self.got.append(&mut preface);
                self.preface = 0;
            }
            while let Ok(1..) = self.tls.read_tls(server) {
                let _ = self.tls.process_new_packets();
                let _ = self.tls.reader().read_to_end(&mut self.got);
            }
            while self.tls.wants_write() && self.tls.write_tls(server).is_ok() {}
        }
        world.run();
    }
}

#[test]
fn tls_goes_on_to_a_server_that_speaks_it() {
    let mut world = World::new(with_backend(NAME), client_config(&TLS13, &[]));
    world.preface = b"PROXY\r\n".to_vec();
    world.client.say("hello");
    world.run();
    let mut backing = Backing::new(7);
    backing.run(&mut world);
    assert_eq!(String::from_utf8_lossy(&backing.got), "PROXY\r\nhello");
    backing.tls.writer().write_all(b"hello yourself").unwrap();
    backing.run(&mut world);
    assert_eq!(world.client.heard(), "hello yourself");
    world.client.tls.send_close_notify();
    backing.tls.send_close_notify();
    backing.run(&mut world);
    assert!(world.client.ended && world.server().ended());
}

#[test]
fn a_server_that_cannot_prove_its_name_is_one_that_refuses() {
    let mut world = World::new(with_backend("other.example"), client_config(&TLS13, &[]));
    world.run();
    for _ in 0..2 {
        Backing::new(0).run(&mut world);
    }
    assert_eq!(world.connects.len(), 2);
    assert_eq!(world.end, Some(How::NoServer));
}

#[test]
fn the_end_of_tcp_is_not_the_end_of_tls() {
    let mut world = World::new(with_backend(NAME), client_config(&TLS13, &[]));
    world.run();
    let mut backing = Backing::new(0);
    backing.run(&mut world);
    backing.tls.writer().write_all(b"half an").unwrap();
    backing.run(&mut world);
    world.server().shutdown();
    world.run();
    assert_eq!(world.end, Some(How::ServerGone));
    assert!(!world.client.ended && world.client.leg.is_reset());
}
