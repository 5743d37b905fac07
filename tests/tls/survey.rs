//! testssl.sh, which tries what is known to be wrong with servers of TLS, on both profiles.
//!
//! Here it looks at protocols, kinds of suites and vulnerabilities. All that it can look at takes some
//! minutes; run by hand, it finds besides that an authority of one's own says nowhere what it has revoked, and that HTTP
//! has no HSTS: neither is a front's doing. Its version 3.0 gives no grade.

use lab::addr::Family;
use serde::Deserialize;

use super::scene::{STACKS, Scene, one};
use crate::scene::with_mounts;
use crate::support::printed;

#[derive(Deserialize)]
struct Finding {
    id: String,
    severity: String,
    finding: String,
}

/// What it finds that is not as it should be, and how much it has looked at.
fn survey(scene: &Scene<'_>) -> (Vec<String>, usize) {
    // It looks up names that there are not: nobody answers here, which it learns at once only from this host itself.
    std::fs::write(scene.path("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    let script = format!("mount --bind {} /etc/resolv.conf; cd {}", scene.path("resolv.conf"), scene.dir);
    let words = "timeout 280 testssl -p -s -U --openssl /usr/bin/openssl --add-ca ca.crt --jsonfile survey.json \
                 --quiet --color 0 --warnings off --nodns none --ip";
    let at = [&scene.vip.ip().to_string(), "one.example:443"];
    let argv: Vec<_> = words.split_whitespace().chain(at.map(|word| word as &str)).collect();
    let mut command = with_mounts(&scene.lab.client, &script, &argv);
    let output = command.output().unwrap();
    let report = std::fs::read_to_string(scene.path("survey.json"));
    let report = report.unwrap_or_else(|error| panic!("{error}: {}", printed(&output)));
    let all: Vec<Finding> = serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {report}"));
    // The other one is about openssl here.
    let bad = |found: &&Finding| {
        !matches!(found.severity.as_str(), "OK" | "INFO" | "DEBUG") && found.id != "engine_problem"
    };
    let bad = all.iter().filter(bad).map(|f| format!("{} {}: {}", f.severity, f.id, f.finding)).collect();
    (bad, all.len())
}

#[test]
fn testssl_finds_no_weakness_in_either_profile() {
    std::thread::scope(|scope| {
        for (profile, stack) in ["modern", "intermediate"].into_iter().zip(STACKS) {
            scope.spawn(move || {
                one(stack, Family::V4, |scene| {
                    scene.add(&format!("{} --profile {profile}", scene.pair("one.example", "")));
                    let (bad, all) = survey(scene);
                    assert_eq!(bad, Vec::<String>::new(), "{profile}");
                    assert!(all > 25, "{profile}: it has looked at {all} things only");
                    scene.wait_idle();
                });
            });
        }
    });
}
