//! One test for each row. A row with offload fails unless super-packets crossed the engine, a plain one if any did.

use std::net::SocketAddr;

use lab::addr::Family;
use lab::client::Connection;
use lab::serve::Http;
use lab::topo::{NatLab, NatOptions, VipPlace};

use crate::support::udp::{self, Raw};
use crate::support::{Engine, Status};

/// Ports of the services and of the servers: different, so that ports are rewritten as well.
const PORT: u16 = 80;
const SERVER_PORT: u16 = 8080;
/// Bytes of a transfer.
const BYTES: u64 = 4 << 20;
/// Payload of a segment of a UDP super-packet, and length of one: 40 segments and a shorter one.
const SEGMENT: u16 = 1200;
const BURST: usize = 40 * 1200 + 77;

#[derive(Clone, Copy, PartialEq)]
enum Device {
    Offload,
    Plain,
}
use Device::{Offload, Plain};

macro_rules! rows {
    ($($name:ident: $row:ident($family:ident, $device:ident, $vip:ident);)*) => {
        $(#[test] fn $name() { $row(Family::$family, $device, VipPlace::$vip); })*
    };
}

rows! {
    tcp_ipv4_offload_vip_elsewhere: tcp(V4, Offload, Routed);
    tcp_ipv4_offload_vip_local: tcp(V4, Offload, Loopback);
    tcp_ipv4_plain_vip_elsewhere: tcp(V4, Plain, Routed);
    tcp_ipv4_plain_vip_local: tcp(V4, Plain, Loopback);
    tcp_ipv6_offload_vip_elsewhere: tcp(V6, Offload, Routed);
    tcp_ipv6_offload_vip_local: tcp(V6, Offload, Loopback);
    tcp_ipv6_plain_vip_elsewhere: tcp(V6, Plain, Routed);
    tcp_ipv6_plain_vip_local: tcp(V6, Plain, Loopback);
    udp_ipv4_offload_vip_elsewhere: udp(V4, Offload, Routed);
    udp_ipv4_offload_vip_local: udp(V4, Offload, Loopback);
    udp_ipv4_plain_vip_elsewhere: udp(V4, Plain, Routed);
    udp_ipv4_plain_vip_local: udp(V4, Plain, Loopback);
    udp_ipv6_offload_vip_elsewhere: udp(V6, Offload, Routed);
    udp_ipv6_offload_vip_local: udp(V6, Offload, Loopback);
    udp_ipv6_plain_vip_elsewhere: udp(V6, Plain, Routed);
    udp_ipv6_plain_vip_local: udp(V6, Plain, Loopback);
}

fn tcp(family: Family, device: Device, vip: VipPlace) {
    let lab = lab(2, vip);
    let engine = start(&lab, device);
    let servers: Vec<_> =
        lab.servers.iter().map(|server| Http::start(server, SERVER_PORT).unwrap()).collect();
    let vip = lab.vip.port(family, PORT);
    let dests = [0, 1].map(|server| (lab.server_port(server, family, SERVER_PORT), 1));
    engine.service("tcp", vip, "rr", &dests);

    for _ in 0..2 {
        let mut connection = Connection::open(&lab.client, vip).unwrap();
        let seen: SocketAddr = connection.get("/whoami").unwrap().body.trim().parse().unwrap();
        let own = connection.stream().local_addr().unwrap();
        assert_eq!((seen, own.ip()), (own, lab.client_addr.of(family)), "the client as the server sees it");
        moves(&engine, device, "a download", || {
            connection.download(BYTES, |_| {}).unwrap();
        });
        moves(&engine, device, "an upload", || {
            connection.upload(BYTES, |_| {}).unwrap();
        });
    }
    let taken: Vec<_> = servers.iter().map(|server| server.counters().connections()).collect();
    assert_eq!(taken, [1, 1], "connections of each server");
    check_counters(&engine.status(), device);
}

fn udp(family: Family, device: Device, vip: VipPlace) {
    let lab = lab(1, vip);
    let engine = start(&lab, device);
    let (vip, dest) = (lab.vip.port(family, PORT), lab.server_port(0, family, SERVER_PORT));
    engine.service("udp", vip, "rr", &[(dest, 1)]);
    let server = udp::bound(&lab.servers[0], dest);
    let client = udp::connected(&lab.client, vip);
    let own = client.local_addr().unwrap();
    assert_eq!(own.ip(), lab.client_addr.of(family));

    let bytes: Vec<u8> = (0..BURST).map(|at| (at * 7 + at / 251) as u8).collect();
    let largest = if family == Family::V4 { 1472 } else { 1452 };
    for size in [0, 1, 2, 3, 7, 100, 511, 1024, 1399, 1400, 1401, largest - 1, largest] {
        let (question, answer) = (&bytes[..size], &bytes[size..2 * size]);
        client.send(question).unwrap();
        assert_eq!(udp::receive(&server), (question.to_vec(), own), "{size} bytes to the server");
        server.send_to(answer, own).unwrap();
        assert_eq!(udp::receive(&client), (answer.to_vec(), vip), "{size} bytes to the client");
    }
    assert_eq!(engine.status().counter("super-packets"), 0, "single datagrams are no super-packets");

    let pieces: Vec<_> = bytes.chunks(usize::from(SEGMENT)).collect();
    moves(&engine, device, "a burst to the server", || {
        udp::send_segmented(&client, vip, &bytes, SEGMENT);
        for piece in &pieces {
            assert_eq!(udp::receive(&server), (piece.to_vec(), own), "a piece to the server");
        }
    });
    moves(&engine, device, "a burst to the client", || {
        udp::send_segmented(&server, own, &bytes, SEGMENT);
        for piece in &pieces {
            assert_eq!(udp::receive(&client), (piece.to_vec(), vip), "a piece to the client");
        }
    });
    if family == Family::V4 {
        no_checksum(&lab, &server, &client, own, vip, dest);
    }
    let status = engine.status();
    assert_eq!(status.counter("connections-created"), 1, "all of it was one flow");
    check_counters(&status, device);
}

/// A checksum of zero means that there is none (RFC 768), and stays so.
fn no_checksum(
    lab: &NatLab,
    server: &std::net::UdpSocket,
    client: &std::net::UdpSocket,
    own: SocketAddr,
    vip: SocketAddr,
    dest: SocketAddr,
) {
    let (at_client, at_server) = (Raw::open(&lab.client), Raw::open(&lab.servers[0]));
    at_client.send_without_checksum(own.port(), vip, b"no checksum");
    let seen = at_server.next(|datagram| datagram.payload == b"no checksum");
    assert_eq!((seen.checksum, seen.src, seen.dst), (0, own, dest));
    assert_eq!(udp::receive(server), (b"no checksum".to_vec(), own));
    at_server.send_without_checksum(dest.port(), own, b"none here either");
    let seen = at_client.next(|datagram| datagram.payload == b"none here either");
    assert_eq!((seen.checksum, seen.src, seen.dst), (0, vip, own));
    assert_eq!(udp::receive(client), (b"none here either".to_vec(), vip));
}

fn lab(servers: usize, vip: VipPlace) -> NatLab {
    NatLab::new(&NatOptions { servers, vip, ..NatOptions::default() }).unwrap()
}

fn start(lab: &NatLab, device: Device) -> Engine<'_> {
    Engine::start(lab, &["--offload", if device == Offload { "on" } else { "off" }])
}

fn moves(engine: &Engine<'_>, device: Device, what: &str, work: impl FnOnce()) {
    let before = engine.status().counter("super-packets");
    work();
    let after = engine.status().counter("super-packets");
    match device {
        Offload => assert!(after > before, "{what} went through without super-packets: still {after}"),
        Plain => assert_eq!(after, 0, "{what} brought super-packets to a device without offload"),
    }
}

/// Nothing was lost on the way, and the counters add up.
fn check_counters(status: &Status, device: Device) {
    assert_eq!(status.drops(), [].into());
    for name in ["unreadable", "unsent"] {
        assert_eq!(status.counter(name), 0, "{name}");
    }
    let verdicts = ["transmitted", "replied", "passed"].map(|name| status.counter(name));
    assert_eq!(status.counter("received"), verdicts.iter().sum::<u64>());
    let offload = match device {
        Offload => "checksum, tso4, tso6, uso",
        Plain => "off",
    };
    assert_eq!(status.offload, offload);
}
