use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::*;

fn inode(netns: &Netns) -> u64 {
    fs::metadata(format!("/proc/self/fd/{}", netns.as_raw_fd())).unwrap().ino()
}

#[test]
fn a_new_namespace_is_another_one_and_the_caller_stays() {
    let before = inode(&Netns::current().unwrap());
    let first = Netns::new().unwrap();
    let second = Netns::new().unwrap();
    assert_ne!(inode(&first), before);
    assert_ne!(inode(&first), inode(&second));
    assert_eq!(inode(&Netns::current().unwrap()), before);
}

#[test]
fn run_happens_inside_and_sockets_stay_there() {
    let netns = Netns::new().unwrap();
    let (listener, seen) =
        netns.run(|| (TcpListener::bind("0.0.0.0:80").unwrap(), inode(&Netns::current().unwrap()))).unwrap();
    assert_eq!(seen, inode(&netns));
    // The same port is free again in another namespace and taken in this one.
    let other = Netns::new().unwrap();
    other.run(|| TcpListener::bind("0.0.0.0:80").unwrap()).unwrap();
    netns.run(|| TcpListener::bind("0.0.0.0:80").unwrap_err()).unwrap();
    drop(listener);
}

#[test]
fn a_command_runs_inside() {
    let netns = Netns::new().unwrap();
    let output = netns.command("readlink").arg("/proc/self/ns/net").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), format!("net:[{}]", inode(&netns)));
}

#[test]
fn a_panic_inside_reaches_the_caller() {
    let netns = Netns::new().unwrap();
    let result = std::panic::catch_unwind(|| netns.run(|| panic!("inside")));
    assert_eq!(result.unwrap_err().downcast_ref::<&str>(), Some(&"inside"));
}

#[test]
fn kill_all_finds_detached_processes_and_nobody_else() {
    let netns = Netns::new().unwrap();
    let mut outside = Command::new("sleep").arg("60").spawn().unwrap();
    let status = netns
        .command("sh")
        .args(["-c", "setsid sleep 60 >/dev/null 2>&1 &"])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(netns.kill_all(), 1);
    assert!(outside.try_wait().unwrap().is_none());
    outside.kill().unwrap();
    outside.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while netns.kill_all() > 0 {
        assert!(Instant::now() < deadline, "a killed process does not go away");
    }
}

#[test]
fn a_child_dies_with_the_thread_that_started_it() {
    let mut child = thread::spawn(|| {
        let mut command = Command::new("sleep");
        command.arg("60");
        die_with_parent(&mut command);
        command.spawn().unwrap()
    })
    .join()
    .unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_command_in_a_room_has_files_and_a_name_of_its_own_and_nobody_else_has() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    for (place, text) in [(&here, "ours"), (&there, "theirs")] {
        fs::create_dir(place).unwrap();
        fs::write(place.join("text"), text).unwrap();
    }
    let bind = Bind { from: there, to: here.clone() };
    let room = Room::new("rs1", std::slice::from_ref(&bind), &here).unwrap();
    let mut command = Netns::new().unwrap().command("sh");
    command.args(["-c", "cat text; cat /proc/sys/kernel/hostname"]);
    room.furnish(&mut command);
    assert_eq!(String::from_utf8(command.output().unwrap().stdout).unwrap(), "theirsrs1\n");
    assert_eq!(fs::read_to_string(here.join("text")).unwrap(), "ours");
    let missing = Bind { from: dir.path().join("nowhere"), to: here.clone() };
    let error = Room::new("rs1", &[missing], &here).unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("No such file"), "{error}");
}
