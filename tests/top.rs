//! `ulvs top` in a real terminal (tmux), with real traffic: what is read from the screen, and what keys do.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use std::{fs, thread};

use lab::addr::Family;
use lab::client::{self, Connection};
use lab::topo::NatOptions;
use lab::wait::wait_for;
use serde_json::Value;

use crate::scene::Scene;
use crate::support::{Engine, PATIENCE, binary, printed, ulvs};

/// A terminal with a shell on the director. It goes with the director, as all of its processes do.
struct Terminal<'a> {
    scene: &'a Scene,
    socket: PathBuf,
}

impl<'a> Terminal<'a> {
    fn open(scene: &'a Scene, width: u16, height: u16) -> Self {
        let this = Self { scene, socket: scene.lab.state_dir().join("tmux") };
        let (width, height) = (width.to_string(), height.to_string());
        this.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, "exec sh"]);
        this.tmux(&["set", "-g", "status", "off"]);
        this
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = self.scene.director().command("tmux");
        let bin = binary();
        let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap());
        command
            .arg("-S")
            .arg(&self.socket)
            .args(args)
            .env("PATH", path)
            .env("PS1", "shell: ")
            .env("TERM", "xterm");
        let output = command.output().unwrap();
        assert!(output.status.success(), "tmux {args:?}: {}", printed(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types a line into the shell.
    fn run(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.keys(&["Enter"]);
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn resize(&self, width: u16, height: u16) {
        self.tmux(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// What is seen now.
    fn screen(&self) -> Vec<String> {
        self.tmux(&["capture-pane", "-p"]).lines().map(str::to_owned).collect()
    }

    /// Waits until the screen is as it should be.
    fn until(&self, what: &str, is: impl Fn(&[String]) -> bool) -> Vec<String> {
        let seen = wait_for(what, PATIENCE, || Some(self.screen()).filter(|screen| is(screen)));
        seen.unwrap_or_else(|error| panic!("{error}; the screen is\n{}", self.screen().join("\n")))
    }

    fn until_line(&self, part: &str) -> String {
        let screen = self.until(&format!("{part:?} on the screen"), |s| s.iter().any(|l| l.contains(part)));
        screen.into_iter().find(|line| line.contains(part)).unwrap()
    }

    /// The shell is back, what was there before `top` is seen again, and the terminal echoes and edits lines.
    fn is_as_before(&self) {
        self.until("the shell", |screen| {
            screen.iter().any(|line| line.contains("before-top"))
                && !screen.iter().any(|l| l.contains("SERVICE"))
        });
        self.run("clear; stty -a | tr ';' '\\n' | grep icanon; echo done");
        let screen = self.until("stty's answer", |s| s.iter().any(|line| line == "done"));
        let words: Vec<_> = screen.iter().flat_map(|line| line.split_whitespace()).collect();
        assert!(words.contains(&"icanon") && words.contains(&"isig"), "{screen:?}");
        self.run("stty -a | grep -w echo");
        self.until_line(" echo ");
        self.run("clear; echo before-top");
        self.until("a clear screen", |s| s.iter().any(|line| line == "before-top"));
    }
}

/// The row of a server; `top` cuts the middle out of names that are too long.
fn row<'s>(screen: &'s [String], name: &str) -> Option<Vec<&'s str>> {
    screen
        .iter()
        .find(|line| line.trim_start().starts_with(name))
        .map(|line| line.split_whitespace().collect())
}

#[test]
fn top_shows_real_traffic_and_its_keys_work() {
    let scene = Scene::new(&NatOptions::default());
    let (vip, lab) = (scene.lab.vip.port(Family::V4, 80), &scene.lab);
    let servers = [0, 1].map(|i| lab.server_port(i, Family::V4, 80));
    let engine = Engine::start(lab, &[]);
    engine.service("tcp", vip, "rr", &[(servers[0], 3), (servers[1], 1)]);
    let held = [0, 1].map(|_| {
        let mut held = Connection::open(&lab.client, vip).unwrap();
        held.get("/").unwrap();
        held
    });
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Relaxed) {
                client::get(&lab.client, vip, "/").unwrap();
                thread::sleep(Duration::from_millis(10));
            }
        });
        let stop = Stop(&enough);
        let terminal = Terminal::open(&scene, 80, 24);
        terminal.run("clear; echo before-top");
        terminal.until("a clear screen", |s| s.iter().any(|line| line == "before-top"));
        terminal.run("ulvs top --interval 0.2");
        // Both servers have a held connection, and get new ones all the time.
        let [one, two] = servers.map(|server| server.to_string());
        let busy = |screen: &[String]| {
            [&one, &two].iter().all(|name| {
                row(screen, name).is_some_and(|cells| {
                    let [_, method, _, state, active, _, new, ..] = cells[..] else { return false };
                    let positive = |cell: &str| cell.parse::<u64>().is_ok_and(|n| n > 0);
                    (method, state) == ("Masq", "up") && positive(active) && positive(new)
                })
            })
        };
        let screen = terminal.until("connections and new ones at both servers", busy);
        assert_eq!(screen.len(), 24);
        assert!(
            screen[0].starts_with("ulvs top (pid ") && screen[1].starts_with("services 1, servers 2"),
            "{screen:?}"
        );
        assert!(screen[5].starts_with(&format!("TCP {vip} ")) && screen[5].contains(" rr "), "{screen:?}");

        // Sorted by weight, reversed: the second server comes first.
        terminal.keys(&["s", "s", "r"]);
        terminal.until("the other order", |s| s[6].trim_start().starts_with(two.as_str()));
        terminal.until_line("by WEIGHT, reversed");
        terminal.keys(&["r", "<", "<"]);
        terminal.until("the first order", |s| s[6].trim_start().starts_with(one.as_str()));

        // A filter leaves one server.
        terminal.keys(&["/"]);
        terminal.tmux(&["send-keys", "-l", &two]);
        terminal.until_line(&format!("Filter: {two}_"));
        terminal.keys(&["Enter"]);
        terminal.until("one server", |s| row(s, &one).is_none() && row(s, &two).is_some());
        terminal.keys(&["Escape"]);
        terminal.until("all servers", |s| row(s, &one).is_some());

        // Inspect the first server: its connection is there.
        terminal.keys(&["Home", "Down", "Enter"]);
        terminal.until_line(&format!("server {one} of TCP {vip}"));
        terminal.until_line("ESTABLISHED 1");
        let client = lab.client_addr.of(Family::V4).to_string();
        terminal
            .until("the client", |s| s.iter().any(|l| l.starts_with(&client) && l.contains(" ESTABLISHED ")));
        terminal.keys(&["Escape"]);
        terminal.until("the table", |s| row(s, &two).is_some());

        // Drain it: no does nothing, yes does it.
        terminal.keys(&["d"]);
        terminal.until_line(&format!("Drain {one} of TCP {vip}: nobody new? y/n"));
        terminal.keys(&["n"]);
        terminal.until_line("nothing was changed");
        assert_eq!(engine.ulvs("drain"), "");
        terminal.keys(&["d", "y"]);
        terminal
            .until("a drained server", |s| row(s, &one).is_some_and(|cells| cells[2..4] == ["0", "drain"]));
        assert!(engine.ulvs("drain").starts_with(&format!("{one} of TCP {vip}:")));
        terminal.keys(&["d"]);
        terminal.until_line("its weight back? y/n");
        terminal.keys(&["y"]);
        terminal.until("a server with its weight", |s| {
            row(s, &one).is_some_and(|cells| cells[2..4] == ["3", "up"])
        });

        // A pause, the help, and other sizes.
        terminal.keys(&["p"]);
        let paused = terminal.until("a pause", |s| s[0].contains("PAUSED"));
        thread::sleep(Duration::from_millis(600));
        assert_eq!(terminal.screen()[1..], paused[1..], "nothing moves");
        terminal.keys(&["p", "?"]);
        terminal.until_line("+keys and columns-");
        terminal.keys(&["x"]);
        terminal.resize(40, 10);
        terminal.until("a small screen", |s| {
            s.len() == 10 && s[9].starts_with("?:help q:quit") && row(s, &one).is_some()
        });
        terminal.resize(120, 30);
        terminal.until("a large screen", |s| s.len() == 30 && s[4].contains("INPKT/s OUTPKT/s"));
        terminal.resize(80, 24);
        terminal.keys(&["q"]);
        terminal.is_as_before();
        drop(stop);
    });
    drop(held);
    engine.stop();
}

/// Ends the traffic when a check fails, too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn an_engine_that_goes_is_waited_for_and_every_end_leaves_the_terminal_as_it_was() {
    let scene = Scene::new(&NatOptions::default());
    let terminal = Terminal::open(&scene, 80, 24);
    terminal.run("clear; echo before-top");
    terminal.until("a clear screen", |s| s.iter().any(|line| line == "before-top"));
    terminal.run("ulvs top --interval 0.2");
    terminal.until_line("NO NEWS: no engine is running here; waiting for one");
    let config = scene.config();
    let engine = Engine::start(&scene.lab, &["--config", &config]);
    let vip = format!("TCP {}", scene.lab.vip.port(Family::V4, 80));
    terminal.until("the service", |s| row(s, &vip).is_some() && s[0].contains(", up "));
    engine.stop();
    terminal
        .until("no engine, and what it said last", |s| s[0].contains("NO NEWS") && row(s, &vip).is_some());
    let engine = Engine::start(&scene.lab, &["--config", &config]);
    terminal.until("an engine again", |s| s[0].contains(", up "));
    terminal.keys(&["C-c"]);
    terminal.is_as_before();
    for signal in ["TERM", "HUP"] {
        terminal.run("ulvs top --interval 0.2");
        terminal.until("the service", |s| row(s, &vip).is_some());
        // Of this shell, not of the machine.
        let shell = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let children = format!("/proc/{0}/task/{0}/children", shell.trim());
        let top = fs::read_to_string(children).unwrap();
        scene.director().exec(&["kill", &format!("-{signal}"), top.trim()]).unwrap();
        terminal.is_as_before();
    }
    engine.stop();
}

#[test]
fn a_thousand_servers_scroll_and_cost_little() {
    let scene = Scene::new(&NatOptions::default());
    let engine = Engine::start(&scene.lab, &[]);
    let services = (0..10).map(|s| {
        let key = format!("-t 192.0.2.{}:80", s + 1);
        let server = |i: usize| format!("-a {key} -r 10.7.{s}.{}:80 -m -w {}\n", i + 1, i + 1);
        format!("-A {key} -s wrr\n{}", (0..100).map(server).collect::<String>())
    });
    let rules = scene.write("rules", &services.collect::<String>());
    let restore = format!("'{}' ipvsadm -R < '{rules}'", binary().display());
    scene.director().exec(&["sh", "-c", &restore]).unwrap();
    let terminal = Terminal::open(&scene, 80, 24);
    terminal.run("ulvs top --interval 0.5");
    terminal.until("all of them", |s| s[1].starts_with("services 10, servers 1000"));
    terminal.keys(&["End"]);
    terminal.until("the last server", |s| s[22].trim_start().starts_with("10.7.9.100:80"));
    terminal.keys(&["PageUp", "Up"]);
    terminal.until("a page before it", |s| s[5].trim_start().starts_with("10.7.9.81:80"));
    terminal.keys(&["s", "s"]);
    terminal.until_line("by WEIGHT");
    terminal.keys(&["Home"]);
    terminal.until("the heaviest first", |s| s[6].trim_start().starts_with("10.7.0.100:80"));
    let shell = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let top = fs::read_to_string(format!("/proc/{0}/task/{0}/children", shell.trim())).unwrap();
    let used = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", top.trim())).unwrap();
        let fields: Vec<u64> = stat
            .rsplit(") ")
            .next()
            .unwrap()
            .split(' ')
            .skip(11)
            .take(2)
            .map(|n| n.parse().unwrap())
            .collect();
        // In hundredths of a second.
        fields[0] + fields[1]
    };
    let before = used();
    thread::sleep(Duration::from_secs(4));
    let spent = used() - before;
    assert!(spent < 100, "eight looks at a thousand servers took {spent}0 ms of CPU");
    terminal.keys(&["q"]);
    let all = engine.ulvs("top --once");
    assert_eq!(all.lines().filter(|line| line.contains(" Masq ")).count(), 1000);
    engine.stop();
}

#[test]
fn one_screen_is_printed_for_logs_and_programs() {
    let scene = Scene::new(&NatOptions::default());
    let refused = ulvs(scene.director(), &["top", "--once"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        printed(&refused).contains("no engine is running in this network namespace"),
        "{}",
        printed(&refused)
    );
    let config = scene.config();
    let engine = Engine::start(&scene.lab, &["--config", &config]);
    scene.works_over(Family::V4);
    let [vip, server] =
        [scene.lab.vip, scene.lab.server_addrs[0]].map(|pair| pair.port(Family::V4, 80).to_string());
    let text = engine.ulvs("top -b");
    assert!(text.contains(&format!("TCP {vip}")) && text.contains(&format!("\n  {server}")), "{text}");
    assert!(!text.contains('\x1b'), "plain text: {text:?}");
    let one = engine.ulvs(&format!("top --once --filter {server}"));
    assert_eq!(one.lines().filter(|line| line.contains(" Masq ")).count(), 1, "{one}");
    let json: Value = serde_json::from_str(&engine.ulvs("top --json")).unwrap();
    let service =
        json["services"].as_array().unwrap().iter().find(|s| s["service"] == format!("tcp/{vip}")).unwrap();
    assert_eq!(service["load"]["counts"]["conns"], 1, "{json:#}");
    assert_eq!(service["servers"][0]["state"], "up", "{json:#}");
    let blind = ulvs(scene.director(), &["top"]);
    assert_eq!(blind.status.code(), Some(1));
    assert!(
        printed(&blind).contains("this is no terminal: `ulvs top --once` prints one screen"),
        "{}",
        printed(&blind)
    );
    for bad in ["0", "0.01", "x"] {
        let refused = engine.try_ulvs(&format!("top --interval {bad}"));
        assert!(printed(&refused).contains("write seconds from 0.1 to 3600"), "{}", printed(&refused));
    }
    engine.stop();
}
