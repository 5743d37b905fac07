//! Direct routing and tunnels: who has the VIP, and who says so.

use std::time::Duration;

use super::patient::{Patient, Topology};
use super::{Mistake, Setting};
use crate::addr::Family;
use crate::client;
use crate::link::{self, End};
use crate::node::Node;
use crate::serve::Http;
use crate::topo::{DirectLab, DirectOptions, VipPlace};

/// A host on the director's link.
const OTHER: &str = "10.0.0.77";

pub(super) const ALL: &[Mistake] = &[
    Mistake {
        name: "vip-missing",
        check: "server-vip",
        story: "a server behind direct routing does not have the VIP",
        build: direct,
        make: |patient| patient.on(patient.server(0), &format!("ip address del {}/32 dev lo", patient.vip())),
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "vip-missing-6",
        check: "server-vip",
        story: "the same over IPv6",
        build: |setting| {
            let mut patient = on_one_link(setting)?;
            patient.family = Family::V6;
            patient.serve("-g")
        },
        make: |patient| {
            patient.on(patient.server(0), &format!("ip address del {}/128 dev lo", patient.vip()))
        },
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "arp-ignore",
        check: "server-arp",
        story: "a server has the VIP, and tells its link so",
        build: direct,
        make: |patient| patient.on(patient.server(0), "sysctl -w net.ipv4.conf.all.arp_ignore=0"),
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "duplicate-vip",
        check: "duplicate-vip",
        story: "another host has the VIP too",
        build: |setting| {
            let mut patient = direct(setting)?;
            let other = other(&patient)?;
            patient.more.push((OTHER.parse()?, other));
            Ok(patient)
        },
        make: |patient| {
            let vip = patient.vip();
            patient.more[0].1.addr_add("eth0", format!("{vip}/24").parse()?)?;
            // The director knows it, as it knows the machines that it speaks with.
            client::ping(patient.director(), OTHER.parse()?, 8, Duration::from_secs(3)).map(drop)
        },
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "ftp",
        check: "persistence",
        story: "FTP behind direct routing has no persistence",
        build: |setting| {
            let mut patient = direct(setting)?;
            let ftp: Vec<_> = patient
                .server_nodes()
                .iter()
                .map(|node| Http::start(node, 21))
                .collect::<anyhow::Result<_>>()?;
            patient.servers.extend(ftp);
            Ok(patient)
        },
        make: |patient| {
            let vip = patient.vip();
            patient.ulvs(&format!("ipvsadm -A -t {vip}:21 -s rr"))?;
            patient.ulvs(&format!("ipvsadm -a -t {vip}:21 -r 10.0.0.11:21 -g"))
        },
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "answers-end",
        check: "way-back",
        story: "servers behind direct routing have the director for their gateway, and it is no router",
        build: |setting| {
            let patient = on_one_link(setting)?;
            patient.on(patient.director(), "sysctl -w net.ipv4.ip_forward=0")?;
            patient.serve("-g")
        },
        make: |patient| {
            let director = "ip route replace default via 10.0.0.2";
            patient.server_nodes().iter().try_for_each(|server| patient.on(server, director))
        },
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "no-tunnel",
        check: "server-vip",
        story: "nobody takes packets out of the tunnel at a server",
        build: tunnel,
        make: |patient| patient.on(patient.server(0), "ulvs real stop"),
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "tunnel-mss",
        check: "mtu",
        story: "clients behind a tunnel are not told to send smaller segments",
        build: |setting| {
            let patient = tunnel(setting)?;
            patient.ulvs(&format!("ipvsadm -E -t {}:80 -s rr --mss auto", patient.vip()))?;
            Ok(patient)
        },
        make: |patient| patient.ulvs(&format!("ipvsadm -E -t {}:80 -s rr", patient.vip())),
        noticed: false,
        by_hand: None,
    },
];

/// Servers with the VIP on the director's link, who keep silent about it.
pub(super) fn direct(setting: &Setting) -> anyhow::Result<Patient> {
    on_one_link(setting)?.serve("-g")
}

fn on_one_link(setting: &Setting) -> anyhow::Result<Patient> {
    let state_root = setting.state_root.clone();
    let lab =
        DirectLab::new(&DirectOptions { vip: VipPlace::Subnet, state_root, ..DirectOptions::default() })?;
    Patient::new(Topology::Direct(lab), setting)
}

/// Servers behind a router.
pub(super) fn tunnel(setting: &Setting) -> anyhow::Result<Patient> {
    let lab = DirectLab::new(&DirectOptions {
        server_path: vec![1500],
        vip_on_servers: false,
        state_root: setting.state_root.clone(),
        ..DirectOptions::default()
    })?;
    let patient = Patient::new(Topology::Direct(lab), setting)?;
    let start = format!("ulvs real start --method tun --vip {}", patient.vip());
    patient.server_nodes().iter().try_for_each(|server| patient.on(server, &start))?;
    patient.serve("-i")
}

fn other(patient: &Patient) -> anyhow::Result<Node> {
    let node = Node::new("other")?;
    let (switch, mtu) = (patient.switch()?, 1500);
    link::veth(End { node: &node, name: "eth0", mtu }, End { node: switch, name: "other", mtu })?;
    switch.bridge_port("br0", "other")?;
    node.addr_add("eth0", format!("{OTHER}/24").parse()?)?;
    node.links_ready()?;
    Ok(node)
}
