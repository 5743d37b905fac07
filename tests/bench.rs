//! `ulvs lab bench`: that what is chosen is measured and told. How fast anything is, is not tested.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{PATIENCE, binary, printed};
use lab::wait::wait_for;

fn bench(seconds: &str, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["lab", "bench", "--rounds", "1", "--seconds", seconds]).args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    bench("0.5", args).output().unwrap()
}

fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn two_contenders_are_measured_and_compared_in_a_table_for_programs_and_in_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("results");
    let workloads = "bulk1,requests64,half,connections,udp";
    let contenders = ["--contenders", "nft,ulvs-tun", "--methods", "nat,dr", "--workloads", workloads];
    let output = run(&[&contenders[..], &["--out", out.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", printed(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    let report = read(&out, "report.md");
    assert!(report.contains(&*said), "{said}");
    for text in [
        "- machine: Linux ",
        "- nft: nftables v",
        "- ulvs-tun: ulvs ",
        "- half load: ",
        "- others: ",
        "## Goals",
    ] {
        assert!(report.contains(text), "no {text:?} in {report}");
    }
    // Every table has its contenders, and ratios to the only one that others are compared with.
    assert_eq!(report.matches("| to nft |").count(), 5, "{report}");
    for row in ["| nft |", "| ulvs-tun nat |", "| ulvs-tun dr |"] {
        assert_eq!(report.matches(row).count(), 5, "{row} in {report}");
    }
    assert!(report.contains("| keep-alive requests, 64 connections, to nft | - | >= 1.20 | "), "{report}");

    let json: Value = serde_json::from_str(&read(&out, "report.json")).unwrap();
    let results = json["results"].as_array().unwrap();
    let names: Vec<_> = results.iter().map(|result| result["workload"].as_str().unwrap()).collect();
    assert_eq!(names.join(","), workloads);
    for result in results {
        for contender in result["contenders"].as_array().unwrap() {
            let rounds = contender["rounds"].as_array().unwrap();
            assert!(rounds.len() == 1 && rounds[0]["value"].as_f64().unwrap() > 0.0, "{contender}");
            assert!(rounds[0]["cpu_machine"].as_f64().unwrap() > 0.0, "{contender}");
            let nft = contender["contender"] == "nft";
            assert_eq!(rounds[0]["cpu_own"].as_f64().unwrap() > 0.0, !nft, "{contender}");
            assert!(contender["ratio_to"]["nft"][0].as_f64().unwrap() > 0.0, "{contender}");
        }
    }
    // All but the latency are drawn.
    let chart = read(&out, "chart.svg");
    assert_eq!(chart.matches("<rect class=\"ulvs-tun\"").count(), 2 * 4, "{chart}");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 3);
}

#[test]
fn many_idle_connections_are_behind_few_short_ones() {
    let output = run(&["--contenders", "ulvs-tun", "--methods", "fullnat", "--workloads", "crowd", "--json"]);
    assert!(output.status.success(), "{}", printed(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let round = &json["results"][0]["contenders"][0]["rounds"][0];
    // A busy machine loses packets.
    assert!((99_000..=100_000).contains(&round["idle"].as_u64().unwrap()), "{round}");
    assert!(round["report"]["connections"].as_u64().unwrap() > 10, "{round}");
}

#[test]
fn what_is_missing_is_said_before_anything_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    for (contender, package) in
        [("nft", "nftables"), ("haproxy2", "haproxy"), ("nginx", "nginx"), ("ipvs", "ipvsadm")]
    {
        let command =
            bench("0.5", &["--contenders", &format!("route,{contender}"), "--workloads", "requests1"]);
        // Nothing is there, and what root has is hidden by what is empty.
        let hide = "mount --bind \"$0\" /usr/sbin; exec \"$@\"";
        let program = command.get_program().to_owned();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut hidden = Command::new("unshare");
        hidden.args(["--mount", "sh", "-c", hide]).arg(dir.path()).args(["env", "PATH=/nowhere"]);
        let output = hidden.arg(program).args(args).stdin(Stdio::null()).output().unwrap();
        let said = printed(&output);
        assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
        assert!(said.contains(&format!("Debian package {package}")) && !said.contains("round 1"), "{said}");
    }
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    // Whoever was started in the background of a shell ignores SIGINT, and so do those whom it starts.
    let mut command = Command::new("env");
    let what = bench("60", &["--contenders", "haproxy2,ulvs-tun", "--workloads", "requests1"]);
    command.arg("--default-signal=INT").arg(what.get_program()).args(what.get_args()).stdin(Stdio::null());
    // Its processes are told from others by their environment; what it leaves in files would be here.
    let mark = format!("TMPDIR={}", dir.path().display());
    command.env("TMPDIR", dir.path()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let family = || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let marked = |pid: &std::path::PathBuf| {
            std::fs::read(pid.join("environ")).is_ok_and(|environ| {
                environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
            })
        };
        entries.map(|entry| entry.path()).filter(marked).count()
    };
    // Three of its own, and HAProxy.
    wait_for("haproxy", PATIENCE, || (family() >= 4).then_some(())).unwrap();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert!(!child.wait().unwrap().success());
    wait_for("all of them to end", PATIENCE, || (family() == 0).then_some(())).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
