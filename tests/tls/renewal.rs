//! Certificates change while clients come and go, and none of them notices anything but the new certificate.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use lab::node::Child;
use lab::wait::wait_for;

use super::scene_shake::{Scene, both};
use crate::support::{PATIENCE, printed};

/// A client that makes one handshake after the other, each with all that can be checked, until a file `stop` is there.
/// The first that fails ends it. Says how many there were, and how many certificates it has seen.
const LOAD: &str = r#"
import hashlib, os, socket, ssl, sys
context = ssl.create_default_context(cafile="ca.crt")
if sys.argv[1] == "1.2":
    context.maximum_version = ssl.TLSVersion.TLSv1_2
handshakes, seen = 0, set()
while not os.path.exists("stop"):
    with socket.create_connection((os.environ["VIP"], 443), timeout=30) as tcp:
        with context.wrap_socket(tcp, server_hostname="one.example") as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n")
            page = b""
            while piece := tls.recv(4096):
                page += piece
            assert b"\r\n\r\nserver" in page, page
            seen.add(hashlib.sha256(tls.getpeercert(True)).hexdigest())
            handshakes += 1
print(handshakes, len(seen))
"#;

/// A client that makes one connection and asks for a page on it with each line that it reads.
const HELD: &str = r#"
import os, socket, ssl, sys
context = ssl.create_default_context(cafile="ca.crt")
tls = context.wrap_socket(socket.create_connection((os.environ["VIP"], 443), timeout=30), server_hostname="one.example")
for line in sys.stdin:
    tls.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
    page = b""
    while not page.endswith(b"\n") or b"\r\n\r\nserver" not in page:
        piece = tls.recv(4096)
        assert piece, page
        page += piece
    print("page", flush=True)
"#;

/// Starts one of these programs on the client.
fn python(scene: &Scene<'_>, program: &str, arg: &str) -> Child {
    let name = if program == LOAD { "load.py" } else { "held.py" };
    std::fs::write(scene.path(name), program).unwrap();
    let mut command = scene.lab.client.command("timeout");
    command.args(["120", "python3", name, arg]).current_dir(scene.dir).env("VIP", scene.vip.ip().to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    scene.lab.client.spawn(&mut command).unwrap()
}

/// Another page on the connection.
fn page(held: &mut Child) {
    held.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let mut line = String::new();
    BufReader::new(held.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "page\n");
}

/// The fingerprint of the first certificate as `ulvs tls show` has it.
fn fingerprint(scene: &Scene<'_>) -> String {
    scene.show()["certificates"][0]["fingerprint"].as_str().unwrap().to_owned()
}

/// The same of a file.
fn of_file(scene: &Scene<'_>, name: &str) -> String {
    let text = scene.shell(&format!("openssl x509 -in {name} -noout -fingerprint -sha256"));
    text.trim().split('=').nth(1).unwrap().replace(':', "").to_lowercase()
}

/// Waits until the certificate of this file is in use.
fn is_used(scene: &Scene<'_>, name: &str) {
    let wanted = of_file(scene, name);
    let plain = |text: String| text.replace(':', "").to_lowercase();
    let wait =
        wait_for("the new certificate", PATIENCE, || (plain(fingerprint(scene)) == wanted).then_some(()));
    wait.unwrap_or_else(|error| panic!("{error}: {}", scene.show()));
    assert_eq!(scene.show()["error"], serde_json::Value::Null);
}

/// Puts the new pair in the place of the old one so that nobody can tell it by size, time or inode.
fn put_secretly(scene: &Scene<'_>) {
    scene.shell(
        "for kind in key crt; do f=one.example.$kind; touch -r $f time; cat one.example.new.$kind > $f; \
         touch -r time $f; done; rm one.example.new.*",
    );
}

#[test]
fn no_handshake_fails_while_certificates_change() {
    both(|scene| {
        let mut first = scene.pair("one.example", " --key ed25519");
        scene.add(&first);
        let mut load = [python(scene, LOAD, "1.2"), python(scene, LOAD, "1.3")];
        let mut held = python(scene, HELD, "");
        page(&mut held);

        // The files alone, one after the other.
        scene.issue_new("one.example");
        scene.shell(
            "mv one.example.new.key one.example.key; sleep 0.1; mv one.example.new.crt one.example.crt",
        );
        is_used(scene, "one.example.crt");
        // By signal, and by command.
        scene.issue_new("one.example");
        put_secretly(scene);
        scene.engine.signal("HUP");
        is_used(scene, "one.example.crt");
        scene.issue_new("one.example");
        put_secretly(scene);
        scene.engine.ulvs("tls reload");
        is_used(scene, "one.example.crt");
        // Other certificates and other settings come and go.
        for round in 0..3 {
            let name = format!("other{round}.example");
            scene.add(&scene.pair(&name, ""));
            scene.works(&name, "");
            scene.add(&format!("--alpn none --sni {}", if round == 1 { "strict" } else { "any" }));
            scene.engine.ulvs(&format!("tls remove tcp/{} --cert {}.crt", scene.vip, scene.path(&name)));
        }
        page(&mut held);

        std::fs::write(scene.path("stop"), "").unwrap();
        for child in &mut load {
            let mut said = String::new();
            BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
            assert!(child.wait().unwrap().success(), "a handshake failed");
            let (handshakes, seen) = said.trim().split_once(' ').unwrap();
            let (handshakes, seen): (u32, u32) = (handshakes.parse().unwrap(), seen.parse().unwrap());
            assert!(handshakes >= 20 && seen >= 2, "{handshakes} handshakes, {seen} certificates");
        }
        assert_eq!(scene.counter("handshakes-failed"), 0, "{:?}", scene.counters());
        // The front goes, its clients stay; and it comes again.
        scene.engine.ulvs(&format!("tls remove tcp/{}", scene.vip));
        page(&mut held);
        first += " --profile modern";
        scene.add(&first);
        scene.works("one.example", "");
        page(&mut held);
        drop(held);
        scene.wait_idle();
    });
}

#[test]
fn files_that_are_of_no_use_are_refused_and_the_old_ones_stay() {
    both(|scene| {
        scene.add(&scene.pair("one.example", ""));
        scene.pair("two.example", "");
        scene.shell("cp one.example.crt good.crt; head -c 300 good.crt > half.crt; : > empty.crt");
        dated(scene, "one.example.key", "old.crt", 2020, 2021);
        let before = fingerprint(scene);
        let bad = [
            ("two.example.crt", "belongs to none of the certificates"),
            ("old.crt", "has expired"),
            ("half.crt", "one.example.crt: not readable as PEM"),
            ("empty.crt", "no certificate in it"),
            ("one.example.key", "no certificate in it"),
        ];
        for (file, reason) in bad {
            scene.shell(&format!("cp {file} one.example.crt.new && mv one.example.crt.new one.example.crt"));
            let output = scene.engine.try_ulvs("tls reload");
            let text = printed(&output);
            assert_eq!(output.status.code(), Some(1), "{file}: {text}");
            assert!(text.contains(reason) && text.contains("goes on with what it had"), "{file}: {text}");
            let list = scene.engine.ulvs("tls list");
            assert!(
                list.contains("files could not be read again") && list.contains(reason),
                "{file}: {list}"
            );
            assert_eq!(fingerprint(scene), before);
            scene.works("one.example", "");
        }
        scene.shell("cp good.crt one.example.crt");
        scene.engine.ulvs("tls reload");
        assert!(!scene.engine.ulvs("tls list").contains("could not be read"));
        // The same without a command: it is looked at each second.
        scene.shell("cp half.crt one.example.crt");
        let refused = || scene.show()["error"].as_str().map(str::to_owned);
        let error = wait_for("the refusal", PATIENCE, refused).unwrap();
        assert!(error.contains("not readable as PEM"), "{error}");
        scene.engine.wait_for_log("certificates stay as they were");
        scene.works("one.example", "");
        scene.issue_new("one.example");
        scene.shell("mv one.example.new.key one.example.key; mv one.example.new.crt one.example.crt");
        is_used(scene, "one.example.crt");
        assert_ne!(fingerprint(scene), before);
        scene.works("one.example", "");
    });
}

/// A certificate of another time for the key in a file: `ulvs ca` makes none.
fn dated(scene: &Scene<'_>, key: &str, cert: &str, start: u32, end: u32) {
    let config = "[ca]\ndefault_ca = here\n[here]\ndatabase = index\nserial = number\nnew_certs_dir = .\n\
        certificate = ca.crt\nprivate_key = ca.key\ndefault_md = default\npolicy = any\nunique_subject = no\n\
        [any]\ncommonName = supplied\n";
    std::fs::write(scene.path("ca.cnf"), config).unwrap();
    scene.shell(&format!(
        "touch index; test -f number || echo 01 > number; openssl req -new -key {key} -subj /CN=one.example -out csr; \
         openssl ca -config ca.cnf -batch -notext -in csr -out {cert} -startdate {start}0101000000Z \
         -enddate {end}0101000000Z"
    ));
}

#[test]
fn a_pair_that_is_of_no_use_is_not_added() {
    both(|scene| {
        scene.add(&scene.pair("one.example", ""));
        let wrong =
            format!("--cert {} --key {}", scene.path("one.example.crt"), scene.path("two.example.key"));
        scene.pair("two.example", "");
        scene.pair("open.example", "");
        std::fs::set_permissions(scene.path("open.example.key"), std::fs::Permissions::from_mode(0o640))
            .unwrap();
        scene.shell("umask 077; openssl genpkey -algorithm ED25519 -out old.key; cp old.key new.key");
        scene.shell("umask 077; openssl pkey -in old.key -aes128 -passout pass:secret -out locked.key");
        dated(scene, "old.key", "old.crt", 2020, 2021);
        dated(scene, "new.key", "new.crt", 2060, 2061);
        scene.shell("cp old.crt locked.crt");
        let before = (scene.show(), scene.engine.status().generation);
        for (options, reason) in [
            (wrong, "belongs to none of the certificates"),
            (scene.pair_files("old"), "has expired"),
            (scene.pair_files("new"), "is not valid yet"),
            (scene.pair_files("locked"), "is encrypted"),
            (scene.pair_files("nowhere"), "No such file"),
        ] {
            let message = scene.add_refused(&options);
            assert!(message.starts_with("ulvs: ") && message.contains(reason), "{message}");
        }
        // Of root and a group that may read it, as distributions have them; but not for everybody.
        scene.add(&scene.pair_files("open.example"));
        scene.works("open.example", "");
        scene.engine.ulvs(&format!("tls remove tcp/{} --cert {}", scene.vip, scene.path("open.example.crt")));
        std::fs::set_permissions(scene.path("open.example.key"), std::fs::Permissions::from_mode(0o644))
            .unwrap();
        let message = scene.add_refused(&scene.pair_files("open.example"));
        assert!(message.contains("mode 0644"), "{message}");
        assert_eq!(scene.show()["settings"], before.0["settings"]);
        assert_eq!(scene.engine.status().generation, before.1 + 2);
        scene.works("one.example", "");
    });
}
