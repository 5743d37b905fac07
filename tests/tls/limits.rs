//! What takes too long, and what is too much.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::addr::Family;
use lab::client;
use lab::topo::NatOptions;
use lab::wait::wait_for;

use super::peers::Port;
use super::site::{End, Session, Site, counter, sessions};
use crate::support::{Engine, PATIENCE};

over_both_stacks! {
    silence_ends_sessions_and_says_why,
    slow_ends_hold_back_the_other_one_and_no_memory,
    so_many_connections_and_handshakes_and_no_more,
}

const PORT: u16 = 8000;

fn site(stack: &'static str) -> Site {
    Site::new(stack, &NatOptions { servers: 1, ..NatOptions::default() })
}

fn silence_ends_sessions_and_says_why(stack: &'static str) {
    let site = site(stack);
    let port = Port::listen(&site.scene.lab.servers[0], PORT);
    let engine = site.engine();
    let limits = "--alpn bytes --idle-timeout 2s --half-closed-timeout 1s --handshake-timeout 1s";
    let vip = site.serve(&engine, Family::V4, PORT, "rr", limits);
    // Who connects and says nothing; who begins and does not go on.
    let mut silent = client::connect(&site.scene.lab.client, vip).unwrap();
    let ended = silent.read(&mut [0]);
    assert!(ended.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset), "{ended:?}");
    assert_eq!(counter(&engine, vip, "timeout-handshake"), 1);
    // A session without a word.
    let mut session = site.client().open(vip);
    let mut peer = port.take();
    session.say(b"hello");
    peer.hear(5);
    assert_eq!(session.rest(), (String::new(), End::Reset));
    assert_eq!(peer.rest(), (Vec::new(), false));
    assert_eq!(counter(&engine, vip, "timeout-idle"), 1);
    // Half of one.
    let mut session = site.client().open(vip);
    let mut peer = port.take();
    session.end();
    assert_eq!(peer.rest(), (Vec::new(), true));
    assert_eq!(session.rest(), (String::new(), End::Reset));
    assert_eq!(counter(&engine, vip, "timeout-half_closed"), 1);
    wait_for("the sessions' end", PATIENCE, || (sessions(&engine, vip) == 0).then_some(())).unwrap();
    engine.stop();
}

/// The memory of the engine's process in KiB.
fn resident(engine: &Engine<'_>) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.status().pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Whoever is slow: the one who is not has to wait, and the engine holds next to nothing.
fn slow_ends_hold_back_the_other_one_and_no_memory(stack: &'static str) {
    const MUCH: u64 = 24 << 10;
    let site = site(stack);
    let port = Port::listen(&site.scene.lab.servers[0], PORT);
    let engine = site.engine();
    let plain = site.serve(&engine, Family::V4, 80, "rr", "");
    // A GiB is on its way and a MB a second taken.
    let mut session = site.client().open(plain);
    session.say(b"GET /bytes/1073741824 HTTP/1.1\r\nHost: a\r\n\r\n");
    session.hear(1000);
    let before = resident(&engine);
    let (began, mut bytes) = (Instant::now(), vec![0; 100_000]);
    while began.elapsed() < Duration::from_secs(2) {
        session.read_exact(&mut bytes).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    let after = resident(&engine);
    assert!(after < before + MUCH, "{before} KiB and then {after}");
    let passed = counter(&engine, plain, "bytes-out");
    assert!(passed < 60 << 20, "{passed} bytes were fetched from the server for a slow client");
    drop(session);
    // The same the other way round: the server does not read.
    let vip = site.serve(&engine, Family::V6, PORT, "rr", "--alpn bytes");
    let session = site.client().open(vip);
    let peer = port.take();
    let before = resident(&engine);
    let taken = until_it_is_full(session, 1 << 30);
    assert!(taken < 100 << 20, "{taken} bytes were taken for a server that does not read");
    let after = resident(&engine);
    assert!(after < before + MUCH, "{before} KiB and then {after}");
    drop(peer);
    engine.stop();
}

/// How much goes in within a few seconds.
fn until_it_is_full(mut session: Session, most: usize) -> usize {
    // rustls reads where it cannot write.
    for set in [std::net::TcpStream::set_write_timeout, std::net::TcpStream::set_read_timeout] {
        set(session.socket(), Some(Duration::from_millis(200))).unwrap();
    }
    let (began, mut taken, piece) = (Instant::now(), 0, vec![b'x'; 16 << 10]);
    while taken < most && began.elapsed() < Duration::from_secs(4) {
        match session.write(&piece) {
            Ok(n) => taken += n,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
                break;
            }
        }
    }
    taken
}

fn so_many_connections_and_handshakes_and_no_more(stack: &'static str) {
    let site = site(stack);
    let engine = site.engine();
    let vip = site.serve(&engine, Family::V4, 80, "rr", "--max-connections 3");
    let client = site.client();
    let open: Vec<_> = (0..3).map(|_| client.open(vip)).collect();
    assert!(client.try_open(vip).is_err(), "a fourth one is let in");
    assert!(counter(&engine, vip, "refused-too-many") > 0);
    drop(open);
    let room = || client.try_open(vip).ok();
    wait_for("room", PATIENCE, room).unwrap();

    engine.ulvs(&format!("tls add tcp/{vip} --max-connections 0 --handshakes-per-second 5"));
    let began = Instant::now();
    let done = counter(&engine, vip, "handshakes-full");
    let opened = open_for(&site, vip, Duration::from_millis(2500));
    let seconds = began.elapsed().as_secs() + 1;
    let done = counter(&engine, vip, "handshakes-full") - done;
    assert!(done <= 5 * (seconds + 1), "{done} handshakes in {seconds} s");
    assert!(opened >= 5, "{opened}");
    engine.stop();
}

/// How many sessions come about in this time.
fn open_for(site: &Site, vip: SocketAddr, time: Duration) -> usize {
    let (client, began, mut opened) = (site.client(), Instant::now(), 0);
    while began.elapsed() < time {
        match client.try_open(vip) {
            Ok(_) => opened += 1,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    opened
}
