//! What is sent along, and what is written down: OCSP responses, and the secrets of sessions.

use std::os::unix::fs::PermissionsExt as _;

use super::scene_shake::both;
use crate::support::printed;

#[test]
fn what_the_authority_says_is_handed_to_clients_that_ask() {
    both(|scene| {
        // curl looks for the issuer among what it is sent.
        scene.pair("one.example", "");
        scene.sh("cat one.example.crt ca.crt > chain.crt");
        let pair = format!("--cert {} --key {}", scene.path("chain.crt"), scene.path("one.example.key"));
        let respond = |name: &str| {
            let made = scene.sh(&format!(
                "openssl ocsp -index index.txt -CA ca.crt -rsigner ca.crt -rkey ca.key -issuer ca.crt \
                 -cert one.example.crt -ndays 7 -respout {name} -noverify"
            ));
            assert!(made.status.success(), "{}", printed(&made));
        };
        scene.add(&pair);
        let status = |version: &str| scene.s_client(&format!("{version} -status"));
        for version in ["-tls1_2", "-tls1_3"] {
            assert!(status(version).contains("OCSP response: no response sent"), "{}", status(version));
        }
        respond("staple");
        scene.add(&format!("{pair} --ocsp {}", scene.path("staple")));
        for version in ["-tls1_2", "-tls1_3"] {
            let text = status(version);
            let good =
                text.contains("OCSP Response Status: successful") && text.contains("Cert Status: good");
            assert!(good, "{text}");
            // Who does not ask does not get it.
            assert!(!scene.s_client(version).contains("OCSP Response Status"));
        }
        scene.works("one.example", "--cert-status");
        // A file that is none is refused, and so is a response that says the responder has failed.
        std::fs::write(scene.path("bad"), "no response").unwrap();
        std::fs::write(scene.path("tried-later"), [0x30, 3, 0x0a, 1, 3]).unwrap();
        for name in ["bad", "tried-later", "nowhere"] {
            let message = scene.add_refused(&format!("{pair} --ocsp {}", scene.path(name)));
            assert!(message.contains(&scene.path(name)), "{message}");
        }
        assert!(status("-tls1_3").contains("Cert Status: good"));
        // The authority has changed its mind: the next response is taken when it is there.
        scene.ca(&format!("revoke {}", scene.path("one.example.crt")));
        respond("staple");
        scene.engine.ulvs("tls reload");
        assert!(status("-tls1_3").contains("Cert Status: revoked"), "{}", status("-tls1_3"));
    });
}

#[test]
fn secrets_are_written_down_only_where_somebody_asks_for_it() {
    both(|scene| {
        let log = scene.path("keys.log");
        scene.add(&scene.pair("one.example", ""));
        scene.works("one.example", "");
        assert!(!std::fs::exists(&log).unwrap());
        scene.add(&format!("--key-log {log}"));
        // The client's own log has the same lines: so they decrypt what was said.
        for (version, label, lines) in
            [("-tls1_2", "CLIENT_RANDOM", 1), ("-tls1_3", "CLIENT_TRAFFIC_SECRET_0", 4)]
        {
            let mine = scene.path(version);
            let text = scene.s_client(&format!("{version} -keylogfile {mine}"));
            assert!(text.contains("HTTP/1.1 200 OK"), "{text}");
            let (mine, theirs) =
                (std::fs::read_to_string(&mine).unwrap(), std::fs::read_to_string(&log).unwrap());
            assert!(theirs.contains(label), "{theirs}");
            let known = |line: &&str| ["CLIENT_", "SERVER_"].iter().any(|start| line.starts_with(start));
            let mine: Vec<_> = mine.lines().filter(known).collect();
            assert!(mine.len() >= lines, "{mine:?}");
            assert!(mine.iter().all(|line| theirs.lines().any(|other| other == *line)), "{mine:?} {theirs}");
        }
        let mode = std::fs::metadata(&log).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        scene.add("--key-log none");
        let before = std::fs::read(&log).unwrap();
        scene.works("one.example", "");
        assert_eq!(std::fs::read(&log).unwrap(), before);
        let message = scene.add_refused(&format!("--key-log {}/nowhere/keys", scene.dir));
        assert!(message.contains("nowhere/keys"), "{message}");
        // What others may read is no place for secrets.
        let open = scene.path("open.log");
        std::fs::write(&open, "").unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
        let message = scene.add_refused(&format!("--key-log {open}"));
        assert!(message.contains("chmod 600"), "{message}");
    });
}
