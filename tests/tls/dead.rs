//! Servers that do not take connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::addr::Family;
use lab::node::Node;
use lab::topo::NatOptions;

use super::peers::{Nginx, Port};
use super::site::{End, Site, counter};
use crate::scene::FAMILIES;
use crate::support::Engine;

over_both_stacks! {
    the_next_server_is_asked_when_one_is_closed_or_silent,
    a_client_is_told_when_there_is_no_server,
    a_server_that_dies_in_the_middle_is_no_clean_end,
    a_killed_nginx_is_no_clean_end,
}

/// Nobody listens there.
const CLOSED: u16 = 81;

/// Drops what comes to the port.
fn silence(server: &Node, port: u16) {
    let rule = format!(
        "table inet f {{ chain c {{ type filter hook input priority 0; tcp dport {port} drop\n}}\n}}\n"
    );
    server.exec(&["nft", &rule]).unwrap();
}

/// A service with these servers, whose connections have a second to come about.
fn service(
    site: &Site,
    engine: &Engine<'_>,
    family: Family,
    servers: &[(usize, u16)],
    tls: &str,
) -> SocketAddr {
    let vip = site.vip(family);
    engine.ulvs(&format!("ipvsadm -A -t {vip} -s rr"));
    for &(index, port) in servers {
        engine
            .ulvs(&format!("ipvsadm -a -t {vip} -r {} -m", site.scene.lab.server_port(index, family, port)));
    }
    let tls = format!("tls add tcp/{vip} {} --connect-timeout 1s {tls}", site.front());
    engine.ulvs(tls.trim_end());
    vip
}

fn the_next_server_is_asked_when_one_is_closed_or_silent(stack: &'static str) {
    let site = Site::new(stack, &NatOptions { servers: 3, ..NatOptions::default() });
    silence(&site.scene.lab.servers[1], 82);
    let engine = site.engine();
    for family in FAMILIES {
        let vip = service(&site, &engine, family, &[(0, 80), (1, 82), (2, CLOSED)], "");
        for _ in 0..3 {
            let began = Instant::now();
            assert_eq!(site.client().get(vip, "/"), "server1\n");
            assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        }
        // Each round has met one or both of the others.
        let refused = counter(&engine, vip, "servers-refused");
        assert!((3..=6).contains(&refused), "{refused}");
        assert!(counter(&engine, vip, "timeout-connect") > 0);
    }
    engine.stop();
}

fn a_client_is_told_when_there_is_no_server(stack: &'static str) {
    let site = Site::new(stack, &NatOptions::default());
    silence(&site.scene.lab.servers[1], 82);
    let engine = site.engine();
    for family in FAMILIES {
        // None at all, only dead ones, only one of weight 0.
        let vip = service(&site, &engine, family, &[], "");
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let told = |what: &str| {
            let answer = site.client().ask(vip, request);
            assert!(answer.starts_with("HTTP/1.1 502 "), "{what}: {answer}");
            assert!(answer.contains("Connection: close\r\n"), "{answer}");
        };
        told("no server");
        for (index, port) in [(0, CLOSED), (1, 82)] {
            engine.ulvs(&format!(
                "ipvsadm -a -t {vip} -r {} -m",
                site.scene.lab.server_port(index, family, port)
            ));
        }
        told("dead servers");
        assert!(counter(&engine, vip, "servers-refused") >= 2);
        let bytes = site.scene.lab.vip.port(family, 444);
        engine.ulvs(&format!("ipvsadm -A -t {bytes} -s rr"));
        engine
            .ulvs(&format!("ipvsadm -a -t {bytes} -r {} -m", site.scene.lab.server_port(0, family, CLOSED)));
        engine.ulvs(&format!("tls add tcp/{bytes} {} --alpn bytes", site.front()));
        let (rest, end) = site.client().open(bytes).rest();
        assert_eq!((rest.as_str(), end), ("", End::Reset));
        let row = |line: &&str| line.contains("Masq") && !line.trim_end().ends_with('0');
        let listing = engine.ulvs(&format!("ipvsadm -Ln -t {bytes}"));
        assert_eq!(listing.lines().filter(row).count(), 0, "nothing is left that counts: {listing}");
    }
    engine.stop();
}

/// With a length that says what is missing, and without one, where only the end could tell.
fn a_server_that_dies_in_the_middle_is_no_clean_end(stack: &'static str) {
    let site = Site::new(stack, &NatOptions { servers: 1, ..NatOptions::default() });
    let port = Port::listen(&site.scene.lab.servers[0], 8000);
    let engine = site.engine();
    for family in FAMILIES {
        let vip = service(&site, &engine, family, &[(0, 8000)], "");
        for head in ["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            let mut session = site.client().open(vip);
            session.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut peer = port.take();
            peer.head();
            peer.say(format!("{head}half").as_bytes());
            assert!(session.hear_until("half").starts_with("HTTP/1.1 200 OK"));
            // As when a process is killed with something unread.
            peer.reset();
            let (rest, end) = session.rest();
            assert_eq!((rest.as_str(), end), ("", End::Reset), "{head:?}");
        }
        // The length says that something is missing, and the server's end comes all the same.
        let mut session = site.client().open(vip);
        session.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut peer = port.take();
        peer.head();
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        drop(peer);
        let (rest, end) = session.rest();
        assert!(rest.ends_with("half") || end == End::Reset, "{rest}");
        assert_eq!(end, End::Reset);
        // Before it has said anything.
        let mut session = site.client().open(vip);
        session.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut peer = port.take();
        peer.head();
        drop(peer);
        let (rest, end) = session.rest();
        assert!(rest.starts_with("HTTP/1.1 502 ") && end == End::Clean, "{end:?} {rest}");
    }
    engine.stop();
}

fn a_killed_nginx_is_no_clean_end(stack: &'static str) {
    let site = Site::new(stack, &NatOptions { servers: 1, ..NatOptions::default() });
    let long = std::fs::File::create(format!("{}/long", site.dir)).unwrap();
    long.set_len(1 << 30).unwrap();
    std::fs::set_permissions(&site.dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let engine = site.engine();
    for family in FAMILIES {
        let block = format!("listen [::]:8070 ipv6only=off;\nlocation = /long {{ root {}; }}", site.dir);
        let nginx = Nginx::start(&site.scene.lab.servers[0], &site.dir, 8070, &block);
        let vip = service(&site, &engine, family, &[(0, 8070)], "");
        let mut session = site.client().open(vip);
        session.say(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
        session.hear(1 << 20);
        nginx.kill();
        let (_, end) = session.rest();
        assert_eq!(end, End::Reset);
    }
    engine.stop();
}
