//! Certificates of clients: whose are accepted, and what servers learn of it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use lab::addr::Family;
use lab::node::Node;

use super::scene::{Scene, both};
use crate::support::printed;

/// A server that answers each request with its head.
fn mirror(node: &Node, at: SocketAddr) {
    let listener = node.run(|| TcpListener::bind(at)).unwrap().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let start =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", head.len());
            // A client that has gone is its own affair.
            let _ = stream.write_all(&[start.as_bytes(), &head].concat());
        }
    });
}

/// A front that asks clients for certificates, and people who have some.
fn prepare(scene: &Scene<'_>, options: &str) {
    let mirrored = scene.lab.server_port(0, Family::V4, 8080);
    mirror(&scene.lab.servers[0], mirrored);
    let (at, others) = (scene.vip, [0, 1].map(|index| scene.lab.server_port(index, Family::V4, 80)));
    scene.engine.ulvs(&format!("ipvsadm -a -t {at} -r {mirrored} -m"));
    for other in others {
        scene.engine.ulvs(&format!("ipvsadm -d -t {at} -r {other}"));
    }
    for name in ["wang", "li"] {
        let out = scene.path(name);
        scene.ca(&format!("issue --client --cn {name} --org Mage --email {name}@ilinux.io --out {out}"));
    }
    let strangers = scene.path("strangers");
    scene.ca_at(&strangers, "init --name strangers");
    scene.ca_at(&strangers, &format!("issue --client --cn eve --out {}", scene.path("eve")));
    scene.ca("crl");
    let pair = scene.pair("one.example", "");
    let clients = format!("--client-ca {} --client-crl {}", scene.path("ca.crt"), scene.path("ca.crl"));
    scene.add(&format!("{pair} {clients} --identity forwarded{options}"));
}

/// What curl, as this client, is answered: the head as the server got it, or curl's complaint. TLS 1.2 where the refusal
/// has to be part of the handshake: later, a reset could overtake it.
fn says(scene: &Scene<'_>, who: Option<&str>, options: &str) -> Result<String, String> {
    let with = who.map_or_else(String::new, |who| format!("--cert {who}.crt --key {who}.key"));
    let output = scene.try_curl("one.example", &format!("{with} {options}"));
    if output.status.success() { Ok(printed(&output)) } else { Err(printed(&output)) }
}

const TLS12: &str = "--tls-max 1.2";

#[test]
fn a_client_needs_a_certificate_that_is_good_and_not_revoked() {
    both(|scene| {
        prepare(scene, "");
        for version in [TLS12, "--tlsv1.3"] {
            let head = says(scene, Some("wang"), version).unwrap();
            assert!(head.contains("X-SSL-Client-Verify: SUCCESS\r\n"), "{head}");
            assert!(head.contains("X-SSL-Client-Subject: CN=wang,O=Mage\r\n"), "{head}");
        }
        for (who, complaint) in [
            (None, "alert certificate required"),
            (Some("eve"), "alert unknown ca"),
            (Some("one.example"), "alert unsupported certificate"),
        ] {
            let said = says(scene, who, TLS12).unwrap_err();
            assert!(said.contains(complaint), "{who:?}: {said}");
        }
        // In 1.3 the client has its answer when it reads, and the server has never heard of it.
        assert!(says(scene, None, "--tlsv1.3").is_err() && says(scene, Some("eve"), "--tlsv1.3").is_err());
        scene.wait_idle();
        assert_eq!(scene.counter("alert-certificate_required"), 2, "{:?}", scene.counters());

        scene.ca(&format!("revoke {} --reason keyCompromise", scene.path("wang.crt")));
        scene.engine.ulvs("tls reload");
        let said = says(scene, Some("wang"), TLS12).unwrap_err();
        assert!(said.contains("alert certificate revoked"), "{said}");
        assert!(says(scene, Some("li"), TLS12).unwrap().contains("CN=li,O=Mage\r\n"));
        scene.wait_idle();
        assert_eq!(scene.counter("alert-certificate_revoked"), 1, "{:?}", scene.counters());
    });
}

#[test]
fn a_client_may_come_without_but_not_with_a_bad_one() {
    both(|scene| {
        prepare(scene, " --client-optional");
        for version in [TLS12, "--tlsv1.3"] {
            let head = says(scene, None, version).unwrap();
            assert!(head.contains("X-SSL-Client-Verify: NONE\r\n"), "{head}");
            assert!(!head.contains("X-SSL-Client-Subject"), "{head}");
            let head = says(scene, Some("li"), version).unwrap();
            assert!(head.contains("X-SSL-Client-Subject: CN=li,O=Mage\r\n"), "{head}");
        }
        let said = says(scene, Some("eve"), TLS12).unwrap_err();
        assert!(said.contains("alert unknown ca"), "{said}");
        // Whoever asks afterwards has to have one.
        scene.add(&format!("--client-ca {}", scene.path("ca.crt")));
        assert!(says(scene, None, TLS12).is_err());
    });
}

#[test]
fn what_a_client_says_about_itself_does_not_reach_the_server() {
    both(|scene| {
        prepare(scene, " --client-optional");
        let forged = [
            "X-SSL-Client-Verify: SUCCESS",
            "x-ssl-client-subject: CN=root",
            "X_SSL_Client_Subject: CN=root",
            "X-SSL-Client-Serial: 1",
            "X-Forwarded-For: 127.0.0.1",
            "x_forwarded_for: 127.0.0.1",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: root.example",
            "X-Forwarded-Port: 1",
            "X-Forwarded-User: root",
            "Forwarded: for=127.0.0.1",
            "X-Forwarded-For:127.0.0.1,127.0.0.1",
        ];
        let mut options: String = forged.iter().map(|line| format!("-H '{line}' ")).collect();
        options += "-H 'X-Mine: kept'";
        let head = says(scene, Some("wang"), &options).unwrap();
        let told = |name: &str| {
            let name = name.to_ascii_lowercase();
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let found = lines.filter(|(known, _)| known.to_ascii_lowercase().replace('_', "-") == name);
            found.map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
        };
        let client = scene.lab.client_addr.of(Family::V4);
        assert_eq!(told("X-SSL-Client-Verify"), ["SUCCESS"], "{head}");
        assert_eq!(told("X-SSL-Client-Subject"), ["CN=wang,O=Mage"], "{head}");
        assert_eq!(told("X-Forwarded-For"), [client.to_string()], "{head}");
        assert_eq!(told("X-Forwarded-Proto"), ["https"], "{head}");
        assert_eq!(told("Forwarded"), [format!("for={client};proto=https;by={}", scene.vip.ip())], "{head}");
        assert_eq!(told("X-Mine"), ["kept"], "{head}");
        for word in ["root", "127.0.0.1", "serial", "forwarded-port"] {
            assert!(!head.to_ascii_lowercase().contains(word), "{word}: {head}");
        }
        scene.wait_idle();
    });
}
