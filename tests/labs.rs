//! `ulvs lab`: every scenario is right about what it claims, and labs that stay up can be worked in.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lab::wait::wait_for;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{PATIENCE, binary, printed};

/// A directory of labs of one's own. Its path is in the environment of everything that runs in them.
struct Labs(TempDir);

impl Labs {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("lab")
            .args(line.split(' '))
            .env("ULVS_LABS", self.0.path().join("labs"))
            .stdin(Stdio::null());
        command
    }

    /// It has to end well. What it has printed.
    fn lab(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", printed(&output));
        printed(&output)
    }

    /// It has to be refused in one line.
    fn refused(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {}", printed(&output));
        printed(&output)
    }

    /// A line for a shell of a machine.
    fn types(&self, options: &str, machine: &str, line: &str) -> Output {
        let mut command = self.command(format!("exec {options} {machine} --").replace("  ", " ").as_str());
        command.args(["sh", "-c", line]).output().unwrap()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.lab("status --json")).unwrap()
    }

    /// How many processes have anything to do with these labs.
    fn processes(&self) -> usize {
        let mark = self.0.path().to_str().unwrap().as_bytes();
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let environments = pids.filter_map(|pid| fs::read(pid.path().join("environ")).ok());
        environments.filter(|text| text.windows(mark.len()).any(|window| window == mark)).count()
    }

    fn nothing_is_left(&self) {
        let none = || (self.processes() == 0).then_some(());
        wait_for("the end of every process", PATIENCE, none).unwrap();
        let labs = fs::read_dir(self.0.path().join("labs")).into_iter().flatten().flatten();
        assert_eq!(labs.map(|entry| entry.path()).collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
    }
}

/// Plays it for programs: every object of it.
fn play(labs: &Labs, line: &str) -> Vec<Value> {
    let output = labs.command(&format!("run {line} --json")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let objects =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    let objects: Vec<Value> = objects.collect();
    let wrong: Vec<_> = objects.iter().filter(|step| step["passed"] == false).collect();
    assert!(
        wrong.is_empty() && output.status.success(),
        "{wrong:#?} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    objects
}

/// Every check of it holds, there are some, and nothing is left.
fn claims_are_right(line: &str) {
    let labs = Labs::new();
    let objects = play(&labs, line);
    let [head, steps @ .., end] = &objects[..] else { panic!("{objects:#?}") };
    assert!(head["drawing"].as_str().is_some_and(|drawing| drawing.contains("[client]")), "{head:#}");
    assert_eq!(end["steps"], steps.len());
    let drawn =
        head["drawing"].as_str().unwrap().split('[').skip(1).map(|rest| rest.split(']').next().unwrap());
    // Nobody goes into a switch.
    for host in drawn
        .filter(|name| !name.ends_with("switch"))
        .chain(steps.iter().map(|step| step["host"].as_str().unwrap()))
    {
        assert!(lab::cli::HOSTS.contains(&host), "shells do not complete {host}");
    }
    let checks: Vec<_> = steps.iter().flat_map(|step| step["checks"].as_array().unwrap()).collect();
    assert_eq!(end["checks"], checks.len());
    assert!(checks.len() >= 3 && checks.iter().all(|check| check["passed"] == true), "{checks:#?}");
    labs.nothing_is_left();
}

macro_rules! scenarios {
    ($($test:ident = $name:literal,)*) => {
        $(#[test]
        fn $test() {
            claims_are_right($name);
        })*
        const NAMES: &[&str] = &[$($name),*];
    };
}

scenarios! {
    lecture = "lecture",
    nat = "nat",
    fullnat = "fullnat",
    dr = "dr",
    tun = "tun",
    fwmark = "fwmark",
    persistence = "persistence",
    schedulers = "schedulers",
    save_restore = "save-restore",
    tls_rs = "tls-rs",
    tls_offload = "tls-offload",
    l7 = "l7",
    health = "health",
    sorry = "sorry",
    arp = "arp",
    container = "container",
}

#[test]
fn no_scenario_is_without_its_test() {
    let list: Value = serde_json::from_str(&Labs::new().lab("list --json")).unwrap();
    let names: Vec<_> =
        list["scenarios"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, NAMES);
}

#[test]
fn the_lecture_is_the_same_with_real_servers_and_without_root() {
    claims_are_right("lecture --real --rootless");
}

#[test]
fn nginx_has_the_pages_of_the_embedded_server() {
    for scenario in ["nat", "tun", "health"] {
        claims_are_right(&format!("{scenario} --real"));
    }
}

#[test]
fn a_check_that_fails_names_its_step_and_ends_the_play() {
    let labs = Labs::new();
    let curl = labs.0.path().join("curl");
    fs::write(&curl, "#!/bin/sh\necho nobody\n").unwrap();
    assert!(Command::new("chmod").arg("755").arg(&curl).status().unwrap().success());
    let path = format!("{}:{}", labs.0.path().display(), std::env::var("PATH").unwrap());
    let output = labs.command("run dr").env("PATH", &path).output().unwrap();
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("FAILED: it fails, where it has ended well"), "{text}");
    assert!(text.contains("\nStep 5 failed: A request."), "{text}");
    assert!(!text.contains("\n 6. "), "{text}");
    labs.nothing_is_left();
}

#[test]
fn captures_have_what_passed_every_interface() {
    let labs = Labs::new();
    let dir = labs.0.path().join("pcap");
    play(&labs, &format!("dr --pcap {}", dir.display()));
    let has = |name: &str, text: &str| {
        let bytes = fs::read(dir.join(name)).unwrap();
        assert_eq!(bytes[..4], [0xd4, 0xc3, 0xb2, 0xa1], "{name}");
        // Every record is as long as it says, to the end of the file.
        let mut at = 24;
        while at < bytes.len() {
            at += 16 + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        }
        assert_eq!(at, bytes.len(), "{name}");
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    for name in ["client-eth0", "director-eth0", "server1-eth0", "edge-north", "edge-south"] {
        assert!(has(&format!("{name}.pcap"), "GET /whoami HTTP/1.1"), "{name}");
    }
    assert!(has("client-eth0.pcap", "HTTP/1.1 200 OK") && !has("director-eth0.pcap", "HTTP/1.1 200 OK"));
}

#[test]
fn a_device_that_is_made_while_a_lab_is_up_is_captured_too() {
    let labs = Labs::new();
    let dir = labs.0.path().join("pcap");
    labs.lab(&format!("up nat --pcap {}", dir.display()));
    let types = |machine, line: &str| {
        let output = labs.types("", machine, line);
        assert!(output.status.success(), "{line}: {}", printed(&output));
    };
    let path = dir.join("director-ulvs0.pcap");
    // The second one has the name of the first.
    for page in ["/test1.html", "/whoami"] {
        types(
            "director",
            "ulvs run --detach --port tun && ipvsadm -A -t 203.0.113.1:80 && ipvsadm -a -t 203.0.113.1:80 -r server1 -m",
        );
        types("client", &format!("curl -sSf http://203.0.113.1{page}"));
        types("director", "ulvs stop");
    }
    let bytes = wait_for("both requests in one file", PATIENCE, || {
        let bytes = fs::read(&path).ok()?;
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        (has(b"GET /test1.html") && has(b"GET /whoami")).then_some(bytes)
    });
    assert_eq!(bytes.unwrap()[20], 101, "packets of a TUN device begin with IP");
    let read = Command::new("tcpdump").args(["-nr", path.to_str().unwrap(), "tcp port 80"]).output().unwrap();
    assert!(printed(&read).contains("> 203.0.113.1.80: Flags [S]"), "{}", printed(&read));
    labs.lab("down");
}

#[test]
fn a_lab_stays_up_until_it_is_taken_down() {
    let labs = Labs::new();
    let said = labs.lab("up lecture");
    assert!(said.contains("172.16.0.67") && said.contains("ulvs lab shell director\n"), "{said}");
    let status = labs.status();
    assert_eq!(status["labs"][0]["hosts"].as_array().unwrap().len(), 4, "{status:#}");

    let types = |machine, line| {
        let output = labs.types("", machine, line);
        assert!(output.status.success(), "{line}: {}", printed(&output));
        printed(&output)
    };
    assert_eq!(types("director", "hostname; pwd; echo $HOME"), "director\n/root\n/root\n");
    types(
        "director",
        "ulvs run --detach && ipvsadm -A -t 172.16.0.99:80 -s rr && ipvsadm -a -t 172.16.0.99:80 -r rs1 -m",
    );
    assert!(types("director", "ipvsadm-save").contains("-r rs1:http -m -w 1"));
    types("rs1", "systemctl start httpd");
    assert_eq!(types("client", "curl -s http://rs1/test1.html"), "rs1\n");
    // Files are each machine's own, and can be handed on.
    types("client", "echo '172.16.0.99 www.ilinux.io' >> /etc/hosts");
    assert!(!types("rs1", "cat /etc/hosts").contains("ilinux"));
    assert!(!fs::read_to_string("/etc/hosts").unwrap().contains("ilinux"));
    types("client", "echo hello > note && scp note 172.16.0.8:/root/");
    assert_eq!(types("rs2", "cat note"), "hello\n");

    assert_eq!(labs.types("", "rs1", "exit 7").status.code(), Some(7));
    assert_eq!(labs.types("", "rs1", "kill -TERM $$").status.code(), Some(128 + 15));
    for (command, code, said) in [
        ("nosuchcmd", 127, "ulvs: rs1: nosuchcmd: no such command here\n"),
        ("/nowhere/x", 127, "ulvs: rs1: /nowhere/x: no such command here\n"),
        ("/etc/hosts", 126, "ulvs: rs1: /etc/hosts: cannot be run: Permission denied"),
    ] {
        let output = labs.command(&format!("exec rs1 -- {command}")).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", printed(&output));
        assert!(printed(&output).starts_with(said), "{}", printed(&output));
    }
    for (line, expected) in [
        ("systemctl start mysqld", "start, stop and restart of httpd and ipvsadm"),
        ("scp note 172.16.0.9:", "no machine 172.16.0.9"),
        ("echo Oops > /etc/httpd/conf.d/ssl.conf; httpd -t", "invalid command \"Oops\""),
        ("echo x >> /etc/passwd", "Read-only"),
    ] {
        let output = labs.types("", "rs1", line);
        assert!(
            !output.status.success() && printed(&output).contains(expected),
            "{line}: {}",
            printed(&output)
        );
    }
    assert!(labs.refused("exec nobody -- true").contains("it has director, rs1, rs2, client"));
    assert!(labs.refused("up lecture").contains("`--as OTHER`"));
    let shell = labs.command("shell rs2").env("SHELL", "hostname").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout), "rs2\n");

    assert_eq!(labs.lab("down"), "The lab lecture is down.\n");
    labs.nothing_is_left();
    assert!(labs.lab("status").starts_with("No lab is up."));
    for line in ["down", "exec director -- true"] {
        assert!(labs.refused(line).contains("`ulvs lab up NAME` puts one up"), "{line}");
    }
}

#[test]
fn two_labs_at_once_do_not_meet() {
    let labs = Labs::new();
    labs.lab("up nat --as one");
    labs.lab("up nat --as two --rootless --real");
    for (name, port) in [("one", 81), ("two", 82)] {
        let line = format!("ulvs run --detach && ipvsadm -A -t 203.0.113.1:{port} && ipvsadm -Sn");
        let output = labs.types(&format!("--lab {name}"), "director", &line);
        assert_eq!(printed(&output), format!("-A -t 203.0.113.1:{port} -s wlc\n"));
    }
    let head = "curl -sI http://server1/";
    assert!(printed(&labs.types("--lab two", "client", head)).contains("Server: nginx"));
    assert!(!printed(&labs.types("--lab one", "client", head)).contains("nginx"));
    assert!(labs.refused("exec director -- true").contains("say which with --lab NAME: one, two"));
    assert!(labs.refused("down").contains("say which with `ulvs lab down NAME`"));
    let inside = labs.types("--lab one", "director", "ulvs lab up dr");
    assert!(printed(&inside).contains("put up from outside"), "{}", printed(&inside));
    assert!(labs.refused("down three").contains("there is one, two"));
    assert!(labs.refused("up nat --as ../x").contains("no name for a lab"));
    labs.lab("down one");
    assert!(
        labs.types("", "director", "ipvsadm -Sn | grep -q :82").status.success(),
        "the other one is still there"
    );
    labs.lab("down --all");
    labs.nothing_is_left();
}

#[test]
fn what_a_killed_keeper_leaves_is_cleared_away() {
    for options in ["", " --rootless"] {
        let labs = Labs::new();
        labs.lab(&format!("up nat{options}"));
        assert!(
            labs.types("", "director", "ulvs run --detach; setsid sleep 300 >/dev/null 2>&1 &")
                .status
                .success()
        );
        assert!(labs.processes() > 4, "a keeper, servers, an engine, a sleeper");
        let pid = labs.status()["labs"][0]["pid"].to_string();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        wait_for("the end of the lab", PATIENCE, || (labs.processes() == 0).then_some(())).unwrap();
        assert!(Path::new(&labs.0.path().join("labs/nat/lab.json")).exists());
        // The kernel takes a process's memory, and with it what /proc shows, before it lets go of its locks.
        let cleared = || (labs.status()["cleared"] == serde_json::json!(["nat"])).then_some(());
        wait_for("the lock to be free", PATIENCE, cleared).unwrap();
        labs.nothing_is_left();
        labs.lab(&format!("up nat{options}"));
        labs.lab("down nat");
        labs.nothing_is_left();
    }
}

#[test]
fn what_cannot_be_played_says_why() {
    let labs = Labs::new();
    for command in ["run", "up"] {
        let said = |name: &str| labs.refused(&format!("{command} {name}"));
        assert_eq!(said("nothing"), "ulvs: there is no scenario `nothing` (`ulvs lab list` lists them)\n");
        let near = "`lectur`; did you mean `lecture`? (`ulvs lab list` lists them)";
        assert!(said("lectur").contains(near), "{}", said("lectur"));
    }
    let output = labs.command("run lecture").env("PATH", "").output().unwrap();
    let text = printed(&output);
    assert!(!output.status.success() && text.contains("apt-get install"), "{text}");
    assert!(labs.refused("httpd start").contains("ulvs lab up nat"));
}
