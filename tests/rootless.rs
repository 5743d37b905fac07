//! Laboratories and engines in user namespaces, several at once, and what is left of them after any end: nothing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use lab::node::Child;
use lab::topo::{NatLab, NatOptions, VipPlace};
use lab::wait::wait_for;
use netio::netns;
use serde_json::Value;
use tempfile::TempDir;

use crate::scene::{Foreground, Scene, for_everybody, install};
use crate::support::{Engine, PATIENCE, binary, printed, ulvs};

/// Root of a user namespace of its own.
const UNSHARE: [&str; 5] = ["--user", "--map-root-user", "--net", "--mount", "--"];
/// Set for this program when it is to do the test itself.
const INSIDE: &str = "ULVS_TEST_INSIDE";

/// Everything that works for root works for the root of a user namespace.
#[test]
fn an_engine_in_a_user_namespace_works_and_puts_everything_back() {
    if std::env::var_os(INSIDE).is_none() {
        let test = "rootless::an_engine_in_a_user_namespace_works_and_puts_everything_back";
        let mut command = Command::new("unshare");
        command.args(UNSHARE).arg(std::env::current_exe().unwrap()).args(["--exact", test]).env(INSIDE, "1");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = printed(&output);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "0", "1"], "a namespace with one user");
    for vip in [VipPlace::Subnet, VipPlace::Loopback] {
        let options = NatOptions { vip, forwarding: false, rp_filter: Some(1), ..NatOptions::default() };
        let scene = Scene::new(&options);
        let before = scene.snapshot();
        let config = scene.config();
        let foreground = Foreground::start(&scene, &["--config", &config]);
        scene.works();
        assert!(!foreground.end("KILL").success());
        let engine = Engine::start(&scene.lab, &["--config", &config]);
        scene.works();
        assert_eq!(engine.status().offload, "checksum, tso4, tso6, uso");
        engine.stop();
        scene.assert_as(&before, "SIGKILL, a start and a stop");
    }
}

/// A whole scenario, three at once: for the caller's own user and for one that is nobody.
#[test]
fn the_nat_scenario_needs_no_root() {
    let (_dir, ulvs) = for_everybody();
    let open_device = "mount -t tmpfs none /dev/net; mknod -m 666 /dev/net/tun c 10 200; exec \"$@\"";
    let mut nobody = Command::new("unshare");
    nobody.args(["--mount", "--propagation", "private", "sh", "-ec", open_device, "sh", "setpriv"]);
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&ulvs).args(["lab", "run", "nat"]);
    let mut root = Command::new(&ulvs);
    root.args(["lab", "run", "nat", "--rootless"]);
    let mut mapped = Command::new("unshare");
    mapped.args(UNSHARE).arg(&ulvs).args(["lab", "run", "nat"]);
    std::thread::scope(|scope| {
        for mut command in [nobody, root, mapped] {
            scope.spawn(move || {
                let output = command.arg("--json").current_dir("/").stdin(Stdio::null()).output().unwrap();
                assert!(output.status.success(), "{command:?}: {}", printed(&output));
                let text = String::from_utf8(output.stdout).unwrap();
                let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
                assert_eq!((&end["passed"], &end["scenario"]), (&true.into(), &"nat".into()), "{text}");
            });
        }
    });
}

/// A script that runs as the shell of a laboratory's director, and where such scripts meet.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new(script: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let text = dir.path().join("text");
        fs::write(&text, format!("#!/bin/sh\nset -eu\n{script}")).unwrap();
        install(&text, &dir.path().join("script"));
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn shell(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(["lab", "shell"]).args(args).stdin(Stdio::null());
        command
            .env("SHELL", self.path().join("script"))
            .env("MEET", self.path())
            .env("ULVS_LABS", self.path().join("labs"));
        command
    }
}

#[test]
fn laboratories_at_once_do_not_meet() {
    let place = Place::new(
        "ulvs run --detach
        ulvs ipvsadm -A -t 203.0.113.1:$PORT
        touch /run/$NAME $MEET/$NAME
        i=0; until [ -e $MEET/$OTHER ]; do i=$((i + 1)); [ $i -lt 500 ]; sleep 0.02; done
        [ ! -e /run/$OTHER ]
        ulvs ipvsadm -Sn
        ip -o link show type tun | wc -l
        touch $MEET/$NAME-done
        i=0; until [ -e $MEET/$OTHER-done ]; do i=$((i + 1)); [ $i -lt 500 ]; sleep 0.02; done
        ulvs stop",
    );
    std::thread::scope(|scope| {
        for (name, other, port, args) in [("a", "b", "81", &[][..]), ("b", "a", "82", &["--rootless"])] {
            let place = &place;
            scope.spawn(move || {
                let mut command = place.shell(args);
                let output: Output =
                    command.env("NAME", name).env("OTHER", other).env("PORT", port).output().unwrap();
                let text = printed(&output);
                assert!(output.status.success(), "{name}: {text}");
                assert!(text.ends_with(&format!("-A -t 203.0.113.1:{port} -s wlc\n1\n")), "{name}: {text}");
            });
        }
    });
}

#[test]
fn a_killed_laboratory_leaves_nothing() {
    for args in [&[][..], &["--rootless"]] {
        for innermost in [false, true] {
            killed(args, innermost);
        }
    }
}

fn killed(args: &[&str], innermost: bool) {
    let place = Place::new(
        "ulvs run --detach
        ulvs ipvsadm -A -t 203.0.113.1:80
        echo $ULVS_STATE_DIR > $MEET/state
        touch $MEET/ready
        while :; do sleep 300; done",
    );
    let mut command = place.shell(args);
    netns::die_with_parent(&mut command);
    let outermost = Guard(command.stdout(Stdio::null()).spawn().unwrap());
    let ready = place.path().join("ready");
    wait_for("the laboratory", PATIENCE, || ready.exists().then_some(())).unwrap();
    let all = Process::family(outermost.0.id());
    let shells: Vec<_> = all.iter().filter(|process| process.command.contains("lab\0shell")).collect();
    let engines = all.iter().filter(|process| process.command.contains("run\0--detach")).count();
    // The one that waits, the init, the laboratory itself; and what runs in it.
    assert_eq!((shells.len(), engines), (3, 1), "{all:#?}");
    assert!(all.iter().any(|process| process.command.contains("script")), "{all:#?}");
    let nets: BTreeSet<_> = all.iter().filter_map(|process| process.net).collect();
    assert!(nets.len() >= 2, "the laboratory's and the director's: {all:#?}");

    let victim = if innermost { shells.last().unwrap().pid } else { outermost.0.id() };
    assert!(Command::new("kill").args(["-s", "KILL", &victim.to_string()]).status().unwrap().success());
    let left = || all.iter().filter(|process| process.is_alive()).collect::<Vec<_>>();
    let gone = wait_for("the end of all processes", PATIENCE, || left().is_empty().then_some(()));
    gone.unwrap_or_else(|error| panic!("{error} {args:?}: {:#?}", left()));
    let own = net_of(std::process::id());
    let inside: Vec<_> =
        Process::all().filter(|p| p.net != own && nets.contains(&p.net.unwrap_or(0))).collect();
    assert!(inside.is_empty(), "processes in namespaces of the laboratory: {inside:#?}");
    let state = fs::read_to_string(place.path().join("state")).unwrap();
    assert!(!Path::new(state.trim()).exists(), "{state}");
}

/// Reaps it as well.
struct Guard(std::process::Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It fails for one that is dead, as it should be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Debug)]
struct Process {
    pid: u32,
    parent: u32,
    /// With the number it names one process for ever.
    started: u64,
    command: String,
    /// Inode of its network namespace.
    net: Option<u64>,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may contain anything: state, parent, ..., start time (proc(5)).
        let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
        if fields[0] == "Z" {
            return None;
        }
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let (parent, started) = (fields[1].parse().ok()?, fields[19].parse().ok()?);
        Some(Self { pid, parent, started, command, net: net_of(pid) })
    }

    fn all() -> impl Iterator<Item = Self> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| Self::read(entry.file_name().to_str()?.parse().ok()?))
    }

    /// A process and all that descend from it, parents first.
    fn family(root: u32) -> Vec<Self> {
        let mut others: Vec<_> = Self::all().collect();
        let mut family: Vec<_> = others.extract_if(.., |process| process.pid == root).collect();
        let mut next = 0;
        while let Some(parent) = family.get(next).map(|process| process.pid) {
            family.extend(others.extract_if(.., |process| process.parent == parent));
            next += 1;
        }
        family
    }

    fn is_alive(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started)
    }
}

fn net_of(pid: u32) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/net")).ok().map(|namespace| namespace.ino())
}

#[test]
fn a_panic_leaves_nothing() {
    let mut seen: Option<(Process, PathBuf, Option<u64>)> = None;
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let lab = NatLab::new(&NatOptions::default()).unwrap();
        let started = ulvs(&lab.director, &["run", "--detach"]);
        assert!(started.status.success(), "{}", printed(&started));
        let status = ulvs(&lab.director, &["status", "--json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        let pid = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
        let engine = Process::read(pid).unwrap();
        let net = engine.net;
        seen = Some((engine, lab.state_dir().to_owned(), net));
        let mut sleep = lab.client.command("sleep");
        let _sleeper: Child = lab.client.spawn(sleep.arg("300")).unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    let (engine, state_dir, net) = seen.expect("an engine that ran");
    let ended = || (!engine.is_alive()).then_some(());
    wait_for("the engine's end", PATIENCE, ended).unwrap();
    assert!(!state_dir.exists(), "{}", state_dir.display());
    assert!(net.is_some());
    let inside = || Process::all().all(|process| process.net != net).then_some(());
    wait_for("an empty namespace", Duration::from_secs(2), inside).unwrap();
}
