//! What the engine turns on for its own sake is for its own packets only.

use std::net::UdpSocket;

use lab::client::{self, Connection};
use lab::node::Node;
use lab::topo::{NatOptions, VipPlace};

use super::{SILENCE, add_services, still_carry};
use crate::scene::{FAMILIES, Scene};
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
                let target = scene.lab.server_port(0, family, l4_port);
                let arrived = datagram(&scene.lab.client, 0, &scene.lab.servers[0], target);
                assert!(!arrived, "a datagram of the client reached {target}");
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
        let target = scene.lab.client_addr.port(family, 9);
        let arrived = datagram(&scene.lab.servers[0], 53, &scene.lab.client, target);
        assert!(!arrived, "a datagram from a server's port 53 reached the client");
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
            let target = scene.lab.server_port(0, family, l4_port);
            assert!(datagram(&scene.lab.client, 0, &scene.lab.servers[0], target), "to {target}");
        }
        // From the port of a service to somebody who did not ask: as without the engine.
        let target = scene.lab.client_addr.port(family, 9);
        assert!(datagram(&scene.lab.servers[0], 53, &scene.lab.client, target), "from port 53 to {target}");
        // Past the VIP, straight to a server's service port.
        let reply = client::get(&scene.lab.client, scene.lab.server_port(0, family, 80), "/").unwrap();
        assert_eq!(reply.body, "server1\n");
    }
    still_carry(&mut direct);
    engine.stop();
    still_carry(&mut direct);
}

/// Sends a datagram from a port (0: any) to a socket at the target; whether it arrives.
fn datagram(from: &Node, l4_port: u16, to: &Node, target: std::net::SocketAddr) -> bool {
    let any = |l4_port| match target {
        std::net::SocketAddr::V4(_) => std::net::SocketAddr::from(([0; 4], l4_port)),
        std::net::SocketAddr::V6(_) => std::net::SocketAddr::from(([0; 16], l4_port)),
    };
    let receiver = to.run(|| UdpSocket::bind(target)).unwrap().unwrap();
    let sender = from.run(|| UdpSocket::bind(any(l4_port))).unwrap().unwrap();
    receiver.set_read_timeout(Some(SILENCE)).unwrap();
    // Where the host says that there is no way it may fail: that is an answer.
    let _ = sender.send_to(b"datagram", target);
    receiver.recv(&mut [0; 100]).is_ok()
}
