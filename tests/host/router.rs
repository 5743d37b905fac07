//! What the engine turns on for its own sake is for its own packets only.

use std::net::SocketAddr;

use lab::addr::Family;
use lab::client::{self, Connection};
use lab::node::Node;
use lab::topo::{NatOptions, VipPlace};

use super::{SILENCE, add_services, still_carry};
use crate::scene::{FAMILIES, Scene, bind_udp};
use crate::support::{Engine, PATIENCE};

#[test]
fn a_host_that_forwards_nothing_still_forwards_nothing() {
    for vip in [VipPlace::Routed, VipPlace::Interface] {
        let scene = Scene::new(&NatOptions { vip, forwarding: false, ..NatOptions::default() });
        let engine = Engine::start(&scene.lab, &[]);
        add_services(&scene, &engine);
        scene.works();
        for family in FAMILIES {
            let (client, server) = (scene.lab.client_addr.of(family), scene.lab.server_addrs[0].of(family));
            let echo = client::ping(&scene.lab.client, server, 56, SILENCE);
            assert!(echo.is_err(), "the client reaches a server");
            let echo = client::ping(&scene.lab.servers[0], client, 56, SILENCE);
            assert!(echo.is_err(), "a server reaches the client");
            for l4_port in [9, 53, 80] {
                let arrived = reaches_server(&scene, family, l4_port);
                assert!(!arrived, "a datagram of the client reached a server's port {l4_port}");
            }
        }
        // The director itself reaches both, as ever.
        for family in FAMILIES {
            client::ping(scene.director(), scene.lab.server_addrs[0].of(family), 56, PATIENCE).unwrap();
            client::ping(scene.director(), scene.lab.client_addr.of(family), 56, PATIENCE).unwrap();
        }
        engine.stop();
    }
}

/// Such a packet is steered to the engine, which knows nothing of it.
#[test]
fn a_server_reaches_nobody_from_its_service_port() {
    let scene = Scene::new(&NatOptions { forwarding: false, ..NatOptions::default() });
    let engine = Engine::start(&scene.lab, &[]);
    add_services(&scene, &engine);
    for family in FAMILIES {
        assert!(!reaches_client(&scene, family), "a datagram from a server's port 53 reached the client");
    }
    engine.stop();
}

#[test]
fn a_router_stays_a_router() {
    let scene = Scene::new(&NatOptions::default());
    let engine = Engine::start(&scene.lab, &[]);
    let mut direct: Vec<_> = FAMILIES
        .map(|family| Connection::open(&scene.lab.client, scene.lab.server_port(0, family, 80)).unwrap())
        .into();
    add_services(&scene, &engine);
    scene.works();
    for family in FAMILIES {
        let (client, server) = (scene.lab.client_addr.of(family), scene.lab.server_addrs[0].of(family));
        client::ping(&scene.lab.client, server, 56, PATIENCE).unwrap();
        client::ping(&scene.lab.servers[0], client, 56, PATIENCE).unwrap();
        for l4_port in [9, 53, 80] {
            assert!(reaches_server(&scene, family, l4_port), "{family:?}, port {l4_port}");
        }
        // From the port of a service to somebody who did not ask: as without the engine.
        assert!(reaches_client(&scene, family), "{family:?}");
        // Past the VIP, straight to a server's service port.
        let reply = client::get(&scene.lab.client, scene.lab.server_port(0, family, 80), "/").unwrap();
        assert_eq!(reply.body, "server1\n");
    }
    still_carry(&mut direct);
    engine.stop();
    still_carry(&mut direct);
}

/// Whether a datagram of the client arrives at a port of a server.
fn reaches_server(scene: &Scene, family: Family, l4_port: u16) -> bool {
    let from = (&scene.lab.client, scene.lab.client_addr.port(family, 0));
    datagram(from, (&scene.lab.servers[0], scene.lab.server_port(0, family, l4_port)))
}

/// Whether a datagram from a server's port 53 arrives at the client.
fn reaches_client(scene: &Scene, family: Family) -> bool {
    let from = (&scene.lab.servers[0], scene.lab.server_port(0, family, 53));
    datagram(from, (&scene.lab.client, scene.lab.client_addr.port(family, 9)))
}

fn datagram(from: (&Node, SocketAddr), to: (&Node, SocketAddr)) -> bool {
    let [sender, receiver] = [from, to].map(|(node, at)| bind_udp(node, at));
    receiver.set_read_timeout(Some(SILENCE)).unwrap();
    // Where the host says that there is no way it may fail: that is an answer.
    let _ = sender.send_to(b"datagram", to.1);
    receiver.recv(&mut [0; 100]).is_ok()
}
