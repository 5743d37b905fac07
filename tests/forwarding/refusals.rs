//! What nobody serves is refused at once, by whoever a client would expect it from.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::addr::Family;
use lab::client::{self, Connection, UdpClient};
use lab::node::Node;
use lab::serve::Http;
use lab::topo::{NatLab, NatOptions, VipPlace};

use crate::support::Engine;

/// Below the first retransmission of a SYN.
const AT_ONCE: Duration = Duration::from_millis(700);

/// Both families, the VIP nobody's address and the director's; the server listens on TCP port 80.
fn everywhere(test: impl Fn(&NatLab, &Engine<'_>, Family, VipPlace)) {
    for place in [VipPlace::Routed, VipPlace::Loopback] {
        let lab = NatLab::new(&NatOptions { servers: 1, vip: place, ..NatOptions::default() }).unwrap();
        let _http = Http::start(&lab.servers[0], 80).unwrap();
        let engine = Engine::start(&lab, &[]);
        for family in [Family::V4, Family::V6] {
            test(&lab, &engine, family, place);
        }
    }
}

#[test]
fn a_service_without_servers() {
    everywhere(|lab, engine, family, place| {
        let vip = lab.vip.port(family, 80);
        for proto in ["tcp", "udp"] {
            engine.service(proto, vip, "rr", &[]);
            refused(&lab.client, proto, vip, &format!("{place:?}, no server"));
        }
    });
}

#[test]
fn a_service_whose_servers_have_weight_0_keeps_what_it_has() {
    everywhere(|lab, engine, family, place| {
        let (vip, dest) = (lab.vip.port(family, 80), lab.server_port(0, family, 80));
        engine.service("tcp", vip, "rr", &[(dest, 1)]);
        let mut connection = Connection::open(&lab.client, vip).unwrap();
        connection.get("/").unwrap();
        engine.ulvs(&format!("ipvsadm -e -t {vip} -r {dest} -m -w 0"));
        refused(&lab.client, "tcp", vip, &format!("{place:?}, weight 0"));
        assert_eq!(connection.get("/").unwrap().body, "server1\n");
        engine.ulvs(&format!("ipvsadm -e -t {vip} -r {dest} -m -w 1"));
        client::get(&lab.client, vip, "/").unwrap();
        engine.service("udp", vip, "rr", &[(dest, 0)]);
        refused(&lab.client, "udp", vip, &format!("{place:?}, weight 0"));
    });
}

#[test]
fn other_ports_of_the_vip() {
    everywhere(|lab, engine, family, place| {
        for proto in ["tcp", "udp"] {
            engine.service(proto, lab.vip.port(family, 80), "rr", &[(lab.server_port(0, family, 80), 1)]);
        }
        for proto in ["tcp", "udp"] {
            refused(&lab.client, proto, lab.vip.port(family, 81), &format!("{place:?}, another port"));
        }
    });
}

/// The server's refusal, a RST or an ICMP error, comes to the client as if from the VIP.
#[test]
fn ports_that_the_server_does_not_listen_on() {
    everywhere(|lab, engine, family, place| {
        let (vip, dest) = (lab.vip.port(family, 80), lab.server_port(0, family, 8080));
        for proto in ["tcp", "udp"] {
            engine.service(proto, vip, "rr", &[(dest, 1)]);
            refused(&lab.client, proto, vip, &format!("{place:?}, the server's port is closed"));
        }
        assert_eq!(engine.status().drops(), [].into());
    });
}

/// After the engine has forgotten a connection, its next segment is answered with RST: by the engine where the VIP is
/// nobody's address, else by the host's stack, which has never heard of it either.
#[test]
fn connections_that_nobody_knows_any_more() {
    for place in [VipPlace::Routed, VipPlace::Loopback] {
        let lab = NatLab::new(&NatOptions { servers: 1, vip: place, ..NatOptions::default() }).unwrap();
        let _http = Http::start(&lab.servers[0], 80).unwrap();
        for family in [Family::V4, Family::V6] {
            let (vip, dest) = (lab.vip.port(family, 80), lab.server_port(0, family, 80));
            let engine = Engine::start(&lab, &[]);
            engine.service("tcp", vip, "rr", &[(dest, 1)]);
            let mut connection = Connection::open(&lab.client, vip).unwrap();
            connection.get("/").unwrap();
            engine.stop();

            let engine = Engine::start(&lab, &[]);
            engine.service("tcp", vip, "rr", &[(dest, 1)]);
            let began = Instant::now();
            let error = connection.get("/").unwrap_err();
            assert_eq!(
                kind(&error),
                Some(io::ErrorKind::ConnectionReset),
                "{place:?}, {family:?}: {error:#}"
            );
            assert!(began.elapsed() < AT_ONCE, "the reset took {:?}", began.elapsed());
            let verdict = if place == VipPlace::Routed { "replied" } else { "passed" };
            assert!(engine.status().counter(verdict) > 0, "{verdict}");
            client::get(&lab.client, vip, "/").unwrap();
            engine.stop();
        }
    }
}

fn refused(node: &Node, proto: &str, target: SocketAddr, what: &str) {
    let began = Instant::now();
    let error = match proto {
        "tcp" => client::connect(node, target).map(|_| ()).unwrap_err(),
        _ => UdpClient::open(node, target).and_then(|c| c.exchange(b"?", AT_ONCE)).map(|_| ()).unwrap_err(),
    };
    let took = began.elapsed();
    // Once in thousands of times a kernel closes the client's socket and has no error for it.
    let closed = proto == "tcp" && format!("{error:#}").contains("no error set after POLLHUP");
    assert!(
        closed || kind(&error) == Some(io::ErrorKind::ConnectionRefused),
        "{proto} to {target}, {what}, after {took:?}: {error:#}"
    );
    assert!(took < AT_ONCE, "{proto} to {target}, {what}: refused only after {took:?}");
}

fn kind(error: &anyhow::Error) -> Option<io::ErrorKind> {
    error.root_cause().downcast_ref::<io::Error>().map(io::Error::kind)
}
