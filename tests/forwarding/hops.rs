//! A director is one hop, however often its kernel looked at a packet, and errors from the way behind it reach the
//! client as if from the VIP.

use std::io;

use lab::addr::Family;
use lab::topo::{NatLab, NatOptions, VipPlace};

use crate::support::Engine;
use crate::support::udp;

const PORT: u16 = 4000;
/// The kernel's default.
const TTL: i32 = 64;

/// Both families, the VIP nobody's address and the director's.
fn everywhere(path: &[u32], test: impl Fn(&NatLab, &Engine<'_>, Family, VipPlace)) {
    for place in [VipPlace::Routed, VipPlace::Loopback] {
        let options = NatOptions { servers: 1, vip: place, path: path.to_vec(), ..NatOptions::default() };
        let lab = NatLab::new(&options).unwrap();
        let engine = Engine::start(&lab, &[]);
        for family in [Family::V4, Family::V6] {
            let dest = lab.server_port(0, family, PORT);
            engine.service("udp", lab.vip.port(family, PORT), "rr", &[(dest, 1)]);
            test(&lab, &engine, family, place);
        }
    }
}

#[test]
fn the_director_is_one_hop_both_ways() {
    everywhere(&[], |lab, engine, family, _| {
        let (vip, dest) = (lab.vip.port(family, PORT), lab.server_port(0, family, PORT));
        let server = udp::bound(&lab.servers[0], dest);
        udp::show_hops(&server);
        // Without the balancer's rewriting, and with it.
        for target in [dest, vip] {
            let client = udp::connected(&lab.client, target);
            udp::show_hops(&client);
            client.send(b"there").unwrap();
            assert_eq!(udp::receive_hops(&server), TTL - 1, "to {target}, as the server sees it");
            server.send_to(b"and back", client.local_addr().unwrap()).unwrap();
            assert_eq!(udp::receive_hops(&client), TTL - 1, "from {target}, as the client sees it");
        }
        assert!(engine.status().counter("transmitted") > 0);
    });
}

#[test]
fn a_traceroute_shows_the_director_once_and_the_vip_for_all_behind_it() {
    // Client, director, router, server.
    everywhere(&[1500], |lab, engine, family, place| {
        let (vip, dest) = (lab.vip.port(family, PORT), lab.server_port(0, family, PORT));
        let server = udp::bound(&lab.servers[0], dest);
        udp::show_hops(&server);
        let client = udp::connected(&lab.client, vip);
        udp::show_errors(&client);
        // RFC 4443 section 2.2 has a host answer from the address that the packet was sent to, if it is its own.
        let director =
            if (family, place) == (Family::V6, VipPlace::Loopback) { lab.vip } else { lab.director_addr };
        for (ttl, by) in [(1, director.of(family)), (2, vip.ip())] {
            udp::set_hops(&client, ttl);
            client.send(b"how far?").unwrap();
            let error = udp::next_error(&client);
            assert_eq!(error.kind(), io::ErrorKind::HostUnreachable, "ttl {ttl}: {error}");
            assert_eq!(udp::told_by(&client), by, "ttl {ttl}");
        }
        udp::set_hops(&client, 3);
        client.send(b"so far").unwrap();
        assert_eq!(udp::receive_hops(&server), 1);
        assert_eq!(engine.status().drops(), [].into());
    });
}

/// The error of a server's host names the client's own packet: the socket that sent it is told.
#[test]
fn an_error_of_the_server_is_told_by_the_vip() {
    everywhere(&[], |lab, _, family, _| {
        let vip = lab.vip.port(family, PORT);
        let client = udp::connected(&lab.client, vip);
        udp::show_errors(&client);
        client.send(b"anybody?").unwrap();
        assert_eq!(udp::next_error(&client).kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(udp::told_by(&client), vip.ip());
    });
}

/// The other way round: a client whose port is closed tells the VIP, and the server's socket is told.
#[test]
fn an_error_of_the_client_reaches_the_server() {
    everywhere(&[], |lab, _, family, _| {
        let (vip, dest) = (lab.vip.port(family, PORT), lab.server_port(0, family, PORT));
        let server = udp::bound(&lab.servers[0], dest);
        let client = udp::connected(&lab.client, vip);
        client.send(b"answer me").unwrap();
        let (_, own) = udp::receive(&server);
        drop(client);
        server.connect(own).unwrap();
        // Whoever sends an error may do without (RFC 4443 section 2.4, f): a kernel that is busy does.
        let told = (0..3).any(|_| {
            server.send(b"are you there?").unwrap();
            udp::next_error(&server).kind() == io::ErrorKind::ConnectionRefused
        });
        assert!(told);
    });
}
