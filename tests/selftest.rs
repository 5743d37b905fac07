//! Scripts that expect a kernel with IPVS, where nobody starts an engine: the first `ipvsadm` does, and the engine ends with
//! its namespace.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lab::addr::Family;
use lab::topo::{NatLab, NatOptions};

use crate::support::{Engine, binary, printed};

/// The phases of the kernel's own test of IPVS, with nothing but `ulvs` on PATH: see `selftest/phases.sh`.
#[test]
fn dr_nat_and_tunnel_with_ipvsadm_alone() {
    let programs = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(binary(), programs.path().join("ulvs")).unwrap();
    let selftest = Path::new(env!("CARGO_MANIFEST_DIR")).join("selftest");
    let mut path = OsString::from(programs.path());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let output = Command::new(selftest.join("phases.sh")).env("PATH", path).output().unwrap();
    let text = printed(&output);
    assert!(output.status.success() && text.ends_with("phases: PASS\n"), "{text}");
}

fn ipvsadm(lab: &NatLab, autostart: Option<&str>, line: &str) -> Output {
    let mut command = lab.director.command(binary());
    command.arg("ipvsadm").args(line.split(' ')).stdin(Stdio::null());
    match autostart {
        Some(value) => command.env("ULVS_AUTOSTART", value),
        None => command.env_remove("ULVS_AUTOSTART"),
    };
    command.output().unwrap()
}

#[test]
fn an_engine_is_started_only_where_that_is_wanted_and_there_is_none() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    // Somebody for whom it stays.
    let _somebody = lab.director.spawn(lab.director.command("sleep").arg("600")).unwrap();
    let vip = lab.vip.port(Family::V4, 80);
    for autostart in [None, Some(""), Some("0")] {
        let output = ipvsadm(&lab, autostart, &format!("-A -t {vip}"));
        assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
        assert!(printed(&output).contains("no engine is running in this network namespace"));
    }
    // What needs no engine starts none.
    assert!(ipvsadm(&lab, Some("1"), "-v").status.success());
    assert!(!ipvsadm(&lab, None, "-Ln").status.success());

    // Of many at once one starts it, and all reach it.
    std::thread::scope(|scope| {
        for port in 1..=6 {
            let (lab, vip) = (&lab, lab.vip.port(Family::V4, port));
            scope.spawn(move || {
                let output = ipvsadm(lab, Some("1"), &format!("-A -t {vip}"));
                assert!(output.status.success(), "{}", printed(&output));
            });
        }
    });
    let engine = Engine::attach(&lab.director, lab.state_dir().join("ulvs.log"));
    let status = engine.status();
    assert_eq!(status.services, 6);
    // One that is there already serves.
    assert!(ipvsadm(&lab, Some("1"), &format!("-A -u {vip}")).status.success());
    assert_eq!((engine.status().pid, engine.status().services), (status.pid, 7));
    engine.stop();
}

#[test]
fn why_none_can_be_started_is_told() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    // The name of its device is taken.
    lab.director.exec(&["ip", "link", "add", "ulvs0", "type", "bridge"]).unwrap();
    let output = ipvsadm(&lab, Some("1"), "-Ln");
    let text = printed(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("no engine could be started") && text.contains("ulvs0"), "{text}");
}
