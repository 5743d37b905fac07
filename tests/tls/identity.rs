//! What servers are told of who the client is: HAProxy and nginx believe it.

use std::net::SocketAddr;

use lab::topo::NatOptions;

use super::peers::Nginx;
use super::site::{Client, Session, Site};
use crate::proxy_protocol::{FRONT, HaProxy};
use crate::scene::FAMILIES;
use crate::support::{Engine, printed};

over_both_stacks! {
    nobody_is_told_who_does_not_ask,
    haproxy_and_nginx_are_told_by_the_proxy_protocol,
    each_request_says_whom_it_comes_from,
}

const PORT: u16 = 8070;
/// With a header of the PROXY protocol before all else.
const TOLD: u16 = 8071;

fn site(stack: &'static str) -> Site {
    Site::new(stack, &NatOptions { servers: 1, ..NatOptions::default() })
}

/// nginx that answers with the client it sees, and the fields that say so; for TOLD in the PROXY protocol.
fn nginx(site: &Site) -> Nginx {
    let block = format!(
        "listen [::]:{PORT} ipv6only=off;\nlisten [::]:{TOLD} ipv6only=off proxy_protocol;\n\
         location / {{ return 200 \"$remote_addr $remote_port|$http_x_forwarded_for|$http_x_forwarded_proto|\
         $http_forwarded|$http_x_ssl_client_verify|$proxy_protocol_addr $proxy_protocol_port \
         $proxy_protocol_server_addr $proxy_protocol_server_port\\n\"; }}"
    );
    Nginx::start(&site.scene.lab.servers[0], &site.dir, PORT, &block)
}

/// What the server says to this request, between the bars, and the client's own address.
fn told(client: &Client<'_>, vip: SocketAddr, fields: &str) -> (Vec<String>, SocketAddr) {
    let mut session: Session = client.open(vip);
    let own = session.local_addr();
    session.say(format!("GET / HTTP/1.0\r\nHost: a\r\n{fields}\r\n").as_bytes());
    let (answer, _) = session.rest();
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_else(|| panic!("{answer:?}"));
    let ip = SocketAddr::new(own.ip(), own.port());
    (body.trim_end().split('|').map(|part| part.replace("::ffff:", "")).collect(), ip)
}

fn nobody_is_told_who_does_not_ask(stack: &'static str) {
    let site = site(stack);
    let _nginx = nginx(&site);
    let engine = site.engine();
    for family in FAMILIES {
        let vip = site.serve(&engine, family, PORT, "rr", "");
        let (told, own) = told(&site.client(), vip, "X-Forwarded-For: 192.0.2.1\r\n");
        assert!(!told[0].starts_with(&own.ip().to_string()), "{told:?}");
        assert_eq!(told[1], "192.0.2.1", "what the client says goes on as it is");
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

fn haproxy_and_nginx_are_told_by_the_proxy_protocol(stack: &'static str) {
    let site = site(stack);
    let _nginx = nginx(&site);
    let _haproxy = HaProxy::start(&site.scene.lab, &site.scene.lab.servers[0]);
    let engine = site.engine();
    for family in FAMILIES {
        let vip = site.serve(&engine, family, TOLD, "rr", "");
        for version in ["v1", "v2"] {
            engine.ulvs(&format!("tls add tcp/{vip} --server-port {TOLD} --identity proxy-{version}"));
            let (told, own) = told(&site.client(), vip, "");
            assert_eq!(told[5], format!("{} {} {} {}", own.ip(), own.port(), vip.ip(), vip.port()));
            engine.ulvs(&format!("tls add tcp/{vip} --server-port {FRONT}"));
            let mut connection = site.client().http(vip);
            for _ in 0..2 {
                let own = connection.stream().local_addr();
                let told = connection.get("/client").unwrap().body;
                assert_eq!(told, format!("{} {} {} {}", own.ip(), own.port(), vip.ip(), vip.port()));
            }
            // What follows the header is what the client says.
            connection.upload(3 << 20, |_| ()).unwrap();
            connection.download(3 << 20, |_| ()).unwrap();
        }
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

fn each_request_says_whom_it_comes_from(stack: &'static str) {
    let site = site(stack);
    let _nginx = nginx(&site);
    let engine = site.engine();
    for family in FAMILIES {
        let vip = site.serve(&engine, family, PORT, "rr", "--identity forwarded");
        // What it says about itself is no use to anybody.
        let lies = "X-Forwarded-For: 192.0.2.1\r\nx_forwarded_proto: http\r\nForwarded: for=192.0.2.1\r\n\
                    X-SSL-Client-Verify: SUCCESS\r\n";
        let (told, own) = told(&site.client(), vip, lies);
        let ip = own.ip();
        assert_eq!(told[1..3], [ip.to_string(), "https".to_owned()]);
        let node = |ip: std::net::IpAddr| if ip.is_ipv4() { ip.to_string() } else { format!("\"[{ip}]\"") };
        assert_eq!(told[3], format!("for={};proto=https;by={}", node(ip), node(vip.ip())));
        assert_eq!(told[4], "");
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

#[test]
fn servers_see_the_client_itself_where_our_own_tcp_speaks_for_it() {
    let site = site("userspace");
    let _nginx = nginx(&site);
    let engine = site.engine();
    for family in FAMILIES {
        let vip = site.serve(&engine, family, PORT, "rr", "--identity transparent");
        for _ in 0..3 {
            let (told, own) = told(&site.client(), vip, "");
            assert_eq!(told[0], format!("{} {}", own.ip(), own.port()));
        }
        let listing = engine.ulvs("ipvsadm -Lnc");
        assert!(listing.contains(&vip.to_string()), "{listing}");
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

#[test]
fn the_hosts_tcp_cannot_speak_for_a_client_and_says_so() {
    let site = site("kernel");
    let engine: Engine<'_> = site.engine();
    let vip = site.serve(&engine, FAMILIES[0], 80, "rr", "");
    let reason = "cannot speak to servers from the client's own address";
    let output = engine.try_ulvs(&format!("tls add tcp/{vip} --identity transparent"));
    let text = printed(&output);
    assert!(!output.status.success() && text.contains(reason), "{text}");
    assert!(text.contains("take the stack `userspace`"), "{text}");
    site.client().get(vip, "/");
    let file = site.scene.write(
        "ulvs.toml",
        &format!(
            "[[service]]\nvip = \"{}\"\nports = [\"tcp/443\"]\n[service.tls]\ncert = \"site.crt\"\n\
             key = \"site.key\"\nidentity = \"transparent\"\n",
            vip.ip()
        ),
    );
    let output = engine.try_ulvs(&format!("check {file}"));
    let text = printed(&output);
    assert!(!output.status.success() && text.contains(reason), "{text}");
    assert!(text.contains("take the stack `userspace`"), "{text}");
    engine.stop();
}
