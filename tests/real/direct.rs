//! Direct routing: what `start` does to a server, that the server is then reached and stays unnoticed, and that `stop`
//! leaves nothing of it.

use std::process::Stdio;
use std::time::Duration;

use lab::addr::{Cidr, Family};
use lab::client;
use lab::node::Node;
use lab::serve::Http;
use lab::snapshot::Snapshot;
use lab::topo::{DirectLab, DirectOptions, VipPlace};

use super::host::{assert_untouched, done, real, state_dir, status};
use crate::scene::{FAMILIES, refused, with_mounts};
use crate::support::{binary, printed};

/// How long an answer that must not come is waited for.
const SILENCE: Duration = Duration::from_millis(200);

/// A server as machines come, with a strict reverse path filter, on a link with everybody who asks for the VIP.
fn laboratory() -> DirectLab {
    let options = DirectOptions {
        vip: VipPlace::Subnet,
        vip_on_servers: false,
        servers: 1,
        ..DirectOptions::default()
    };
    let lab = DirectLab::new(&options).unwrap();
    for name in ["all", "eth0"] {
        lab.servers[0].sysctl(&format!("net.ipv4.conf.{name}.rp_filter"), "1").unwrap();
    }
    lab
}

/// What a director does: sends packets for the VIP to the server, which answers the client itself.
fn is_reached(lab: &DirectLab) {
    let _server = Http::start(&lab.servers[0], 80).unwrap();
    for family in FAMILIES {
        let vip = lab.vip.of(family);
        let asked = client::ping(&lab.edges[0], vip, 8, SILENCE);
        assert!(asked.is_err(), "the server has told its link that it has {vip}");
        let prefix = if family == Family::V4 { 32 } else { 128 };
        let route = Cidr { addr: vip, prefix };
        lab.edges[0].route_add(route, lab.server_addrs[0].of(family)).unwrap();
        let reply = client::get(&lab.client, lab.vip.port(family, 80), "/").unwrap();
        assert_eq!(reply.body, "server1\n");
        client::download(&lab.client, lab.vip.port(family, 80), 1_000_000, |_| ()).unwrap();
    }
}

/// Addresses of the neighbours that the edge knows for the VIP and the server.
fn learnt_by_edge(lab: &DirectLab) -> String {
    lab.edges[0].exec(&["ip", "neigh"]).unwrap()
}

#[test]
fn a_server_has_the_vip_unnoticed_and_is_as_before_in_the_end() {
    let lab = laboratory();
    let before = Snapshot::take(&lab.servers[0]).unwrap();
    let (v4, v6) = (lab.vip.v4, lab.vip.v6);
    assert_eq!(
        done(&lab, &format!("start --vip {v4} {v6}")),
        [
            "net.ipv4.conf.all.arp_ignore 0 -> 1".to_owned(),
            "net.ipv4.conf.all.arp_announce 0 -> 2".to_owned(),
            "net.ipv4.conf.eth0.rp_filter 1 -> 2".to_owned(),
            format!("{v4}/32 added to lo"),
            format!("{v6}/128 added to lo"),
        ]
    );
    is_reached(&lab);
    // An answer from the VIP makes the server ask for its gateway: not in the VIP's name.
    let neighbours = learnt_by_edge(&lab);
    assert!(
        !neighbours.lines().any(|l| l.starts_with(&format!("{v4} ")) && l.contains("lladdr")),
        "{neighbours}"
    );
    // It never begins anything from there.
    for target in [lab.client_addr.v4, lab.client_addr.v6] {
        let way = lab.servers[0].exec(&["ip", "route", "get", &target.to_string()]).unwrap();
        assert!(!way.contains(&format!("src {v4} ")) && !way.contains(&format!("src {v6} ")), "{way}");
    }
    assert_eq!(done(&lab, &format!("start --vip {v4},{v6}")), ["nothing had to be changed"]);
    let undone = done(&lab, "stop");
    assert_eq!(undone.len(), 5, "{undone:?}");
    assert!(undone.contains(&"net.ipv4.conf.eth0.rp_filter 2 -> 1".to_owned()), "{undone:?}");
    assert_untouched(&lab, &before);
    assert_eq!(done(&lab, "stop"), ["nothing had to be put back"]);
}

#[test]
fn addresses_come_and_go_one_by_one() {
    let lab = laboratory();
    let before = Snapshot::take(&lab.servers[0]).unwrap();
    let status = || {
        let (code, json) = status(&lab);
        (code, json["vips"].as_array().unwrap().len(), json["lost"].as_array().unwrap().len())
    };
    assert_eq!(status(), (Some(3), 0, 0));
    done(&lab, "start --vip 203.0.113.7 --vip 2001:db8::7");
    assert_eq!(done(&lab, "start --vip 203.0.113.8"), ["203.0.113.8/32 added to lo"]);
    assert_eq!(status(), (Some(0), 3, 0));
    assert_eq!(done(&lab, "stop --vip 203.0.113.7"), ["203.0.113.7/32 removed from lo"]);
    let undone = done(&lab, "stop --vip 203.0.113.8");
    assert_eq!(undone.len(), 4, "IPv6 needs no settings: {undone:?}");
    assert_eq!(status(), (Some(0), 1, 0));
    done(&lab, "start --vip 203.0.113.8");
    done(&lab, "stop --vip 2001:db8::7 203.0.113.8");
    assert_untouched(&lab, &before);
}

#[test]
fn what_others_do_is_theirs() {
    let lab = laboratory();
    let server = &lab.servers[0];
    // What is right already stays.
    server.sysctl("net.ipv4.conf.all.arp_ignore", "2").unwrap();
    server.exec(&["ip", "address", "add", "203.0.113.7/32", "dev", "lo"]).unwrap();
    let before = Snapshot::take(server).unwrap();
    done(&lab, "start --vip 203.0.113.7 203.0.113.8 2001:db8::8");
    done(&lab, "stop");
    assert_untouched(&lab, &before);
    // What is lost is told, and got back.
    done(&lab, "start --vip 203.0.113.8 2001:db8::8");
    server.sysctl("net.ipv4.conf.all.arp_announce", "0").unwrap();
    server.exec(&["ip", "address", "del", "2001:db8::8/128", "dev", "lo"]).unwrap();
    let told = real(&lab, "status");
    let text = printed(&told);
    assert_eq!(told.status.code(), Some(1), "{text}");
    for part in ["2001:db8::8 is no longer on lo", "net.ipv4.conf.eth0.arp_announce is 0, not 2"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert_eq!(
        done(&lab, "start --vip 203.0.113.8 2001:db8::8"),
        ["net.ipv4.conf.all.arp_announce 0 -> 2", "2001:db8::8/128 added to lo"]
    );
    assert!(real(&lab, "status").status.success());
    // What somebody has set since stays as it is.
    server.sysctl("net.ipv4.conf.all.arp_announce", "1").unwrap();
    done(&lab, "stop");
    assert_eq!(server.sysctl_read("net.ipv4.conf.all.arp_announce").unwrap(), "1");
    server.sysctl("net.ipv4.conf.all.arp_announce", "0").unwrap();
    assert_untouched(&lab, &before);
}

/// As in a container: nothing can be written to `/proc/sys`, and netlink has words for single devices only.
#[test]
fn settings_that_have_no_file_are_made_device_by_device() {
    let lab = laboratory();
    let before = Snapshot::take(&lab.servers[0]).unwrap();
    let (ulvs, state) = (binary(), state_dir(&lab));
    let run = |line: &str| {
        let argv = [ulvs.to_str().unwrap(), "real"].into_iter().chain(line.split(' '));
        let argv: Vec<_> = argv.chain(["--state-dir", state.to_str().unwrap()]).collect();
        let script = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys";
        let output = with_mounts(&lab.servers[0], script, &argv).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", printed(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let told = run(&format!("start --vip {} {}", lab.vip.v4, lab.vip.v6));
    assert!(told.contains("net.ipv4.conf.eth0.arp_ignore 0 -> 1"), "{told}");
    assert!(real(&lab, "status").status.success());
    is_reached(&lab);
    run("stop");
    assert_untouched(&lab, &before);
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_changed() {
    let lab = laboratory();
    let server: &Node = &lab.servers[0];
    let before = Snapshot::take(server).unwrap();
    let own = lab.server_addrs[0].v4.to_string();
    for (line, words) in [
        (format!("start --vip 203.0.113.9 {own}"), vec![own.as_str(), "eth0", "ip address del"]),
        ("start --vip 203.0.113.9 --dev nowhere".to_owned(), vec!["nowhere", "ip link"]),
        ("start --vip 224.0.0.1".to_owned(), vec!["224.0.0.1", "cannot be a VIP"]),
        ("stop --vip 203.0.113.9".to_owned(), vec!["203.0.113.9", "ulvs real status"]),
    ] {
        let mut command = server.command(binary());
        command.arg("real").args(line.split(' ')).arg("--state-dir").arg(state_dir(&lab));
        let text = refused(command);
        words.iter().for_each(|word| assert!(text.contains(word), "{line}: no {word:?} in {text}"));
        assert_untouched(&lab, &before);
    }
    // An address that the kernel refuses comes last: what was done before it is undone.
    server.sysctl("net.ipv6.conf.lo.disable_ipv6", "1").unwrap();
    let off = Snapshot::take(server).unwrap();
    let output = real(&lab, "start --vip 203.0.113.9 2001:db8::9");
    let text = printed(&output);
    assert!(!output.status.success() && text.contains("disable_ipv6"), "{text}");
    assert_untouched(&lab, &off);
}
