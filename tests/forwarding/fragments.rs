//! The engine does not put fragments together. It drops those that are for a VIP, and says how many; all others are the
//! host's business.

use lab::addr::Family;
use lab::client;
use lab::topo::{NatLab, NatOptions, VipPlace};
use lab::wait::wait_for;

use crate::support::udp;
use crate::support::{Engine, PATIENCE};

/// Payload of a datagram that takes three packets.
const LONG: usize = 4000;

#[test]
fn for_a_service_are_counted() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let engine = Engine::start(&lab, &[]);
    for family in [Family::V4, Family::V6] {
        let (vip, dest) = (lab.vip.port(family, 80), lab.server_port(0, family, 8080));
        engine.service("udp", vip, "rr", &[(dest, 1)]);
        let before = engine.status().dropped("fragment");
        udp::connected(&lab.client, vip).send(&[7; LONG]).unwrap();
        let counted = || (engine.status().dropped("fragment") == before + 3).then_some(());
        wait_for("three fragments to be dropped", PATIENCE, counted).unwrap();
    }
    assert_eq!(engine.status().drops(), [("fragment", 6)].into());
}

#[test]
fn of_a_ping_to_a_vip_that_is_nobodys_are_counted() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let engine = Engine::start(&lab, &[]);
    // Later fragments of ICMPv6 do not come to the engine: they have no type by which to tell a ping from a neighbour
    // solicitation, which the host must have.
    for (family, drops) in [(Family::V4, 3), (Family::V6, 3 + 1)] {
        engine.service("tcp", lab.vip.port(family, 80), "rr", &[]);
        let ping = client::ping(&lab.client, lab.vip.of(family), LONG, std::time::Duration::from_millis(100));
        assert!(ping.is_err(), "who answered?");
        assert_eq!(engine.status().drops(), [("fragment", drops)].into());
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
