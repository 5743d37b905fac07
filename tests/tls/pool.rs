//! Connections to servers that several clients share, port 80 that leads to https, and TLS to servers: with nginx.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use lab::addr::Family;
use lab::client;
use lab::topo::NatOptions;

use super::peers::Nginx;
use super::site::{NAME, Site, counter};
use crate::scene::FAMILIES;

over_both_stacks! {
    requests_of_many_clients_share_few_connections,
    servers_may_close_idle_connections_as_they_like,
    plain_http_is_sent_to_https,
    servers_are_spoken_to_by_tls_and_have_to_prove_who_they_are,
}

const PORT: u16 = 8070;

fn site(stack: &'static str) -> Site {
    Site::new(stack, &NatOptions { servers: 1, ..NatOptions::default() })
}

/// nginx that answers with its connection's number and what it was asked for.
fn nginx(site: &Site, settings: &str) -> Nginx {
    let block = format!(
        "listen [::]:{PORT} ipv6only=off;\n{settings}\nlocation / {{ return 200 \"$connection $request_uri\\n\"; }}"
    );
    Nginx::start(&site.scene.lab.servers[0], &site.dir, PORT, &block)
}

/// The number of nginx's connection by which the answer came.
fn connection_of(body: &str, path: &str) -> u64 {
    let (number, asked) = body.trim_end().split_once(' ').unwrap_or_else(|| panic!("{body:?}"));
    assert_eq!(asked, path);
    number.parse().unwrap()
}

fn requests_of_many_clients_share_few_connections(stack: &'static str) {
    let site = site(stack);
    let _nginx = nginx(&site, "");
    let engine = site.engine();
    for family in FAMILIES {
        let vip = site.serve(&engine, family, PORT, "rr", "--pool 8");
        let mut numbers = BTreeSet::new();
        for n in 0..20 {
            let path = format!("/one/{n}");
            numbers.insert(connection_of(&site.client().get(vip, &path), &path));
        }
        // One for each thread that serves clients, and a few that were too old.
        assert!(numbers.len() <= 8, "{numbers:?}");
        let client = || {
            let mut connection = site.client().http(vip);
            let one = |n: u32| {
                let path = format!("/{:?}/{n}", std::thread::current().id());
                connection_of(&connection.get(&path).unwrap().body, &path)
            };
            (0..25).map(one).collect::<BTreeSet<_>>()
        };
        let numbers: BTreeSet<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(numbers.len() < 100, "200 requests over {} connections", numbers.len());
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

fn servers_may_close_idle_connections_as_they_like(stack: &'static str) {
    let site = site(stack);
    let _nginx = nginx(&site, "keepalive_timeout 1s;");
    let engine = site.engine();
    let vip = site.serve(&engine, Family::V4, PORT, "rr", "--pool 8");
    let mut connection = site.client().http(vip);
    for n in 0..24 {
        let path = format!("/{n}");
        connection_of(&connection.get(&path).unwrap_or_else(|e| panic!("request {n}: {e:#}")).body, &path);
        if n % 8 == 7 {
            std::thread::sleep(Duration::from_millis(1100));
        }
    }
    engine.stop();
}

fn plain_http_is_sent_to_https(stack: &'static str) {
    let site = site(stack);
    let engine = site.engine();
    for family in FAMILIES {
        let vip = site.serve(&engine, family, 80, "rr", "--redirect-http 80");
        let plain = SocketAddr::new(vip.ip(), 80);
        let location = |request: &str| {
            let mut stream = client::connect(&site.scene.lab.client, plain).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let (head, body) =
                answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request:?}: {answer:?}"));
            assert!(head.starts_with("HTTP/1.1 308 "), "{head}");
            let location = head.lines().find_map(|line| line.strip_prefix("Location: "));
            (location.unwrap().to_owned(), body.to_owned())
        };
        let host = format!("{}", plain).trim_end_matches(":80").to_owned();
        let close = "Connection: close\r\n\r\n";
        let (to, _) = location(&format!("GET /a?b=c HTTP/1.1\r\nHost: {NAME}:80\r\n{close}"));
        assert_eq!(to, format!("https://{NAME}/a?b=c"));
        let (to, _) = location(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n{close}"));
        assert_eq!(to, format!("https://{host}/"));
        let (to, body) = location(&format!("HEAD /x HTTP/1.1\r\nHost: {NAME}\r\n{close}"));
        assert_eq!((to, body.as_str()), (format!("https://{NAME}/x"), ""));
        // Who names no host is led to the certificate's.
        let (to, _) = location("GET /old HTTP/1.0\r\n\r\n");
        assert_eq!(to, format!("https://{NAME}/old"));
        let got = site.curl(&["--location", &format!("http://{host}/")]);
        assert_eq!(got, "server1\n");
        engine.ulvs(&format!("tls add tcp/{vip} --redirect-http none"));
        let after = client::get(&site.scene.lab.client, plain, "/");
        assert!(after.is_err(), "{after:?}");
    }
    engine.stop();
}

fn servers_are_spoken_to_by_tls_and_have_to_prove_who_they_are(stack: &'static str) {
    let site = site(stack);
    let server = site.scene.lab.server_addrs[0];
    site.ca(&format!(
        "issue --dns inner.example --ip {} --ip {} --out {}/inner",
        server.v4, server.v6, site.dir
    ));
    let other = format!("{}/other", site.dir);
    std::fs::create_dir(&other).unwrap();
    let made = site.scene.director().exec(&[
        crate::support::binary().to_str().unwrap(),
        "ca",
        "init",
        "--dir",
        &other,
    ]);
    made.unwrap();
    let block = format!(
        "listen [::]:8443 ssl ipv6only=off;\nssl_protocols TLSv1.2 TLSv1.3;\nssl_certificate {0}/inner.crt;\nssl_certificate_key {0}/inner.key;\n\
         location / {{ return 200 \"$ssl_server_name inside $ssl_protocol\\n\"; }}",
        site.dir
    );
    let _nginx = Nginx::start(&site.scene.lab.servers[0], &site.dir, 8443, &block);
    let engine = site.engine();
    for family in FAMILIES {
        let ca = format!("--backend-ca {}/ca.crt", site.dir);
        let vip = site.serve(&engine, family, 8443, "rr", &ca);
        let set = |options: &str| engine.ulvs(&format!("tls add tcp/{vip} {options}"));
        let page = || site.client().get(vip, "/");
        // By each server's address, by a name, with connections that are kept.
        assert_eq!(page(), " inside TLSv1.3\n");
        set("--backend-name inner.example");
        assert_eq!(page(), "inner.example inside TLSv1.3\n");
        set("--pool 4");
        for _ in 0..3 {
            assert_eq!(page(), "inner.example inside TLSv1.3\n");
        }
        let refused = || {
            let before = counter(&engine, vip, "servers-refused");
            let answer = site.client().ask(vip, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
            assert!(counter(&engine, vip, "servers-refused") > before);
        };
        set("--pool 0 --backend-name other.example");
        refused();
        set(&format!("--backend-name inner.example --backend-ca {other}/ca.crt"));
        refused();
        set(&format!("--backend-ca {}/ca.crt", site.dir));
        assert_eq!(page(), "inner.example inside TLSv1.3\n");
    }
    engine.stop();
}
