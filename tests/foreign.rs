//! Configurations of keepalived and ldirectord, read as they are.

use lab::addr::Family;
use lab::serve::Http;
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;

use crate::support::{Engine, PATIENCE, printed, ulvs};

#[test]
fn keepalived_conf_runs_and_a_dead_server_leaves_the_table() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let path = lab.state_dir().join("keepalived.conf");
    let vip = lab.vip.port(Family::V4, 80);
    let servers = [0, 1].map(|index| lab.server_port(index, Family::V4, 80));
    let write = |scheduler: &str, more: &str| {
        let real = |n: usize| {
            let (ip, port) = (servers[n].ip(), servers[n].port());
            format!("real_server {ip} {port} {{\nweight {}\n$CHECK\n}}\n", n + 1)
        };
        let text = format!(
            "$CHECK= \\\nHTTP_GET {{ \\\nurl {{ \\\npath / \\\nstatus_code 200 \\\n}} \\\n}}\n\
             virtual_server {} {} {{\nprotocol TCP\nlvs_sched {scheduler}\ndelay_loop 0.2\n\
             delay_before_retry 0.1\nwarmup 0\n{more}\n{}{}}}\nvrrp_instance VI_1 {{\n}}\n",
            vip.ip(),
            vip.port(),
            real(0),
            real(1),
        );
        std::fs::write(&path, text).unwrap();
    };
    let start = |index: usize| Http::start(&lab.servers[index], 80).unwrap();
    let (_steady, other) = (start(0), start(1));
    write("wrr", "persistence_timeout 30");
    let file = path.to_str().unwrap();
    let engine = Engine::start(&lab, &["--keepalived", file, "--workers", "1"]);
    let listing = || engine.ulvs("ipvsadm -Ln");
    assert!(listing().contains(&format!("TCP  {vip} wrr persistent 30")), "{}", listing());
    let listed = |server: usize| listing().contains(&servers[server].to_string());
    assert!(listed(0) && listed(1), "{}", listing());
    let status = engine.ulvs("status");
    assert!(
        status.contains(&format!("1 not handled, 1 changed; `ulvs check --keepalived {file}` lists them")),
        "{status}"
    );
    let checked = engine.ulvs(&format!("check --keepalived {file}"));
    assert!(checked.contains("`vrrp_instance VI_1` is about VRRP"), "{checked}");

    drop(other);
    wait_for("the dead server to leave", PATIENCE, || (!listed(1)).then_some(())).unwrap();
    assert!(listed(0), "{}", listing());

    // What is read again changes what is different: the dead server stays dead meanwhile.
    write("rr", "persistence_timeout 30");
    let changes = engine.ulvs("reload");
    assert_eq!(changes.lines().count(), 1, "{changes}");
    assert!(listing().contains(&format!("TCP  {vip} rr persistent 30")) && !listed(1), "{}", listing());
    let _other = start(1);
    wait_for("the server to come back", PATIENCE, || listed(1).then_some(())).unwrap();

    // Each mistake is said, even if there are as many as before.
    for word in ["bogus", "another"] {
        write("rr", word);
        engine.ulvs("reload");
        let said = || engine.log().contains(&format!("there is no keyword `{word}`")).then_some(());
        wait_for(word, PATIENCE, said).unwrap();
    }

    write("rrr", "");
    let refused = engine.try_ulvs("reload");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("keepalived.conf:10:11: there is no scheduler `rrr`"), "{said}");
    assert!(listed(0) && listed(1), "{}", listing());
}

#[test]
fn ldirectord_cf_is_printed_as_a_file_of_our_own() {
    let lab = NatLab::new(&NatOptions::default()).unwrap();
    let (foreign, ours) = (lab.state_dir().join("ldirectord.cf"), lab.state_dir().join("ulvs.toml"));
    let text = "quiescent = yes\nautoreload = yes\nvirtual = 10.0.0.1:80\n\treal = 10.1.0.1:80 masq 3\n\
                \tchecktype = connect\n";
    std::fs::write(&foreign, text).unwrap();
    let foreign = foreign.to_str().unwrap();
    let output = ulvs(&lab.director, &["import", "ldirectord", foreign]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("ldirectord.cf:2:1: not handled: the file is not watched"), "{said}");
    let packet = ["--from", "10.9.0.1:40000", "--to", "10.0.0.1:80"];
    let explain = [&["explain", "--ldirectord", foreign], &packet[..]].concat();
    let explained = printed(&ulvs(&lab.director, &explain));
    assert!(explained.contains("service   TCP 10.0.0.1:80"), "{explained}");
    let looked = printed(&ulvs(&lab.director, &["doctor", "--passive", "--ldirectord", foreign]));
    assert!(looked.contains("ldirectord.cf, 1 service, 1 server"), "{looked}");
    std::fs::write(&ours, &output.stdout).unwrap();
    let checked = printed(&ulvs(&lab.director, &["check", ours.to_str().unwrap()]));
    assert!(checked.contains("good: 1 service, 1 server"), "{checked}");
    let strict = ulvs(&lab.director, &["import", "ldirectord", "--strict", foreign]);
    assert_eq!(strict.status.code(), Some(1));
}
