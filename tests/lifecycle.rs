//! Starting, stopping, dying: what an engine says, holds and leaves behind.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use lab::client::{self, Connection};
use lab::serve::TcpEcho;
use lab::topo::{NatOptions, VipPlace};
use lab::wait::wait_for;

use crate::scene::{FAMILIES, Foreground, Scene, refused};
use crate::support::{Engine, PATIENCE, binary, printed, ulvs};

#[test]
fn a_detached_engine_is_ready_at_once_and_holds_nothing_of_its_caller() {
    let scene = Scene::new(&NatOptions::default());
    // As in `$(...)`, and with a descriptor that a shell has left open.
    let mut command = scene.director().command("sh");
    command.args(["-c", "exec 7>&1; exec \"$@\"", "sh"]).arg(binary());
    command.args(["run", "--detach", "--config", &scene.config()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = scene.director().spawn(&mut command).unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (done, closed) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        err.read_to_string(&mut text).unwrap();
        let _ = done.send(text);
    });
    assert!(child.wait().unwrap().success());
    let engine = Engine::attach(scene.director(), log_file(&scene));
    scene.works();
    let text = closed.recv_timeout(PATIENCE).expect("the engine holds a pipe of its caller");
    assert_eq!(text, "");

    let pid = engine.status().pid;
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(), "ulvs\n");
    let files = format!("/proc/{pid}/fd");
    let files = fs::read_dir(files).unwrap().flatten();
    let held: Vec<_> = files.map(|file| (file.file_name(), fs::read_link(file.path()).unwrap())).collect();
    for (number, target) in &held {
        let standard = ["0", "1", "2"].iter().any(|name| number == *name);
        assert!(!standard || target.as_os_str() == "/dev/null", "{held:?}");
        assert!(!target.to_string_lossy().starts_with("pipe:"), "{held:?}");
    }
    engine.stop();
}

/// The one that an engine in the background makes by itself.
fn log_file(scene: &Scene) -> std::path::PathBuf {
    let files = fs::read_dir(scene.lab.state_dir()).unwrap().map(|entry| entry.unwrap().path());
    let mut logs = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
    logs.next().expect("a log in the state directory")
}

#[test]
fn a_second_engine_is_refused_and_the_first_not_disturbed() {
    let scene = Scene::new(&NatOptions::default());
    let config = scene.config();
    let foreground = Foreground::start(&scene, &["--config", &config]);
    let before = scene.snapshot();
    let log = foreground.engine.log();
    for args in [&["run"][..], &["run", "--detach"], &["run", "--detach", "--device", "other0"], &["clean"]] {
        let mut command = scene.director().command(binary());
        command.args(args);
        let line = refused(command);
        assert!(line.contains("already running in this network namespace"), "{line}");
        assert!(line.contains(&format!("pid {}", foreground.pid())), "{line}");
        assert!(line.contains("`ulvs stop`"), "{line}");
    }
    let diff = scene.snapshot().facts_since(&before);
    assert!(diff.is_empty(), "{diff:#?}");
    scene.works();
    assert_eq!(foreground.engine.log(), log, "the log of the first engine");
    foreground.engine.ulvs("stop");
    // What it has logged in the background is not overwritten by one that is refused either.
    let engine = Engine::start(&scene.lab, &[]);
    let log = engine.log();
    assert!(log.contains("ready"), "{log}");
    assert_eq!(
        ulvs(scene.director(), &["run", "--detach", "--log", engine.log_path()]).status.code(),
        Some(1)
    );
    assert_eq!(engine.log(), log);
    engine.stop();
}

#[test]
fn puts_everything_back_where_the_vip_is_routed() {
    puts_everything_back(VipPlace::Routed);
}

#[test]
fn puts_everything_back_where_the_vip_is_on_lo() {
    puts_everything_back(VipPlace::Loopback);
}

#[test]
fn puts_everything_back_where_the_vip_is_on_an_interface() {
    puts_everything_back(VipPlace::Interface);
}

#[test]
fn puts_everything_back_where_the_vip_is_nobodys_address_of_the_subnet() {
    puts_everything_back(VipPlace::Subnet);
}

fn puts_everything_back(vip: VipPlace) {
    for (forwarding, rp_filter) in [(false, Some(1)), (true, None)] {
        let scene = Scene::new(&NatOptions { vip, forwarding, rp_filter, ..NatOptions::default() });
        others(&scene);
        let before = scene.snapshot();
        let config = scene.config();
        for signal in ["INT", "TERM"] {
            let foreground = Foreground::start(&scene, &["--config", &config]);
            scene.works();
            let status = foreground.end(signal);
            assert!(status.success(), "SIG{signal}: {status}");
            scene.assert_as(&before, &format!("SIG{signal}"));
        }
        let engine = Engine::start(&scene.lab, &["--config", &config]);
        scene.works();
        engine.stop();
        scene.assert_as(&before, "`ulvs stop`");
    }
}

/// What other people have on a director: rules among ours, a table, a proxy entry, nftables, settings.
fn others(scene: &Scene) {
    let script = "
        ip rule add from 192.0.2.0/24 lookup 100 pref 3
        ip rule add fwmark 0x5 lookup 100 pref 30000
        ip -6 rule add from 2001:db8:9::/48 lookup 100 pref 3
        ip route add default via 10.0.0.200 table 100
        ip -6 route add default via 2001:db8:2::200 table 100
        ip route add 192.0.2.0/24 via 198.51.100.77
        ip neigh add proxy 198.51.100.200 dev to-client
        sysctl -q net.ipv4.neigh.to-client.proxy_delay=33 net.ipv4.conf.to-servers.rp_filter=2
        nft -f - <<EOF
            table inet filter {
                set allowed { type ipv4_addr; elements = { 192.0.2.1 } }
                chain forward { type filter hook forward priority 0; policy accept; ip saddr @allowed counter accept; }
            }
            table ip mangle {
                chain prerouting { type filter hook prerouting priority mangle; ip daddr 192.0.2.7 meta mark set 5; }
            }
EOF";
    scene.director().exec(&["sh", "-ec", script]).unwrap();
}

#[test]
fn what_others_change_meanwhile_stays_as_they_left_it() {
    let scene = Scene::new(&NatOptions { forwarding: false, ..NatOptions::default() });
    let before = scene.snapshot();
    let foreground = Foreground::start(&scene, &["--config", &scene.config()]);
    scene.works();
    let meanwhile = "
        sysctl -q net.ipv4.ip_forward=1 net.ipv4.ip_early_demux=1 net.ipv4.conf.to-client.rp_filter=2
        ip rule add from 192.0.2.0/24 lookup 100 pref 4
        ip route add 192.0.2.0/24 via 198.51.100.77
        ip addr add 192.0.2.200/32 dev lo
        nft add table inet theirs";
    scene.director().exec(&["sh", "-ec", meanwhile]).unwrap();
    // What it needs it takes back.
    let demux = || scene.director().sysctl_read("net.ipv4.ip_early_demux").unwrap();
    wait_for("early demux to be off again", PATIENCE, || (demux() == "0").then_some(())).unwrap();
    scene.works();
    assert!(foreground.end("TERM").success());

    for (name, value) in [
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv4.conf.to-client.forwarding", "1"),
        ("net.ipv4.conf.to-servers.forwarding", "1"),
        ("net.ipv4.ip_early_demux", "1"),
        ("net.ipv4.conf.to-client.rp_filter", "2"),
    ] {
        assert_eq!(scene.director().sysctl_read(name).unwrap(), value, "{name}");
    }
    // Nothing else was changed: once they undo theirs, all is as before.
    let undo = "
        sysctl -q net.ipv4.ip_forward=0 net.ipv4.ip_early_demux=1 net.ipv4.conf.to-client.rp_filter=0
        ip rule del from 192.0.2.0/24 lookup 100 pref 4
        ip route del 192.0.2.0/24 via 198.51.100.77
        ip addr del 192.0.2.200/32 dev lo
        nft delete table inet theirs";
    scene.director().exec(&["sh", "-ec", undo]).unwrap();
    scene.assert_as(&before, "changes by others");
}

#[test]
fn after_a_sudden_end_the_host_routes_and_the_next_start_or_clean_puts_it_in_order() {
    for vip in [VipPlace::Subnet, VipPlace::Interface] {
        let scene = Scene::new(&NatOptions { vip, ..NatOptions::default() });
        others(&scene);
        let _ssh = TcpEcho::start(scene.director(), 22).unwrap();
        let before = scene.snapshot();
        let config = scene.config();
        let die = || {
            let foreground = Foreground::start(&scene, &["--config", &config]);
            scene.works();
            assert!(!foreground.end("KILL").success());
        };

        die();
        still_routes(&scene);
        let engine = Engine::start(&scene.lab, &["--config", &config]);
        scene.works();
        still_routes(&scene);
        engine.stop();
        scene.assert_as(&before, "SIGKILL, a start and a stop");

        die();
        let cleaned = ulvs(scene.director(), &["clean"]);
        let text = printed(&cleaned);
        assert!(cleaned.status.success() && text.lines().count() == 1 && text.contains("removed"), "{text}");
        scene.assert_as(&before, "SIGKILL and `ulvs clean`");
        let again = ulvs(scene.director(), &["clean"]);
        assert!(
            again.status.success() && printed(&again).starts_with("nothing to undo"),
            "{}",
            printed(&again)
        );
    }
}

/// From the client to a server and to the director, as without an engine.
fn still_routes(scene: &Scene) {
    for family in FAMILIES {
        let reply = client::get(&scene.lab.client, scene.lab.server_port(0, family, 80), "/").unwrap();
        assert_eq!(reply.body, "server1\n");
        client::connect(&scene.lab.client, scene.lab.director_addr.port(family, 22)).unwrap();
    }
}

#[test]
fn after_a_sudden_end_a_host_that_is_no_router_does_not_become_one() {
    let scene = Scene::new(&NatOptions { forwarding: false, ..NatOptions::default() });
    let before = scene.snapshot();
    let foreground = Foreground::start(&scene, &["--config", &scene.config()]);
    scene.works();
    assert!(!foreground.end("KILL").success());
    for family in FAMILIES {
        let server = scene.lab.server_addrs[0].of(family);
        client::ping(scene.director(), server, 56, PATIENCE).unwrap();
        let silence = Duration::from_millis(300);
        assert!(client::ping(&scene.lab.client, server, 56, silence).is_err(), "the client reaches {server}");
    }
    assert!(ulvs(scene.director(), &["clean"]).status.success());
    scene.assert_as(&before, "SIGKILL and `ulvs clean`");
}

#[test]
fn when_its_device_is_deleted_it_ends_and_says_why() {
    let scene = Scene::new(&NatOptions { forwarding: false, ..NatOptions::default() });
    let before = scene.snapshot();
    let mut foreground = Foreground::start(&scene, &["--config", &scene.config()]);
    scene.director().exec(&["ip", "link", "del", "ulvs0"]).unwrap();
    assert_eq!(foreground.wait().code(), Some(1));
    let log = foreground.engine.log();
    assert!(log.lines().last().unwrap().starts_with("ulvs: the device ulvs0 is gone"), "{log}");
    scene.assert_as(&before, "the device's end");
}

#[test]
fn an_idle_engine_costs_nothing() {
    let scene = Scene::new(&NatOptions::default());
    let foreground = Foreground::start(&scene, &["--config", &scene.config()]);
    let open = FAMILIES.map(|family| {
        let mut connection = Connection::open(&scene.lab.client, scene.lab.vip.port(family, 80)).unwrap();
        connection.get("/").unwrap();
        connection
    });
    assert_eq!(foreground.engine.connections("ESTABLISHED"), open.len());
    let (cpu, wakeups) = usage(foreground.pid());
    thread::sleep(Duration::from_secs(2));
    let (cpu, wakeups) = (usage(foreground.pid()).0 - cpu, usage(foreground.pid()).1 - wakeups);
    // A clock tick is 10 ms.
    assert!(cpu < Duration::from_millis(10), "{cpu:?} of CPU time in two seconds");
    assert!(wakeups < 50, "{wakeups} wake-ups in two seconds");
}

/// CPU time and voluntary context switches of all threads of a process.
fn usage(pid: u32) -> (Duration, u64) {
    let (mut cpu, mut wakeups) = (0, 0);
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let path = task.unwrap().path();
        let stat = fs::read_to_string(path.join("schedstat")).unwrap();
        cpu += stat.split(' ').next().unwrap().parse::<u64>().unwrap();
        let status = fs::read_to_string(path.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        wakeups += line.trim().parse::<u64>().unwrap();
    }
    (Duration::from_nanos(cpu), wakeups)
}
