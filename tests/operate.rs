//! A day of an operator: settings, a server that goes for maintenance, a service that is started, stopped and
//! restarted.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lab::addr::Family;
use lab::client::{self, Connection};
use lab::topo::NatOptions;
use lab::wait::wait_for;

use crate::scene::{Foreground, Scene};
use crate::support::{Engine, PATIENCE, binary, printed, ulvs};

fn scene() -> Scene {
    Scene::new(&NatOptions::default())
}

#[test]
fn settings_are_set_read_back_and_kept_by_a_reload() {
    let scene = scene();
    let file = scene.write("ulvs.toml", "compat = \"ipvs\"\nsysctl.sloppy_tcp = 1\ntimeouts.udp = 30\n");
    let engine = Engine::start(&scene.lab, &["--config", &file]);
    assert_eq!(
        engine.ulvs("sysctl net.ipv4.vs.sloppy_tcp net/ipv4/vs/pmtu_disc ulvs.move_udp"),
        "net.ipv4.vs.sloppy_tcp = 1\nnet.ipv4.vs.pmtu_disc = 1\nulvs.move_udp = 0\n"
    );
    assert_eq!(engine.ulvs("ipvsadm -L --timeout"), "Timeout (tcp tcpfin udp): 900 120 30\n");
    assert_eq!(engine.ulvs("sysctl -w drop_entry=2"), "net.ipv4.vs.drop_entry = 1\n");
    assert_eq!(engine.ulvs("sysctl -a").lines().count(), engine.ulvs("sysctl -an").lines().count());
    for (words, expected) in [
        (
            "sysctl pmtu_disc=0 drop_entry=4",
            "net.ipv4.vs.drop_entry cannot be 4: it takes a whole number from 0 to 3",
        ),
        ("sysctl pmtu_disc=0 conntrack=1", "net.ipv4.vs.conntrack has no meaning here"),
        ("sysctl pmtu_disc=0 pmtu=1", "there is no `pmtu`"),
    ] {
        let refused = engine.try_ulvs(words);
        assert_eq!(refused.status.code(), Some(1), "{words}");
        assert!(printed(&refused).contains(expected), "{words}: {}", printed(&refused));
        assert_eq!(engine.ulvs("sysctl -n pmtu_disc"), "1\n", "nothing was set by {words}");
    }
    // What was set by hand and is not touched in the file stays.
    scene.write("ulvs.toml", "compat = \"ipvs\"\nsysctl.sloppy_tcp = 0\ntimeouts.udp = 30\n");
    assert_eq!(engine.ulvs("reload"), "net.ipv4.vs.sloppy_tcp = 0\n");
    assert_eq!(engine.ulvs("sysctl -n sloppy_tcp drop_entry"), "0\n1\n");
    engine.stop();
}

#[test]
fn a_drained_server_gets_nothing_new_and_is_empty_or_reset_in_the_end() {
    let scene = scene();
    let (vip, server) = (scene.lab.vip.port(Family::V4, 80), scene.lab.server_port(0, Family::V4, 80));
    let engine = Engine::start(&scene.lab, &[]);
    // Persistent: without the drain the client would come back for ever.
    engine.ulvs(&format!("ipvsadm -A -t {vip} -s rr -p 600"));
    engine.ulvs(&format!("ipvsadm -a -t {vip} -r {server} -m -w 3"));
    let mut held = Connection::open(&scene.lab.client, vip).unwrap();
    assert_eq!(held.get("/").unwrap().body, "server1\n");
    let other = scene.lab.server_port(1, Family::V4, 80);
    engine.ulvs(&format!("ipvsadm -a -t {vip} -r {other} -m"));
    let page = || client::get(&scene.lab.client, vip, "/").unwrap().body;
    assert_eq!(page(), "server1\n");

    let words = format!("drain tcp/{vip} {server}");
    let began = Instant::now();
    let drained = engine.try_ulvs(&format!("{words} --deadline 2s"));
    assert_eq!(drained.status.code(), Some(3), "{}", printed(&drained));
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(printed(&drained).contains("the deadline came"), "{}", printed(&drained));
    held.get("/").expect_err("it was reset");
    assert_eq!(page(), "server2\n", "the template was left");
    assert!(row(&engine, server).contains("Masq    0      0          0"), "{}", row(&engine, server));
    assert!(engine.ulvs("drain").contains("(weight was 3)"));

    engine.ulvs(&format!("{words} --undo"));
    assert!(row(&engine, server).contains("Masq    3"), "{}", row(&engine, server));
    assert_eq!(engine.ulvs("drain"), "");
    let again = engine.try_ulvs(&format!("{words} --undo"));
    assert!(again.status.code() == Some(1) && printed(&again).contains("is not being drained"));

    // One without connections is done at once.
    let json = engine.ulvs(&format!("drain -t {vip} -r {server} --json"));
    let done: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&done["weight"], &done["active"], &done["reset"]), (&3.into(), &0.into(), &0.into()));
    // A newer word of somebody ends it.
    engine.ulvs(&format!("ipvsadm -e -t {vip} -r {server} -m -w 7"));
    assert_eq!(engine.ulvs("drain"), "");
    engine.stop();
}

/// A server's row of `ipvsadm -Ln`.
fn row(engine: &Engine<'_>, server: std::net::SocketAddr) -> String {
    let listing = engine.ulvs("ipvsadm -Ln");
    listing.lines().find(|line| line.contains(&format!("-> {server} "))).unwrap_or_default().to_owned()
}

#[test]
fn the_unit_starts_stops_and_restarts_with_the_rules_it_left() {
    let scene = scene();
    let rules = scene.lab.state_dir().join("ipvsadm");
    let (vip, server) = (scene.lab.vip.port(Family::V4, 80), scene.lab.server_port(0, Family::V4, 80));
    let start = || Foreground::start_as(&scene, unit_command(&scene, &rules));
    // systemctl start, for the first time; then somebody works with ipvsadm.
    let unit = start();
    unit.engine.ulvs(&format!("ipvsadm -A -t {vip} -s wrr -p 90"));
    unit.engine.ulvs(&format!("ipvsadm -a -t {vip} -r {server} -m -w 5 -x 100 -y 10"));
    unit.engine.ulvs("ipvsadm --set 0 0 33");
    unit.engine.ulvs(&format!("ipvsadm -P -t {vip} -z 10.0.0.5"));
    unit.engine.ulvs("ipvsadm -P -z fd00::5");
    scene.works_over(Family::V4);
    let saved = unit.engine.ulvs("ipvsadm -Sn");
    // systemctl stop
    assert!(unit.end("TERM").success());
    assert_eq!(fs::read_to_string(&rules).unwrap(), saved);
    // systemctl start, stop: a restart
    for _ in 0..2 {
        let unit = start();
        assert_eq!(unit.engine.ulvs("ipvsadm -Sn"), saved);
        scene.works_over(Family::V4);
        assert!(unit.end("TERM").success());
        assert_eq!(fs::read_to_string(&rules).unwrap(), saved);
    }
    // A bad line is named, nothing starts, and the file is as it was.
    let bad = format!("{saved}-A -t {vip} -s rr\n");
    fs::write(&rules, &bad).unwrap();
    let refused = unit_command(&scene, &rules).output().unwrap();
    let text = printed(&refused);
    let expected = format!("line {}: -A -t {vip} -s rr: Service already exists", bad.lines().count());
    assert!(refused.status.code() == Some(1) && text.contains(&expected), "{text}");
    assert_eq!(fs::read_to_string(&rules).unwrap(), bad);
    assert!(!ulvs(scene.director(), &["status"]).status.success());
}

#[test]
fn services_come_from_one_place_and_a_file_that_cannot_be_saved_is_an_error() {
    let scene = scene();
    let dir = scene.lab.state_dir().join("etc");
    fs::create_dir(&dir).unwrap();
    let rules = dir.join("rules");
    let rules = rules.to_str().unwrap();
    let config = scene.config();
    let both = ulvs(scene.director(), &["run", "--config", &config, "--rules", rules, "--save-on-stop"]);
    assert!(
        !both.status.success() && printed(&both).contains("keep them in one of the two"),
        "{}",
        printed(&both)
    );
    let missing = ulvs(scene.director(), &["run", "--rules", rules]);
    assert!(
        !missing.status.success() && printed(&missing).contains("cannot read the rules"),
        "{}",
        printed(&missing)
    );
    let unit = Foreground::start(&scene, &["--rules", rules, "--save-on-stop"]);
    fs::remove_dir(&dir).unwrap();
    let pid = unit.pid();
    let log = scene.lab.state_dir().join("foreground.log");
    assert_eq!(unit.end("INT").code(), Some(1), "of {pid}");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("the services were not saved: cannot write"), "{log}");
}

#[test]
fn rates_come_up_and_fade_and_zeroing_ends_them() {
    let scene = scene();
    let engine = Engine::start(&scene.lab, &["--config", &scene.config_of(&[Family::V4])]);
    let rates = || {
        let listing = engine.ulvs("ipvsadm -Ln --rate --exact");
        let line = listing.lines().find(|line| line.starts_with("TCP")).unwrap().to_owned();
        line.split_whitespace().skip(2).map(|n| n.parse().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(rates(), [0; 5]);
    for _ in 0..40 {
        scene.works_over(Family::V4);
    }
    let up = || Some(rates()).filter(|rates| rates.iter().all(|n| *n > 0));
    wait_for("rates above zero", PATIENCE, up).unwrap();
    engine.ulvs("ipvsadm -Z");
    assert_eq!(rates(), [0; 5]);
    engine.ulvs("sysctl run_estimation=0");
    for _ in 0..20 {
        scene.works_over(Family::V4);
    }
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(rates(), [0; 5], "the estimator is off");
    engine.stop();
}

/// What the unit file runs, with this binary, that rules file, and the laboratory's state directory.
fn unit_command(scene: &Scene, rules: &Path) -> Command {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proxy/dist/ulvs.service");
    let unit = fs::read_to_string(unit).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("/usr/sbin/ulvs"));
    let mut command = scene.director().command(binary());
    for word in words {
        match word {
            "${ULVS_RULES}" => command.arg(rules),
            "$ULVS_OPTIONS" => &mut command,
            word => command.arg(word),
        };
    }
    command
}
