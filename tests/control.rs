//! The engine as its operators see it: files, the socket, and the names it answers to.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use lab::addr::Family;
use lab::client;
use lab::topo::NatOptions;
use serde_json::Value;

use crate::scene::{Foreground, Scene, for_everybody, refused};
use crate::support::{Engine, binary, printed, ulvs};

/// Wrong in the fourth and in the sixth line.
const BAD: &str = "[[service]]
vip = \"10.0.0.1\"
ports = [\"tcp/80\"]
schedular = \"wrr\"
[[service.server]]
address = \"192.168.1.300:80\"
";

fn scene() -> Scene {
    Scene::new(&NatOptions::default())
}

/// Exit code, standard output, standard error.
fn parts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What is wrong with [`BAD`], as editors understand it.
fn assert_points_at_the_lines(report: &str, file: &str) {
    let places: Vec<_> = report.lines().filter(|line| line.starts_with(file)).collect();
    assert_eq!(places.len(), 2, "{report}");
    assert!(places[0].starts_with(&format!("{file}:4:1: ")) && places[0].contains("schedular"), "{report}");
    assert!(places[1].starts_with(&format!("{file}:6:11: ")) && places[1].contains("300"), "{report}");
    assert!(report.contains("did you mean `scheduler`?"), "{report}");
}

#[test]
fn a_file_is_checked_without_an_engine() {
    let scene = scene();
    let good = scene.config();
    let check = |file: &str| parts(&ulvs(scene.director(), &["check", file]));
    assert_eq!(check(&good), (Some(0), format!("{good}: good: 2 services, 4 servers\n"), String::new()));
    let bad = scene.write("bad.toml", BAD);
    let (code, out, report) = check(&bad);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_points_at_the_lines(&report, &bad);
    let (code, out, report) = check("/nowhere/ulvs.toml");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(report, "ulvs: cannot read /nowhere/ulvs.toml: No such file or directory (os error 2)\n");
}

#[test]
fn an_engine_does_not_start_with_a_bad_file() {
    let scene = scene();
    let before = scene.snapshot();
    let bad = scene.write("bad.toml", BAD);
    for more in [&[][..], &["--detach"]] {
        let output = ulvs(scene.director(), &[&["run", "--config", &bad], more].concat());
        let (code, out, report) = parts(&output);
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert_points_at_the_lines(&report, &bad);
    }
    scene.assert_as(&before, "a bad file");
}

#[test]
fn a_file_is_read_again_when_asked_and_by_sighup() {
    let scene = scene();
    let file = scene.config_of(&[Family::V4]);
    let foreground = Foreground::start(&scene, &["--config", &file]);
    let engine = &foreground.engine;
    scene.works_over(Family::V4);
    assert_eq!(engine.ulvs("reload"), "nothing has changed\n");

    let both = [Family::V4, Family::V6].map(|family| scene.service_text(family, 1)).concat();
    scene.write("ulvs.toml", &both);
    let changes = engine.ulvs("reload");
    assert_eq!(changes.lines().count(), 2, "{changes}");
    for part in ["10.0.0.12:80", "[2001:db8:ff::1]:80"] {
        assert!(changes.contains(part), "no {part} in {changes}");
    }
    scene.works();
    scene.write("ulvs.toml", &format!("{both}\n[engine]\nworkers = 1\n"));
    let changes = engine.ulvs("reload");
    assert_eq!(changes, "[engine] has changed: that takes effect when ulvs is started again\n");
    let (generation, listing) = (engine.status().generation, engine.ulvs("ipvsadm -Sn"));

    scene.write("ulvs.toml", BAD);
    let (code, out, report) = parts(&engine.try_ulvs("reload"));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_points_at_the_lines(&report, &file);
    assert_eq!(report.lines().last(), Some("ulvs: nothing was changed"));
    engine.signal("HUP");
    engine.wait_for_log("reload: nothing was changed");
    assert_points_at_the_lines(engine.log().split_once("nothing was changed: ").unwrap().1, &file);
    std::fs::remove_file(&file).unwrap();
    let (code, _, report) = parts(&engine.try_ulvs("reload"));
    assert_eq!(code, Some(1));
    assert!(report.contains("cannot read") && report.ends_with("; nothing was changed\n"), "{report}");
    assert_eq!((engine.status().generation, engine.ulvs("ipvsadm -Sn")), (generation, listing));

    scene.config();
    engine.signal("HUP");
    engine.wait_for_log("reload: add");
    assert_eq!(engine.ulvs("reload"), "nothing has changed\n");
    scene.works();
}

#[test]
fn without_a_file_there_is_nothing_to_read_again() {
    let scene = scene();
    let engine = Engine::start(&scene.lab, &[]);
    let mut command = scene.director().command(binary());
    command.arg("reload");
    assert!(refused(command).contains("started without --config"));
    engine.stop();
}

#[test]
fn its_state_is_told_to_people_and_to_programs() {
    let scene = scene();
    let config = scene.config();
    let engine = Engine::start(&scene.lab, &["--config", &config, "--workers", "2", "--device", "lvs3"]);
    scene.works();
    let text = engine.ulvs("status");
    for part in ["lvs3, 2 workers", "services     2", "connections  2 of", &config, engine.log_path()] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let status: Value = serde_json::from_str(&engine.ulvs("status --json")).unwrap();
    assert_eq!((&status["device"], &status["services"]), (&"lvs3".into(), &2.into()));

    // The same by a client that everybody has.
    let curl = |rest: &[&str]| {
        let curl = ["curl", "--silent", "--show-error", "--abstract-unix-socket", "ulvs/control"];
        let text = scene.director().exec(&[&curl[..], rest].concat()).unwrap();
        serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    };
    assert_eq!(curl(&["http://x/v1/status"])["pid"], status["pid"]);
    let services = curl(&["http://x/v1/services"]);
    assert_eq!(services["services"].as_array().unwrap().len(), 2, "{services}");
    let connections = curl(&["http://x/v1/connections"]);
    assert_eq!(connections["connections"].as_array().unwrap().len(), 2, "{connections}");
    let missing = curl(&["http://x/v1/nothing"]);
    assert!(missing["error"].as_str().unwrap().contains("/v1/status"), "{missing}");
    let nonsense = curl(&["--data", "{", "--header", "content-type: application/json", "http://x/v1/apply"]);
    assert_eq!(nonsense["code"], "bad-request", "{nonsense}");
    assert_eq!(curl(&["--data", "", "http://x/v1/stop"]), serde_json::json!({}));
    // It is on its way out: wait for it as `ulvs stop` does.
    engine.try_ulvs("stop");
}

/// Symbolic links in the laboratory's directory, by the names of stock ipvsadm.
fn links(scene: &Scene) -> [PathBuf; 3] {
    ["ipvsadm", "ipvsadm-save", "ipvsadm-restore"].map(|name| {
        let path = scene.lab.state_dir().join(name);
        symlink(binary(), &path).unwrap();
        path
    })
}

#[test]
fn a_table_survives_save_clear_and_restore() {
    let scene = scene();
    let [ipvsadm, save, restore] = links(&scene);
    let engine = Engine::start(&scene.lab, &[]);
    let run = |program: &PathBuf, args: &[&str], input: &str| {
        let mut command = scene.director().command(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Whoever reads no input may have ended before it is written.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let (code, out, err) = parts(&child.wait_with_output().unwrap());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{} {args:?}", program.display());
        out
    };
    let vip = scene.lab.vip.port(Family::V4, 80).to_string();
    let vip6 = scene.lab.vip.port(Family::V6, 53).to_string();
    let servers = [0, 1].map(|index| scene.lab.server_port(index, Family::V4, 80).to_string());
    run(&ipvsadm, &["-A", "-t", &vip, "-s", "wrr"], "");
    for (server, weight) in servers.iter().zip(["3", "0"]) {
        run(&ipvsadm, &["-a", "-t", &vip, "-r", server, "-m", "-w", weight], "");
    }
    run(&ipvsadm, &["-A", "-u", &vip6, "-s", "lc"], "");
    let saved = run(&save, &["-n"], "");
    let expected = format!(
        "-A -t {vip} -s wrr\n-a -t {vip} -r {} -m -w 3\n-a -t {vip} -r {} -m -w 0\n-A -u {vip6} -s lc\n",
        servers[0], servers[1]
    );
    assert_eq!(saved, expected);
    assert_eq!(run(&ipvsadm, &["-S", "-n"], ""), saved);
    let listing = run(&ipvsadm, &["-L", "-n"], "");
    assert!(listing.starts_with("IP Virtual Server version 1.2.1 (size=4096)\n"), "{listing}");
    assert_eq!(listing, engine.ulvs("ipvsadm -Ln"), "by its own name and as a subcommand");
    let reply = client::get(&scene.lab.client, scene.lab.vip.port(Family::V4, 80), "/").unwrap();
    assert_eq!(reply.body, "server1\n");

    run(&ipvsadm, &["-C"], "");
    assert_eq!(run(&save, &["-n"], ""), "");
    run(&restore, &[], &saved);
    assert_eq!(run(&save, &["-n"], ""), saved);
    run(&ipvsadm, &["--clear"], "");
    run(&ipvsadm, &["--restore"], &saved);
    assert_eq!(run(&save, &["-n"], ""), saved);
    scene.works_over(Family::V4);
    engine.stop();
}

#[test]
fn edits_from_many_sides_are_all_made() {
    let scene = scene();
    let engine = Engine::start(&scene.lab, &[]);
    let vip = scene.lab.vip.port(Family::V4, 80);
    engine.ulvs(&format!("ipvsadm -A -t {vip}"));
    std::thread::scope(|scope| {
        for side in 0..4 {
            let engine = &engine;
            scope.spawn(move || {
                for n in 1..=10 {
                    engine.ulvs(&format!("ipvsadm -a -t {vip} -r 10.0.{}.{n}:80 -m", 100 + side));
                }
            });
        }
    });
    assert_eq!(engine.ulvs("ipvsadm -Sn").lines().count(), 1 + 40);
    engine.stop();
}

#[test]
fn without_an_engine_one_line_says_how_to_start_one() {
    let scene = scene();
    let [ipvsadm, save, restore] = links(&scene);
    for (program, args) in [
        (&ipvsadm, &["-Ln"][..]),
        (&ipvsadm, &["-A", "-t", "203.0.113.1:80"]),
        (&save, &["-n"]),
        (&restore, &[]),
    ] {
        let mut command = scene.director().command(program);
        let (code, out, err) = parts(&command.args(args).stdin(Stdio::null()).output().unwrap());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{program:?} {args:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.contains("no engine is running") && err.contains("`ulvs run --detach`"), "{err}");
    }
    for verb in ["status", "stop", "reload"] {
        let mut command = scene.director().command(binary());
        command.arg(verb);
        let line = refused(command);
        assert!(line.contains("no engine is running") && line.contains("`ulvs run --detach`"), "{line}");
    }
}

#[test]
fn a_user_may_look_and_not_touch() {
    let scene = scene();
    let engine = Engine::start(&scene.lab, &["--config", &scene.config()]);
    let (_dir, ulvs) = for_everybody();
    let as_nobody = |line: &str| {
        let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ulvs.to_str().unwrap()];
        let words: Vec<_> = user.into_iter().chain(line.split(' ')).collect();
        scene.director().output(&words).unwrap()
    };
    for line in
        ["ipvsadm -Ln", "ipvsadm -Ln --stats", "ipvsadm -Lnc", "ipvsadm -Sn", "status", "status --json"]
    {
        let output = as_nobody(line);
        assert!(output.status.success() && output.stderr.is_empty(), "{line}: {}", printed(&output));
    }
    assert_eq!(parts(&as_nobody("ipvsadm -Ln")).1, engine.ulvs("ipvsadm -Ln"));
    let before = engine.status().generation;
    for line in ["-C", "-Z", "-A -t 203.0.113.9:80", "-D -t 203.0.113.1:80"] {
        let said = parts(&as_nobody(&format!("ipvsadm {line}")));
        let expected = (Some(255), String::new(), "Permission denied (you must be root)\n".to_owned());
        assert_eq!(said, expected, "{line}");
    }
    for verb in ["stop", "reload"] {
        let (code, _, said) = parts(&as_nobody(verb));
        assert!(code == Some(1) && said.lines().count() == 1 && said.contains("only root"), "{verb}: {said}");
    }
    assert_eq!(engine.status().generation, before);
    scene.works();
    engine.stop();
}
