//! Client and director on one network, the VIP in it, and nobody knows anybody's hardware address yet: the first packet
//! gets through at once, not the second one after a timeout.

use std::time::Duration;

use lab::addr::Family;
use lab::client;
use lab::serve::{Http, UdpEcho};
use lab::topo::{NatLab, NatOptions, VipPlace};
use lab::wait::wait_for;

use crate::support::{Engine, PATIENCE};

/// Below the first retransmission of a SYN and of a neighbour solicitation (1 s each), and below the kernel's own
/// delay of proxy answers (up to 0.8 s).
const AT_ONCE: Duration = Duration::from_millis(700);

#[test]
fn ipv4_vip_on_the_interface() {
    first_packets(Family::V4, VipPlace::Interface);
}

#[test]
fn ipv4_vip_is_nobodys_in_the_subnet() {
    first_packets(Family::V4, VipPlace::Subnet);
}

#[test]
fn ipv6_vip_on_the_interface() {
    first_packets(Family::V6, VipPlace::Interface);
}

#[test]
fn ipv6_vip_is_nobodys_in_the_subnet() {
    first_packets(Family::V6, VipPlace::Subnet);
}

fn first_packets(family: Family, vip: VipPlace) {
    let lab = NatLab::new(&NatOptions { servers: 1, vip, ..NatOptions::default() }).unwrap();
    let _http = Http::start(&lab.servers[0], 80).unwrap();
    let _udp = UdpEcho::start(&lab.servers[0], 80).unwrap();
    let engine = Engine::start(&lab, &[]);
    let vip = lab.vip.port(family, 80);
    for proto in ["tcp", "udp"] {
        engine.service(proto, vip, "rr", &[(lab.server_port(0, family, 80), 1)]);
    }
    for round in 1..=3 {
        forget_neighbours(&lab);
        let took = client::get(&lab.client, vip, "/").unwrap().elapsed;
        assert!(took < AT_ONCE, "TCP took {took:?} in round {round}");
        forget_neighbours(&lab);
        client::ping(&lab.client, vip.ip(), 56, AT_ONCE).unwrap();
        forget_neighbours(&lab);
        client::udp_exchange(&lab.client, vip, b"hello", AT_ONCE).unwrap();
    }
    assert_eq!(engine.status().drops(), [].into());
}

/// The end of the exchange before may still be on its way, and teach what has just been forgotten.
fn forget_neighbours(lab: &NatLab) {
    let nodes = [&lab.client, &lab.director, &lab.servers[0]];
    let all_forgotten = || {
        nodes.iter().for_each(|node| drop(node.exec(&["ip", "neigh", "flush", "all"]).unwrap()));
        let known = nodes.map(|node| node.exec(&["ip", "neigh", "show"]).unwrap());
        (!known.concat().contains("lladdr")).then_some(())
    };
    wait_for("nobody to know anybody", PATIENCE, all_forgotten).unwrap();
}
