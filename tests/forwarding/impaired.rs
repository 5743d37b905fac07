//! Networks that lose and mark packets: what TCP does about it passes the director both ways.

use lab::addr::Family;
use lab::client;
use lab::serve::Http;
use lab::topo::{NatLab, NatOptions};

use crate::support::Engine;

/// Bytes of a transfer.
const BYTES: u64 = 8 << 20;

#[test]
fn transfers_survive_loss() {
    for offload in ["on", "off"] {
        let lab = lab("numgen inc mod 50 == 7 drop");
        transfers(&lab, offload);
    }
}

/// A sender that was told of congestion says so in its next segment, which may be the first of a super-packet.
#[test]
fn transfers_survive_congestion_marks() {
    for offload in ["on", "off"] {
        let lab = lab(
            "ip ecn ect0 numgen inc mod 40 == 7 ip ecn set ce; ip6 ecn ect0 numgen inc mod 40 == 7 ip6 ecn set ce",
        );
        let senders = [&lab.client, &lab.servers[0]];
        for sender in senders {
            sender.sysctl("net.ipv4.tcp_ecn", "1").unwrap();
        }
        transfers(&lab, offload);
        for sender in senders {
            let told = tcp_counter(sender, "TCPDeliveredCE");
            assert!(told > 10, "{sender} was told of congestion {told} times");
        }
    }
}

/// The router behind the director does this to what passes it.
fn lab(rules: &str) -> NatLab {
    let options = NatOptions { servers: 1, path: vec![1500], ..NatOptions::default() };
    let lab = NatLab::new(&options).unwrap();
    let chain =
        format!("table inet impair {{ chain c {{ type filter hook forward priority 0; {rules}\n}}\n}}\n");
    lab.routers[0].exec(&["nft", &chain]).unwrap();
    lab
}

fn transfers(lab: &NatLab, offload: &str) {
    let _http = Http::start(&lab.servers[0], 80).unwrap();
    let engine = Engine::start(lab, &["--offload", offload]);
    for family in [Family::V4, Family::V6] {
        let vip = lab.vip.port(family, 80);
        engine.service("tcp", vip, "rr", &[(lab.server_port(0, family, 80), 1)]);
        client::download(&lab.client, vip, BYTES, |_| {}).unwrap();
        client::upload(&lab.client, vip, BYTES, |_| {}).unwrap();
    }
    let status = engine.status();
    assert_eq!(status.drops(), [].into());
    assert_eq!(status.counter("super-packets") > 0, offload == "on");
}

/// A counter of `/proc/net/netstat`, where a line of names comes before each line of numbers.
fn tcp_counter(node: &lab::node::Node, name: &str) -> u64 {
    let text = node.exec(&["cat", "/proc/net/netstat"]).unwrap();
    let words =
        |line: Option<&str>| line.unwrap_or_default().split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, numbers) = (words(lines.next()), words(lines.next()));
    let at = names.iter().position(|word| word == name).unwrap_or_else(|| panic!("no counter {name}"));
    numbers[at].parse().unwrap()
}
