//! Sessions resumed: at one director, and at another that has the same secret.

use std::net::SocketAddr;

use lab::addr::Family;
use lab::topo::{NatLab, NatOptions};

use super::scene::{Scene, both};
use crate::support::Engine;

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

/// openssl's client with the session of this file, which it replaces: whether it was resumed.
fn comes_again(scene: &Scene<'_>, options: &str, session: &str) -> bool {
    let text = scene.s_client(&format!("{options} -sess_in {session} -sess_out {session}"));
    assert!(text.contains("HTTP/1.1 200 OK"), "{text}");
    let (again, new) = (text.contains("\nReused, TLSv1."), text.contains("\nNew, TLSv1."));
    assert!(again != new, "{text}");
    again
}

/// The first time.
fn comes(scene: &Scene<'_>, options: &str, session: &str) {
    let text = scene.s_client(&format!("{options} -sess_out {session}"));
    assert!(text.contains("\nNew, TLSv1.") && text.contains("HTTP/1.1 200 OK"), "{text}");
}

#[test]
fn sessions_of_both_versions_are_resumed_until_tickets_are_off() {
    both(|scene| {
        scene.add(&scene.pair("one.example", ""));
        for version in VERSIONS {
            comes(scene, version, version);
            for _ in 0..3 {
                assert!(comes_again(scene, version, version), "{version}");
            }
        }
        let counters = scene.counters();
        assert_eq!((counters["handshakes-full"], counters["handshakes-resumed"]), (2, 6), "{counters:?}");
        // A new certificate for the same names changes nothing for those who were here.
        scene.issue_new("one.example");
        scene.shell("mv one.example.new.key one.example.key && mv one.example.new.crt one.example.crt");
        scene.engine.ulvs("tls reload");
        assert!(comes_again(scene, "-tls1_3", "-tls1_3"));
        // Other names are another site.
        scene.add(&scene.pair("two.example", ""));
        assert!(!comes_again(scene, "-tls1_3", "-tls1_3"));

        scene.add("--tickets off");
        let resumed = scene.counter("handshakes-resumed");
        for version in VERSIONS {
            assert!(!comes_again(scene, version, version), "{version}");
            let text = scene.s_client(&format!("{version} -sess_out nothing"));
            assert!(!text.contains("Session Ticket:") && !text.contains("TLS session ticket:"), "{text}");
        }
        assert_eq!(scene.counter("handshakes-resumed"), resumed);
        scene.wait_idle();
    });
}

/// A client that has to show a certificate shows none when it comes again: whoever resumes knows who it is.
#[test]
fn a_list_of_the_revoked_makes_old_sessions_worthless() {
    both(|scene| {
        scene.ca(&format!("issue --client --cn wang --out {}", scene.path("wang")));
        scene.ca("crl");
        let clients = format!("--client-ca {} --client-crl {}", scene.path("ca.crt"), scene.path("ca.crl"));
        scene.add(&format!("{} {clients}", scene.pair("one.example", "")));
        for version in VERSIONS {
            comes(scene, &format!("{version} -cert wang.crt -key wang.key"), version);
            assert!(comes_again(scene, version, version), "{version}");
        }
        scene.ca(&format!("revoke {}", scene.path("wang.crt")));
        scene.engine.ulvs("tls reload");
        for version in VERSIONS {
            let text = scene.s_client(&format!("{version} -sess_in {version}"));
            assert!(!text.contains("HTTP/1.1 200 OK") && text.contains("alert"), "{text}");
        }
        scene.wait_idle();
    });
}

/// Another director, in a laboratory of its own, for the same site.
fn another<'a>(scene: &'a Scene<'_>, lab: &'a NatLab, engine: &'a Engine<'a>, secret: &str) -> Scene<'a> {
    let vip: SocketAddr = lab.vip.port(Family::V4, 443);
    engine.service("tcp", vip, "rr", &[(lab.server_port(0, Family::V4, 80), 1)]);
    let other = Scene { lab, engine, stack: scene.stack, vip, dir: scene.dir };
    other.add(&format!("{} --tickets {}", scene.pair_files("one.example"), scene.path(secret)));
    other
}

#[test]
fn directors_with_the_same_secret_resume_each_others_sessions_and_those_with_another_do_not() {
    both(|scene| {
        for name in ["same", "other"] {
            scene.sh(&format!("umask 077; head -c 64 /dev/urandom > {name}"));
        }
        scene.add(&format!("{} --tickets {}", scene.pair("one.example", ""), scene.path("same")));
        let labs = [0, 1].map(|_| NatLab::new(&NatOptions::default()).unwrap());
        let _servers = labs.each_ref().map(|lab| lab::serve::Http::start(&lab.servers[0], 80).unwrap());
        let engines = labs.each_ref().map(|lab| Engine::start(lab, &[]));
        let friend = another(scene, &labs[0], &engines[0], "same");
        let stranger = another(scene, &labs[1], &engines[1], "other");
        for version in VERSIONS {
            comes(scene, version, version);
            assert!(comes_again(&friend, version, version), "{version}");
            // With the ticket that the friend has given.
            assert!(comes_again(scene, version, version), "{version}");
            assert!(!comes_again(&stranger, version, version), "{version}");
            assert!(!comes_again(&friend, version, version), "{version}");
        }
        assert_eq!((scene.counter("handshakes-resumed"), friend.counter("handshakes-resumed")), (2, 2));
        assert_eq!(stranger.counter("handshakes-resumed"), 0);
        // The secret is replaced at the stranger: it is one of them from then on.
        std::fs::copy(scene.path("same"), scene.path("other")).unwrap();
        stranger.engine.ulvs("tls reload");
        comes(scene, "-tls1_3", "again");
        assert!(comes_again(&stranger, "-tls1_3", "again"));
        let message = scene.add_refused(&format!("--tickets {}", scene.path("one.example.crt")));
        assert!(message.contains("is a secret, and others may read or change it"), "{message}");
        for engine in engines {
            engine.stop();
        }
    });
}
