//! Checks as an operator sees them: a server is killed and comes back, somebody speaks for it by hand, and every command
//! that shows servers says so.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use lab::addr::Family;
use lab::client;
use lab::node::{Child, Node};
use lab::serve::Http;
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;

use crate::support::{Engine, PATIENCE, binary, printed};

/// Two web servers, of which one can be ended, and a service that asks both each 200 ms whether they are there.
struct Checked {
    lab: NatLab,
    first: Option<Http>,
    _second: Http,
    told: String,
}

impl Checked {
    fn new() -> Self {
        let lab = NatLab::new(&NatOptions::default()).unwrap();
        let first = Some(Http::start(&lab.servers[0], 80).unwrap());
        let second = Http::start(&lab.servers[1], 80).unwrap();
        let told = lab.state_dir().join("told").to_str().unwrap().to_owned();
        Self { lab, first, _second: second, told }
    }

    fn config(&self) -> String {
        let script = self.lab.state_dir().join("notify");
        std::fs::write(&script, format!("echo $ULVS_SERVER $ULVS_EVENT >> {}\n", self.told)).unwrap();
        let [vip, one, two] = [
            self.lab.vip.of(Family::V4).to_string(),
            self.lab.server_port(0, Family::V4, 80).to_string(),
            self.lab.server_port(1, Family::V4, 80).to_string(),
        ];
        let text = format!(
            "[[service]]\nvip = \"{vip}\"\nports = [\"tcp/80\"]\nscheduler = \"rr\"\n\
             [service.health]\nnotify.change = \"/bin/sh {}\"\n\
             [[service.check]]\nkind = \"tcp\"\ninterval = \"200ms\"\ntimeout = \"1s\"\nfall = 2\nrise = 2\n\
             [[service.server]]\naddress = \"{one}\"\nweight = 3\n\
             [[service.server]]\naddress = \"{two}\"\nweight = 3\n",
            script.display()
        );
        let path = self.lab.state_dir().join("ulvs.toml");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn page(&self) -> String {
        client::get(&self.lab.client, self.lab.vip.port(Family::V4, 80), "/").unwrap().body
    }

    /// What so many clients get.
    fn pages(&self, n: usize) -> Vec<String> {
        let mut pages: Vec<_> = (0..n).map(|_| self.page()).collect();
        pages.sort();
        pages.dedup();
        pages
    }
}

fn health(engine: &Engine<'_>) -> serde_json::Value {
    let list: serde_json::Value = serde_json::from_str(&engine.ulvs("health --json")).unwrap();
    list["services"][0].clone()
}

fn await_state(engine: &Engine<'_>, server: usize, state: &str) {
    let found = wait_for(&format!("server {server} to be {state}"), PATIENCE, || {
        (health(engine)["servers"][server]["state"] == state).then_some(())
    });
    found.unwrap_or_else(|error| panic!("{error}\n{}\n{}", engine.ulvs("health"), engine.log()));
}

fn listen(director: &Node, args: &[&str], out: &Path) -> Child {
    let mut command = director.command(binary());
    command.arg("events").args(args).stdin(Stdio::null()).stdout(std::fs::File::create(out).unwrap());
    director.spawn(&mut command).unwrap()
}

#[test]
fn a_server_that_is_killed_is_taken_out_and_comes_back() {
    let mut scene = Checked::new();
    let engine = Engine::start(&scene.lab, &["--config", &scene.config()]);
    let out = scene.lab.state_dir().join("events");
    let for_people = scene.lab.state_dir().join("events.txt");
    let _listener = listen(&scene.lab.director, &["--json"], &out);
    let _reader = listen(&scene.lab.director, &[], &for_people);
    await_state(&engine, 0, "up");
    assert_eq!(scene.pages(4), ["server1\n", "server2\n"]);
    assert!(engine.ulvs("status").contains("servers      2\n"));

    scene.first = None;
    await_state(&engine, 0, "down");
    assert_eq!(scene.pages(6), ["server2\n"], "nobody is sent to the dead");
    let server = scene.lab.server_port(0, Family::V4, 80);
    let listing = engine.ulvs("ipvsadm -Ln");
    assert!(!listing.contains(&server.to_string()), "{listing}");
    assert!(engine.ulvs("status").contains("servers      2, 1 of them down"));
    let text = engine.ulvs("health");
    assert!(text.contains("connection refused (2 of 2)") && text.contains("0 of 3"), "{text}");
    let top: serde_json::Value = serde_json::from_str(&engine.ulvs("top --json")).unwrap();
    let shown = &top["services"][0]["servers"][0];
    assert_eq!(
        (&shown["state"], &shown["weight"], &shown["configured_weight"]),
        (&"down".into(), &0.into(), &3.into())
    );
    let log = engine.log();
    assert!(
        log.contains(&format!("server {server} of TCP"))
            && log.contains("is down: connection refused (2 of 2)"),
        "{log}"
    );

    scene.first = Some(Http::start(&scene.lab.servers[0], 80).unwrap());
    await_state(&engine, 0, "up");
    assert_eq!(scene.pages(4), ["server1\n", "server2\n"]);
    let told = wait_for("commands to be told", PATIENCE, || {
        std::fs::read_to_string(&scene.told).ok().filter(|text| text.lines().count() == 2)
    });
    assert_eq!(told.unwrap(), format!("{server} down\n{server} up\n"));
    let events = std::fs::read_to_string(&out).unwrap();
    let kinds =
        events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].clone());
    let kinds: Vec<_> = kinds.collect();
    assert!(kinds.contains(&"soft-down".into()) && kinds.contains(&"down".into()), "{events}");
    assert_eq!(kinds.last(), Some(&"up".into()), "{events}");
    let read = wait_for("the same for people", PATIENCE, || {
        std::fs::read_to_string(&for_people).ok().filter(|text| text.contains("is down: "))
    });
    // The day and the time that the log would have.
    let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
    let (moment, _) = read.as_ref().unwrap().split_once(' ').unwrap();
    assert_eq!(digits(moment), "0000-00-00T00:00:00.000Z", "{read:?}");
    engine.stop();
}

#[test]
fn what_is_said_by_hand_wins_over_checks_and_survives_a_reload() {
    let scene = Checked::new();
    let file = scene.config();
    let engine = Engine::start(&scene.lab, &["--config", &file]);
    let service = format!("tcp/{}", scene.lab.vip.port(Family::V4, 80));
    let server = scene.lab.server_port(0, Family::V4, 80);
    await_state(&engine, 0, "up");
    let said = engine.ulvs(&format!("server down {service} {server}"));
    assert!(said.ends_with("is down by hand\n"), "{said}");
    assert_eq!(scene.pages(4), ["server2\n"], "at once, and whatever its checks say");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("scheduler = \"rr\"", "scheduler = \"wrr\"")).unwrap();
    engine.ulvs("reload");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(scene.pages(4), ["server2\n"]);
    engine.ulvs(&format!("server up {service} {server}"));
    assert_eq!(scene.pages(4), ["server1\n", "server2\n"]);

    // Drained by the same command, given back by it too; the weight is the configured one again.
    engine.ulvs(&format!("server drain {service} {server} --no-wait"));
    assert_eq!(scene.pages(4), ["server2\n"]);
    assert!(health(&engine)["servers"][0]["draining"].as_bool().unwrap());
    engine.ulvs(&format!("server up {service} {server}"));
    assert!(engine.ulvs("ipvsadm -Ln").contains(&format!("{server}")));
    assert_eq!(health(&engine)["servers"][0]["weight"], 3);

    let nobody = engine.try_ulvs(&format!("server down {service} 192.0.2.9"));
    assert_eq!(nobody.status.code(), Some(1));
    assert!(printed(&nobody).contains("the service has no such server"), "{}", printed(&nobody));
    engine.stop();
}

#[test]
fn commands_inherit_the_environment_without_what_it_says_to_the_engine() {
    let mut scene = Checked::new();
    let ours = [
        "ULVS_READINESS",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
    ];
    // The first one is the engine's own, as it goes to the background.
    for name in &ours[1..] {
        scene.lab.director.set_env(*name, "1");
    }
    scene.lab.director.set_env("OF_EVERYBODY", "1");
    let dir = scene.lab.state_dir().to_owned();
    let [asked, told] = ["asked", "told"].map(|name| dir.join(format!("env.{name}")));
    // Whoever is asked says no, so that somebody is told.
    std::fs::write(dir.join("show"), "env > $1.tmp && mv $1.tmp $1; exit 1\n").unwrap();
    let show = |into: &Path| format!("/bin/sh {} {}", dir.join("show").display(), into.display());
    let text = format!(
        "[[service]]\nvip = \"{}\"\nports = [\"tcp/80\"]\n[service.health]\nnotify.down = \"{}\"\n\
         [[service.check]]\nkind = \"exec\"\ncommand = \"{}\"\ninterval = \"200ms\"\nfall = 1\n\
         [[service.server]]\naddress = \"{}\"\n",
        scene.lab.vip.of(Family::V4),
        show(&told),
        show(&asked),
        scene.lab.server_port(0, Family::V4, 80),
    );
    let file = dir.join("env.toml");
    std::fs::write(&file, text).unwrap();
    let engine = Engine::start(&scene.lab, &["--config", file.to_str().unwrap()]);
    for path in [&asked, &told] {
        let found = wait_for(&path.display().to_string(), PATIENCE, || std::fs::read_to_string(path).ok());
        let text = found.unwrap_or_else(|error| panic!("{error}\n{}", engine.log()));
        let names: Vec<_> =
            text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        assert!(names.contains(&"OF_EVERYBODY") && names.contains(&"ULVS_SERVER"), "{text}");
        assert_eq!(names.iter().find(|name| ours.contains(name)), None, "{text}");
    }
    engine.stop();
}
