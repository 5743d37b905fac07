//! Versions, keys and suites, with curl, openssl and Python.

use super::scene::{Scene, both};
use crate::support::printed;

const KINDS: [&str; 4] = ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"];

/// Python as a client of one version and one name: the version, the suite, the protocol, the page's last line.
const PYTHON: &str = r#"
import os, socket, ssl, sys
version, name = getattr(ssl.TLSVersion, sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile="ca.crt")
context.minimum_version = context.maximum_version = version
context.set_alpn_protocols(["http/1.1"])
with socket.create_connection((os.environ["VIP"], 443), timeout=30) as tcp:
    with context.wrap_socket(tcp, server_hostname=name) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: " + name.encode() + b"\r\nConnection: close\r\n\r\n")
        page = b""
        while piece := tls.recv(4096):
            page += piece
        print(tls.version(), tls.cipher()[0], tls.selected_alpn_protocol(), page.split()[-1].decode())
"#;

#[test]
fn every_kind_of_key_serves_every_client_in_both_versions() {
    both(|scene| {
        std::fs::write(scene.path("client.py"), PYTHON).unwrap();
        for kind in KINDS {
            scene.add(&scene.pair(&format!("{kind}.example"), &format!(" --key {kind}")));
        }
        for kind in KINDS {
            let name = &format!("{kind}.example");
            for (version, python) in [("1.2", "TLSv1_2"), ("1.3", "TLSv1_3")] {
                scene.works(name, &format!("--tlsv{version} --tls-max {version}"));
                let option = format!("-tls{}", version.replace('.', "_"));
                let text = scene.s_client(&format!("{option} -servername {name} -verify_return_error"));
                let session = format!("New, TLSv{version}, Cipher is");
                for expected in
                    [session.as_str(), "Verify return code: 0 (ok)", "HTTP/1.1 200 OK", "\nserver"]
                {
                    assert!(text.contains(expected), "{name} {version}: {expected:?} is not in\n{text}");
                }
                let output = scene.sh(&format!("python3 client.py {python} {name}"));
                let text = printed(&output);
                let as_wanted = text.starts_with(&format!("TLSv{version} "));
                assert!(as_wanted && text.contains(" http/1.1 server"), "{name} {version}: {text}");
            }
        }
        let counters = scene.counters();
        let per_version = 3 * KINDS.len() as u64;
        assert_eq!((counters["version-tls1.2"], counters["version-tls1.3"]), (per_version, per_version));
        assert_eq!(counters["handshakes-full"], 2 * per_version, "{counters:?}");
        assert_eq!(counters.get("handshakes-failed"), None, "{counters:?}");
        scene.wait_idle();
    });
}

/// The alert that openssl's client is told, by its number.
fn alert(scene: &Scene<'_>, options: &str) -> Option<u8> {
    let text = scene.s_client(options);
    let number = text.split("SSL alert number ").nth(1)?;
    Some(number.lines().next()?.trim().parse().unwrap())
}

#[test]
fn the_modern_profile_speaks_1_3_alone_and_says_so_to_others() {
    both(|scene| {
        scene.add(&format!("{} --profile modern", scene.pair("one.example", "")));
        scene.works("one.example", "--tlsv1.3");
        assert_eq!(alert(scene, "-tls1_2"), Some(70), "protocol_version");
        let output = scene.try_curl("one.example", "--tls-max 1.2");
        assert!(printed(&output).contains("alert protocol version"), "{}", printed(&output));
        assert_eq!(scene.counter("alert-protocol_version"), 2);
        // What came before 1.2 is not there in any profile.
        scene.add("--profile intermediate");
        for version in ["-tls1", "-tls1_1"] {
            let options = format!("{version} -cipher ALL:@SECLEVEL=0");
            assert_eq!(alert(scene, &options), Some(70), "{version}");
        }
        scene.works("one.example", "--tls-max 1.2");
    });
}

#[test]
fn the_intermediate_profile_has_no_suite_without_forward_secrecy_or_with_cbc() {
    both(|scene| {
        scene.add(&scene.pair("one.example", " --key rsa-2048"));
        scene.add(&scene.pair("two.example", " --key ecdsa-p256"));
        let text = printed(&scene.sh("openssl ciphers -s -tls1_2 ALL:COMPLEMENTOFALL:@SECLEVEL=0"));
        let all: Vec<_> = text.trim().split(':').filter(|suite| !suite.starts_with("TLS_")).collect();
        let good = |suite: &&&str| {
            suite.starts_with("ECDHE-")
                && (suite.contains("-GCM-") || suite.ends_with("CHACHA20-POLY1305"))
                && !suite.contains("PSK")
                && !suite.contains("ARIA")
                && !suite.contains("CAMELLIA")
        };
        let bad: Vec<_> = all.iter().filter(|suite| !good(suite)).copied().collect();
        let good: Vec<_> = all.iter().filter(good).copied().collect();
        assert_eq!(good.len(), 6, "{good:?}");
        assert!(bad.contains(&"ECDHE-RSA-AES128-SHA256") && bad.contains(&"AES128-GCM-SHA256"), "{bad:?}");
        for suite in good {
            let name = if suite.contains("ECDSA") { "two.example" } else { "one.example" };
            let text =
                scene.s_client(&format!("-tls1_2 -cipher {suite} -servername {name} -verify_return_error"));
            assert!(text.contains(&format!("New, TLSv1.2, Cipher is {suite}")), "{text}");
        }
        // All bad ones at once: there is none among them, whatever the certificate.
        for name in ["one.example", "two.example"] {
            let options = format!("-tls1_2 -cipher {}:@SECLEVEL=0 -servername {name}", bad.join(":"));
            assert_eq!(alert(scene, &options), Some(40), "handshake_failure");
        }
        for suite in ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"] {
            assert_eq!(alert(scene, &format!("-tls1_3 -ciphersuites {suite}")), Some(40), "{suite}");
        }
        for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
            scene.works("two.example", &format!("--tlsv1.3 --tls13-ciphers {suite}"));
        }
    });
}
