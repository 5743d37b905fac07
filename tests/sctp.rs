//! SCTP through the engine: ends made of packets, each of which has to arrive with the right addresses, ports and CRC32c.

use std::net::{IpAddr, SocketAddr};

use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;

use crate::scene::FAMILIES;
use crate::support::sctp::{
    COOKIE_ACK, COOKIE_ECHO, DATA, INIT, INIT_ACK, Packet, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE, Sctp,
};
use crate::support::{Engine, PATIENCE};

const VIP_PORT: u16 = 3868;
const SERVER_PORT: u16 = 13_868;

/// A client, a VIP and a server, and what an association is between.
struct Association<'a> {
    client: &'a Sctp,
    client_at: SocketAddr,
    vip: SocketAddr,
    server: &'a Sctp,
    server_at: SocketAddr,
}

impl Association<'_> {
    /// The client says this, and the server hears it, whole.
    fn up(&self, chunk: u8, tag: u32, len: usize) {
        self.passes(
            true,
            (self.client, self.client_at, self.vip),
            (self.server, self.client_at, self.server_at),
            chunk,
            tag,
            len,
        );
    }

    /// The server says this, and the client hears it from the VIP, whole.
    fn down(&self, chunk: u8, tag: u32, len: usize) {
        self.passes(
            true,
            (self.server, self.server_at, self.client_at),
            (self.client, self.vip, self.client_at),
            chunk,
            tag,
            len,
        );
    }

    /// What was damaged on its way arrives damaged.
    fn damaged(&self) {
        self.passes(
            false,
            (self.client, self.client_at, self.vip),
            (self.server, self.client_at, self.server_at),
            DATA,
            9,
            77,
        );
    }

    fn passes(
        &self,
        intact: bool,
        (sender, from, to): (&Sctp, SocketAddr, SocketAddr),
        (receiver, seen_from, seen_at): (&Sctp, SocketAddr, SocketAddr),
        chunk: u8,
        tag: u32,
        len: usize,
    ) {
        let value: Vec<u8> = (0..len).map(|at| (at * 31) as u8).collect();
        let sent = Packet { src_port: from.port(), dst_port: to.port(), tag, chunk, value, intact };
        sender.send(to.ip(), &sent);
        let expected = Packet { src_port: seen_from.port(), dst_port: seen_at.port(), ..sent };
        let heard: (Packet, IpAddr) = receiver.receive();
        assert_eq!(heard, (expected, seen_from.ip()));
    }
}

#[test]
fn associations_are_balanced_and_every_packet_arrives_with_a_right_checksum() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let engine = Engine::start(&lab, &[]);
    for family in FAMILIES {
        let vip = lab.vip.port(family, VIP_PORT);
        engine.ulvs(&format!("ipvsadm -A --sctp-service {vip} -s rr"));
        let ats = [1, 0].map(|index| lab.server_port(index, family, SERVER_PORT));
        for server in ats {
            engine.ulvs(&format!("ipvsadm -a --sctp-service {vip} -r {server} -m"));
        }
        let client = Sctp::open(&lab.client, vip.is_ipv4());
        // The newest server is the first to be chosen.
        for (index, port) in [(0, 5000), (1, 5001)] {
            let server = Sctp::open(&lab.servers[index], vip.is_ipv4());
            let client_at = lab.client_addr.port(family, port);
            let server_at = lab.server_port(index, family, SERVER_PORT);
            let association = Association { client: &client, client_at, vip, server: &server, server_at };
            association.up(INIT, 0, 16);
            shows(&engine, client_at, "INIT1");
            association.down(INIT_ACK, 7, 100);
            association.up(COOKIE_ECHO, 9, 80);
            association.down(COOKIE_ACK, 7, 0);
            shows(&engine, client_at, "ESTABLISHED");
            for len in [1, 2, 3, 4, 500, 1000] {
                association.up(DATA, 9, len);
                association.down(DATA, 7, len);
            }
            association.damaged();
            association.up(SHUTDOWN, 9, 4);
            association.down(SHUTDOWN_ACK, 7, 0);
            association.up(SHUTDOWN_COMPLETE, 9, 0);
            shows(&engine, client_at, "CLOSED");
        }
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

/// The client's association is in this state.
fn shows(engine: &Engine<'_>, client: SocketAddr, state: &str) {
    wait_for(&format!("{client} to be in {state}"), PATIENCE, || {
        let listing = engine.ulvs("ipvsadm -Lnc");
        let source = client.to_string();
        let line = listing.lines().find(|line| line.split_whitespace().nth(3) == Some(&source))?;
        let words: Vec<_> = line.split_whitespace().collect();
        (words[0] == "SCTP" && words[2] == state).then_some(())
    })
    .unwrap();
}
