//! Datagrams in fragments: those of services are served, all others are the host's business.

use std::time::Duration;

use lab::addr::Family;
use lab::client;
use lab::serve::UdpEcho;
use lab::topo::{NatLab, NatOptions, VipPlace};

use crate::support::udp;
use crate::support::{Engine, PATIENCE};

/// Payload of a datagram that takes three packets.
const LONG: usize = 4000;

#[test]
fn for_a_service_are_served_both_ways() {
    for vip in [VipPlace::Routed, VipPlace::Loopback] {
        let lab = NatLab::new(&NatOptions { vip, ..NatOptions::default() }).unwrap();
        let _echo = UdpEcho::start(&lab.servers[0], 8080).unwrap();
        let engine = Engine::start(&lab, &[]);
        for family in [Family::V4, Family::V6] {
            let (vip, dest) = (lab.vip.port(family, 80), lab.server_port(0, family, 8080));
            engine.service("udp", vip, "rr", &[(dest, 1)]);
            for len in [1473, LONG, 8000, 65_000] {
                let datagram: Vec<u8> = (0..len).map(|at| (at * 7 + at / 251) as u8).collect();
                let answer = client::udp_exchange(&lab.client, vip, &datagram, PATIENCE).unwrap();
                assert!(answer == datagram, "{len} bytes to {vip} and back");
            }
        }
        assert_eq!(engine.status().drops(), [].into());
    }
}

#[test]
fn of_a_ping_to_a_vip_are_answered() {
    for vip in [VipPlace::Routed, VipPlace::Subnet, VipPlace::Loopback, VipPlace::Interface] {
        let lab = NatLab::new(&NatOptions { vip, ..NatOptions::default() }).unwrap();
        let engine = Engine::start(&lab, &[]);
        for family in [Family::V4, Family::V6] {
            engine.service("tcp", lab.vip.port(family, 80), "rr", &[]);
            for len in [LONG, 65_000] {
                client::ping(&lab.client, lab.vip.of(family), len, Duration::from_secs(2)).unwrap();
            }
        }
        assert_eq!(engine.status().drops(), [].into());
    }
}

/// Long datagrams between client, director and servers that are no business of a service.
#[test]
fn of_others_pass() {
    let lab = NatLab::new(&NatOptions { vip: VipPlace::Loopback, ..NatOptions::default() }).unwrap();
    let engine = Engine::start(&lab, &[]);
    for family in [Family::V4, Family::V6] {
        let (vip, dest) = (lab.vip.port(family, 80), lab.server_port(0, family, 8080));
        engine.service("udp", vip, "rr", &[(dest, 1)]);
        let on_director = (&lab.director, lab.vip.port(family, 5000));
        let on_server = (&lab.servers[0], lab.server_port(0, family, 5000));
        // The service's own server and port, asked directly.
        let balanced = (&lab.servers[0], dest);
        for (node, addr) in [on_director, on_server, balanced] {
            let server = udp::bound(node, addr);
            let client = udp::connected(&lab.client, addr);
            client.send(&[7; LONG]).unwrap();
            let (question, from) = udp::receive(&server);
            assert_eq!(question, [7; LONG], "from the client to {addr}");
            server.send_to(&[8; LONG], from).unwrap();
            assert_eq!(udp::receive(&client), (vec![8; LONG], addr), "to the client from {addr}");
        }
    }
    assert_eq!(engine.status().drops(), [].into());
}
