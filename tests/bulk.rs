//! Much at once: a gibibyte, and two thousand connections.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use lab::addr::Family;
use lab::client;
use lab::serve::{Http, TcpEcho};
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;
use netio::process::raise_open_files;

use crate::support::{Engine, PATIENCE};

#[test]
fn a_gibibyte_each_way_arrives_as_it_was_sent() {
    let lab = NatLab::new(&NatOptions { servers: 1, ..NatOptions::default() }).unwrap();
    let _http = Http::start(&lab.servers[0], 80).unwrap();
    let engine = Engine::start(&lab, &[]);
    let vip = lab.vip.port(Family::V4, 80);
    engine.service("tcp", vip, "rr", &[(lab.server_port(0, Family::V4, 80), 1)]);
    let down = client::download(&lab.client, vip, 1 << 30, |_| {}).unwrap();
    let up = client::upload(&lab.client, vip, 1 << 30, |_| {}).unwrap();
    println!(
        "1 GiB: {:.1} Gbit/s down, {:.1} Gbit/s up, hashing on both ends included",
        down.gbit_per_s(),
        up.gbit_per_s()
    );
    assert_eq!(engine.status().drops(), [].into());
}

#[test]
fn two_thousand_connections_at_once() {
    const CONNECTIONS: usize = 2000;
    raise_open_files().unwrap();
    let lab = NatLab::new(&NatOptions { servers: 4, ..NatOptions::default() }).unwrap();
    let servers: Vec<_> = lab.servers.iter().map(|server| TcpEcho::start(server, 7).unwrap()).collect();
    let engine = Engine::start(&lab, &[]);
    let vip = lab.vip.port(Family::V4, 7);
    let dests = [0, 1, 2, 3].map(|server| (lab.server_port(server, Family::V4, 7), 1));
    engine.service("tcp", vip, "wlc", &dests);

    let connect = || (0..CONNECTIONS).map(|_| TcpStream::connect_timeout(&vip, PATIENCE).unwrap()).collect();
    let mut open: Vec<TcpStream> = lab.client.run(connect).unwrap();
    // All speak before anybody is answered.
    for round in 0..3 {
        let word = |at: usize| format!("connection {at:4} round {round}").into_bytes();
        for (at, stream) in open.iter_mut().enumerate() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&word(at)).unwrap();
        }
        for (at, stream) in open.iter_mut().enumerate() {
            let mut answer = vec![0; word(at).len()];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, word(at));
        }
    }
    assert_eq!(engine.connections("ESTABLISHED"), CONNECTIONS);
    assert_eq!(engine.status().connections, CONNECTIONS as u64);
    let (active, inactive) = loads(&engine);
    assert_eq!((active.iter().sum(), inactive.iter().sum()), (CONNECTIONS as u64, 0));
    assert_eq!(active, [500; 4], "wlc gives equals the same");
    let taken: Vec<_> = servers.iter().map(|server| server.counters().connections()).collect();
    assert_eq!(taken, [500; 4]);

    drop(open);
    let closed = || (loads(&engine).0.iter().sum::<u64>() == 0).then_some(());
    wait_for("all connections to be closed", Duration::from_secs(20), closed).unwrap();
    assert_eq!(engine.connections("ESTABLISHED"), 0);
    assert_eq!(loads(&engine).1.iter().sum::<u64>(), CONNECTIONS as u64);
    assert_eq!(engine.status().drops(), [].into());
}

/// The columns ActiveConn and InActConn of `ipvsadm -Ln`.
fn loads(engine: &Engine<'_>) -> (Vec<u64>, Vec<u64>) {
    let listing = engine.ulvs("ipvsadm -Ln");
    let rows = listing.lines().filter(|line| line.starts_with("  -> ") && line.contains("Masq"));
    rows.map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        (words[4].parse::<u64>().unwrap(), words[5].parse::<u64>().unwrap())
    })
    .unzip()
}
