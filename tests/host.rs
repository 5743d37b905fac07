//! The director stays a usable host: its other ports, its own clients, its connections, its rules, and no router that
//! it was not before.

mod own_vip;
mod router;
mod rules;

use std::net::SocketAddr;
use std::time::Duration;

use lab::client::{self, Connection};
use lab::node::Node;

use crate::scene::{FAMILIES, Scene, bind_udp};
use crate::support::PATIENCE;

/// Payload of the transfers, in each direction.
const BULK: u64 = 3_000_000;

/// A web server of the host, on a port without a service: stands for ssh.
const SSH: u16 = 22;

/// Where `from` has a connection to a port of the host or of a server, in both families.
fn open(from: &Node, target: impl Fn(lab::addr::Family) -> SocketAddr) -> Vec<Connection> {
    FAMILIES.map(|family| Connection::open(from, target(family)).unwrap()).into()
}

/// The connections still carry bulk data both ways.
fn still_carry(connections: &mut [Connection]) {
    for connection in connections {
        connection.download(BULK, |_| ()).unwrap();
        connection.upload(BULK, |_| ()).unwrap();
    }
}

/// What the host does by itself for the VIP works, for clients elsewhere and here.
fn host_is_usable(scene: &Scene) {
    for from in [&scene.lab.client, scene.director()] {
        for family in FAMILIES {
            let vip = scene.lab.vip.of(family);
            client::ping(from, vip, 1000, PATIENCE).unwrap();
            let reply = client::get(from, SocketAddr::new(vip, SSH), "/").unwrap();
            assert_eq!(reply.body, "director\n");
            asks_and_is_answered(from, scene.director(), SocketAddr::new(vip, 123));
        }
    }
}

/// A datagram to a service of the host and the answer.
fn asks_and_is_answered(from: &Node, host: &Node, at: SocketAddr) {
    let server = bind_udp(host, at);
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let asker = client::UdpClient::open(from, at).unwrap();
    asker.socket().send(b"what time is it?").unwrap();
    let mut buffer = [0; 100];
    let (len, peer) = server.recv_from(&mut buffer).unwrap_or_else(|e| panic!("{from} asks {at}: {e}"));
    server.send_to(&buffer[..len], peer).unwrap();
    asker.socket().set_read_timeout(Some(PATIENCE)).unwrap();
    let len = asker.socket().recv(&mut buffer).unwrap_or_else(|e| panic!("{from} waits for {at}: {e}"));
    assert_eq!(&buffer[..len], b"what time is it?");
}

/// The balanced ports work, for clients elsewhere and here.
fn services_work(scene: &Scene) {
    for from in [&scene.lab.client, scene.director()] {
        for family in FAMILIES {
            for _ in 0..2 {
                let reply = client::get(from, scene.lab.vip.port(family, 80), "/").unwrap();
                assert!(reply.body.starts_with("server"), "{from}: {reply:?}");
            }
            client::download(from, scene.lab.vip.port(family, 80), BULK, |_| ()).unwrap();
            let who = lab::serve::UdpEcho::WHO;
            let answer = client::udp_exchange(from, scene.lab.vip.port(family, 53), who, PATIENCE).unwrap();
            assert!(answer.starts_with(b"server"), "{from}: {}", String::from_utf8_lossy(&answer));
        }
    }
}

/// Services for TCP port 80 and UDP port 53 of the VIP in both families.
fn add_services(scene: &Scene, engine: &crate::support::Engine<'_>) {
    for family in FAMILIES {
        for (proto, l4_port) in [("tcp", 80), ("udp", 53)] {
            let servers =
                (0..scene.lab.servers.len()).map(|i| (scene.lab.server_port(i, family, l4_port), 1));
            let servers: Vec<_> = servers.collect();
            engine.service(proto, scene.lab.vip.port(family, l4_port), "rr", &servers);
        }
    }
}

/// How long nothing has to come for it to count as nothing.
const SILENCE: Duration = Duration::from_millis(300);
