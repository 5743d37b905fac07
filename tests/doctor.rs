//! `ulvs doctor`: every mistake of its laboratories is found where it was made and nowhere before, and mended by the
//! command that it prints.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use lab::addr::Family;
use lab::topo::NatOptions;
use serde_json::Value;

use crate::scene::Scene;
use crate::support::{Engine, binary, printed, ulvs};

/// Plays one mistake. Laboratories are namespaces of their own: any number of them may be played at once.
fn play(name: &str, rootless: bool) {
    let mut command = Command::new(binary());
    command.args(["doctor", "--lab", "--json", "--only", name]).args(rootless.then_some("--rootless"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let played: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(output.status.success() && !played.is_empty(), "{name}: {}", printed(&output));
    for mistake in played {
        let found = &mistake["finding"];
        assert_eq!(
            (&mistake["passed"], &found["check"]),
            (&Value::Bool(true), &mistake["check"]),
            "{mistake:#}"
        );
        let said = |key: &str| found[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(["about", "saw", "why", "severity"].into_iter().all(said), "{mistake:#}");
    }
}

macro_rules! played {
    ($($check:ident)+) => {
        $(#[test]
        fn $check() {
            play(&stringify!($check).replace('_', "-"), false);
        })+

        const PLAYED: &[&str] = &[$(stringify!($check)),+];
    };
}

/// Each check, with all of its laboratories.
mod lab_of {
    use super::play;

    played! {
        servers way_back same_link server_vip server_arp duplicate_vip neighbours rp_filter forwarding rules filter mtu
        port_taken weights persistence marks certificates server_tls clocks limits drops left_behind interfaces notices real_arp
        real_filter real_lost real_tunnels real_listener
    }

    pub(super) fn played() -> impl Iterator<Item = String> {
        PLAYED.iter().map(|name| name.replace('_', "-"))
    }
}

fn lines(arguments: &[&str]) -> String {
    let output = Command::new(binary()).arg("doctor").args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The kernel here has no IPVS that could be active beside ours: that check is proved by facts that are made up.
#[test]
fn each_check_has_a_laboratory() {
    let checks: Vec<Value> = serde_json::from_str(&lines(&["--list", "--json"])).unwrap();
    let checks: BTreeSet<_> = checks.iter().map(|check| check["name"].as_str().unwrap().to_owned()).collect();
    let without = BTreeSet::from(["kernel-ipvs".to_owned()]);
    let played: BTreeSet<_> = lab_of::played().collect();
    assert_eq!(played.union(&without).cloned().collect::<BTreeSet<_>>(), checks);
    let laboratories = lines(&["--lab", "--list", "--json"]);
    let of = |line: &str| serde_json::from_str::<Value>(line).unwrap()["check"].as_str().unwrap().to_owned();
    assert_eq!(laboratories.lines().map(of).collect::<BTreeSet<_>>(), played);
}

#[test]
fn a_laboratory_needs_no_root() {
    play("other-gateway", true);
}

/// What it sends changes nothing, and it leaves nothing.
#[test]
fn a_healthy_director_gets_a_quiet_report_and_is_as_before() {
    let scene = Scene::new(&NatOptions::default());
    let engine = Engine::start(&scene.lab, &["--config", &scene.config()]);
    scene.works();
    let before = scene.snapshot();
    let services = engine.ulvs("ipvsadm -Ln --stats");
    let output = ulvs(scene.director(), &["doctor"]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let pid = engine.status().pid;
    let expected = format!(
        "nothing is wrong: looked at the engine with pid {pid}, 2 services, 4 servers; 25 checks\nsent: "
    );
    assert!(text.starts_with(&expected), "{text}");
    let server = scene.lab.server_port(0, Family::V4, 80);
    let vip = scene.lab.vip.v4;
    for part in [
        format!("a TCP connection to {server}"),
        format!("a SYN to {server} from {vip}"),
        "ARP for 10.0.0.11".to_owned(),
    ] {
        assert!(text.contains(&part), "no {part:?} in {text}");
    }
    assert_eq!(engine.ulvs("ipvsadm -Ln --stats"), services, "its packets are not clients'");
    let changes = scene.snapshot().facts_since(&before);
    assert!(changes.is_empty(), "{changes:?}");
    scene.works();
    engine.stop();
}

/// A packet is heard at the bridge's port before the bridge has it: its way back leads here all the same.
#[test]
fn a_director_whose_servers_are_at_a_bridge_of_its_own_is_healthy() {
    let scene = Scene::new(&NatOptions::default());
    for line in [
        "ip link add br0 type bridge",
        "ip address flush dev to-servers",
        "ip link set to-servers master br0",
        "ip link set br0 up",
        "ip address add 10.0.0.1/24 dev br0",
        "ip address add 2001:db8:2::1/64 dev br0 nodad",
    ] {
        scene.director().exec(&line.split(' ').collect::<Vec<_>>()).unwrap();
    }
    let engine = Engine::start(&scene.lab, &["--config", &scene.config()]);
    scene.works();
    let output = ulvs(scene.director(), &["doctor"]);
    let text = printed(&output);
    assert!(output.status.success() && text.starts_with("nothing is wrong"), "{text}");
    engine.stop();
}

/// Without privilege, and without packets, it looks at what is left and says what it could not see.
#[test]
fn what_it_could_not_see_is_said() {
    let scene = Scene::new(&NatOptions::default());
    let engine = Engine::start(&scene.lab, &["--config", &scene.config()]);
    engine.ulvs(&format!(
        "ipvsadm -e -t {} -r {} -m -w 0",
        scene.lab.vip.port(Family::V4, 80),
        scene.lab.server_port(0, Family::V4, 80)
    ));
    let program = binary();
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
    ];
    let run = |argv: &[&str]| {
        let output = scene.director().output(argv).unwrap();
        (output.status.code(), printed(&output))
    };
    let (_dir, copy) = crate::scene::for_everybody();
    let (code, text) = run(&[&nobody[..], &[copy.to_str().unwrap(), "doctor"]].concat());
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "not seen: the chains of nftables",
        "not seen: who answers ARP",
        "CAP_NET_RAW (root)",
        "a TCP connection to",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let (code, text) = run(&[program.to_str().unwrap(), "doctor", "--passive"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("not seen: whatever takes a packet to find out") && !text.contains("sent: "),
        "{text}"
    );
    engine.stop();
}

#[test]
fn without_anything_to_look_at_it_says_where_else_to_look() {
    let scene = Scene::new(&NatOptions::default());
    for (arguments, words) in [
        (&["doctor"][..], &["no engine is running", "ulvs run --detach", "doctor --config FILE"][..]),
        (&["doctor", "--config", "/nowhere.toml"], &["/nowhere.toml"]),
        (&["doctor", "--only", "real-arp"], &["real-arp is for real servers: add --real"]),
        (&["doctor", "--only", "other-gateway"], &["other-gateway is a laboratory: add --lab"]),
    ] {
        let output = ulvs(scene.director(), arguments);
        let text = printed(&output);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(3), true), "{text}");
        words.iter().for_each(|word| assert!(text.contains(word), "no {word:?} in {text}"));
    }
}
