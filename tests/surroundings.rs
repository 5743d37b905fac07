//! Places where an engine cannot run, or not as usual: one line that says what is wrong and what to do, and nothing
//! changed; or it works by another way.

use lab::addr::Family;
use lab::topo::NatOptions;

use crate::scene::{Foreground, Scene, for_everybody, refused, with_mounts};
use crate::support::{binary, printed, ulvs};

/// An empty `/dev/net`, seen by this command only.
const EMPTY_DEV_NET: &str = "mount -t tmpfs none /dev/net";
/// The device with the mode that most systems give it.
const USUAL_MODE: &str = "mount -t tmpfs none /dev/net; mknod -m 666 /dev/net/tun c 10 200";
/// The device for root alone.
const ROOT_ONLY: &str = "mount -t tmpfs none /dev/net; mknod -m 600 /dev/net/tun c 10 200";
/// A device number that no driver serves.
const NO_DRIVER: &str = "mount -t tmpfs none /dev/net; mknod /dev/net/tun c 10 239";
/// As in a container that was not told otherwise.
const SETTINGS_READ_ONLY: &str = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys";
/// Nobody, with one capability.
const NET_ADMIN_ONLY: [&str; 6] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=-all,+net_admin",
    "--ambient-caps=+net_admin",
];

fn scene() -> Scene {
    Scene::new(&NatOptions { forwarding: false, rp_filter: Some(1), ..NatOptions::default() })
}

/// `ulvs run` fails with one line, in the foreground and in the background, and changes nothing. Returns the line.
fn refuses(scene: &Scene, script: &str, argv: &[&str]) -> String {
    let before = scene.snapshot();
    let lines = [&[][..], &["--detach"]].map(|more| {
        let line = refused(with_mounts(scene.director(), script, &[argv, more].concat()));
        scene.assert_as(&before, &line);
        line
    });
    assert_eq!(lines[0], lines[1], "in the foreground and in the background");
    lines[0].clone()
}

fn assert_says(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "no {word:?} in: {line}");
    }
}

#[test]
fn without_the_tun_device() {
    let scene = scene();
    let ulvs = binary();
    for script in [EMPTY_DEV_NET, NO_DRIVER] {
        let line = refuses(&scene, script, &[ulvs.to_str().unwrap(), "run"]);
        assert_says(&line, &["/dev/net/tun is missing", "modprobe tun", "--device /dev/net/tun"]);
    }
}

#[test]
fn where_the_mode_of_the_tun_device_forbids_it() {
    let scene = scene();
    let (_dir, ulvs) = for_everybody();
    let command = [&NET_ADMIN_ONLY[..], &[ulvs.to_str().unwrap(), "run", "--log", "/dev/null"]].concat();
    let line = refuses(&scene, ROOT_ONLY, &command);
    assert_says(&line, &["/dev/net/tun may not be opened", "run as root", "--device /dev/net/tun"]);
}

#[test]
fn where_the_name_of_the_device_is_taken() {
    let scene = scene();
    scene.director().exec(&["ip", "link", "add", "ulvs0", "type", "bridge"]).unwrap();
    let line = refuses(&scene, ":", &[binary().to_str().unwrap(), "run"]);
    assert_says(&line, &["a network device named ulvs0 exists already", "choose another name"]);
    let line = refuses(&scene, ":", &[binary().to_str().unwrap(), "run", "--device", "much-too-long-a-name"]);
    assert_says(&line, &["much-too-long-a-name", "1 to 15 bytes"]);
}

#[test]
fn without_the_capability() {
    let scene = scene();
    let ulvs = binary();
    let command = ["setpriv", "--bounding-set=-net_admin", ulvs.to_str().unwrap(), "run"];
    let line = refuses(&scene, ":", &command);
    assert_says(&line, &["needs CAP_NET_ADMIN", "run as root", "--cap-add NET_ADMIN"]);
}

#[test]
fn without_a_place_for_its_notes() {
    let scene = scene();
    let ulvs = binary();
    let ulvs = ulvs.to_str().unwrap();
    let file = scene.write("a-file", "");
    let read_only = scene.lab.state_dir().join("read-only");
    std::fs::create_dir(&read_only).unwrap();
    let read_only = read_only.to_str().unwrap();
    let mount = format!("mount -t tmpfs -o ro none {read_only}");
    for (script, dir, why) in [
        (":", format!("{file}/dir"), "Not a directory"),
        (&mount, read_only.to_owned(), "Read-only file system"),
    ] {
        let before = scene.snapshot();
        for more in [&[][..], &["--detach"]] {
            let command = [&[ulvs, "run", "--state-dir", &dir], more].concat();
            let line = refused(with_mounts(scene.director(), script, &command));
            assert_says(&line, &[&dir, why, "--state-dir"]);
            scene.assert_as(&before, &line);
        }
    }
    let line = refuses(&scene, ":", &[ulvs, "run", "--log", &format!("{file}/log")]);
    assert_says(&line, &["cannot write the log", &file, "Not a directory", "--log"]);
}

/// IPv4 settings of a device can be changed by netlink as well.
#[test]
fn settings_that_are_read_only_do_not_matter_for_ipv4() {
    let scene = scene();
    let before = scene.snapshot();
    let config = scene.config_of(&[Family::V4]);
    let ulvs = binary();
    let command = [ulvs.to_str().unwrap(), "run", "--config", &config];
    let foreground =
        Foreground::start_as(&scene, with_mounts(scene.director(), SETTINGS_READ_ONLY, &command));
    scene.works_over(Family::V4);
    let log = foreground.engine.log();
    assert!(log.contains("changed net.ipv4.conf.to-client.forwarding 0 -> 1"), "{log}");
    assert!(foreground.end("TERM").success());
    scene.assert_as(&before, "a run with /proc/sys read-only");
}

/// For IPv6 there is no other way than the file.
#[test]
fn settings_that_are_read_only_are_named_for_ipv6() {
    let scene = scene();
    let before = scene.snapshot();
    let config = scene.config();
    let program = binary();
    let program = program.to_str().unwrap();
    let words = ["cannot forward IPv6", "net.ipv6.conf.all.forwarding", "sysctl -w", "in a container"];
    let command = [program, "run", "--detach", "--config", &config];
    let line = refused(with_mounts(scene.director(), SETTINGS_READ_ONLY, &command));
    assert_says(&line, &words);
    scene.assert_as(&before, &line);

    // A service that is added later is refused; those that work go on.
    let config = scene.config_of(&[Family::V4]);
    let command = [program, "run", "--config", &config];
    let foreground =
        Foreground::start_as(&scene, with_mounts(scene.director(), SETTINGS_READ_ONLY, &command));
    let vip = scene.lab.vip.port(Family::V6, 80).to_string();
    let added = ulvs(scene.director(), &["ipvsadm", "-A", "-t", &vip]);
    let text = printed(&added);
    assert_eq!(added.status.code(), Some(255), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_says(&text, &words);
    let listing = foreground.engine.ulvs("ipvsadm -Ln");
    assert!(!listing.contains(&vip), "a service that was refused is listed:\n{listing}");
    scene.works_over(Family::V4);
    // Where the host forwards IPv6 already, it works.
    scene.director().sysctl("net.ipv6.conf.all.forwarding", "1").unwrap();
    foreground.engine.service(
        "tcp",
        scene.lab.vip.port(Family::V6, 80),
        "rr",
        &[(scene.lab.server_port(0, Family::V6, 80), 1)],
    );
    scene.works();
    assert!(foreground.end("TERM").success());
    scene.director().sysctl("net.ipv6.conf.all.forwarding", "0").unwrap();
    scene.assert_as(&before, "a run with /proc/sys read-only");
}

/// Root is not needed, only one capability and a device that may be opened.
#[test]
fn a_user_with_one_capability_can_run_it() {
    let scene = scene();
    let before = scene.snapshot();
    let (dir, ulvs) = for_everybody();
    let notes = dir.path().join("notes");
    let script = format!("{USUAL_MODE}; install -d -o 65534 {}", notes.display());
    let config = dir.path().join("ulvs.toml");
    std::fs::copy(scene.config(), &config).unwrap();
    let command = [
        &NET_ADMIN_ONLY[..],
        // The packet port takes another capability.
        &[ulvs.to_str().unwrap(), "run", "--port", "tun", "--state-dir", notes.to_str().unwrap()],
        &["--config", config.to_str().unwrap()],
    ]
    .concat();
    let mut foreground = Foreground::start_as(&scene, with_mounts(scene.director(), &script, &command));
    scene.works();
    // Its user may change it without being root.
    let as_nobody = ["setpriv", "--reuid=65534", "--clear-groups", ulvs.to_str().unwrap()];
    scene.director().exec(&[&as_nobody[..], &["stop"]].concat()).unwrap();
    assert!(foreground.wait().success());
    scene.assert_as(&before, "a run by nobody");
}
