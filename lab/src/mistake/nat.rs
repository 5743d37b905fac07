//! NAT: ways back, servers, weights, and what else is between the director and its servers.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use super::patient::{Patient, Topology};
use super::{Mistake, Setting};
use crate::addr::Family;
use crate::link::{self, End};
use crate::node::Node;
use crate::topo::{NatLab, NatOptions, VipPlace};

const NEIGHBOUR: &str = "10.0.0.250";

pub(super) const ALL: &[Mistake] = &[
    Mistake {
        name: "other-gateway",
        check: "way-back",
        story: "a server's default route leads to another machine than the director",
        build: nat,
        make: |patient| patient.on(patient.server(0), "ip route replace default via 10.0.0.12"),
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "no-gateway",
        check: "way-back",
        story: "a server has no default route: it answers its neighbours, and nobody else",
        build: nat,
        make: |patient| patient.on(patient.server(1), "ip route del default"),
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "no-gateway-6",
        check: "way-back",
        story: "the same over IPv6",
        build: |setting| {
            let mut patient = without_engine(setting, VipPlace::Routed)?;
            patient.family = Family::V6;
            patient.serve("-m")
        },
        make: |patient| patient.on(patient.server(1), "ip -6 route del default"),
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "same-link",
        check: "same-link",
        story: "clients on the servers' own link ask for the VIP, and help for them was turned off",
        build: |setting| {
            let mut patient = nat(setting)?;
            let neighbour = neighbour(&patient)?;
            patient.more.push((NEIGHBOUR.parse()?, neighbour));
            patient.client = Some(0);
            Ok(patient)
        },
        make: |patient| {
            patient.ulvs("sysctl ulvs.hairpin=0")?;
            // The engine has connections of it, which wait.
            let target = SocketAddr::new(patient.vip(), 80);
            patient.client_node().run(|| {
                (0..2).for_each(|_| {
                    let _ = TcpStream::connect_timeout(&target, Duration::from_millis(300));
                });
            })
        },
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "refused",
        check: "servers",
        story: "the program on a server has ended",
        build: nat,
        make: |patient| {
            patient.end_first_server();
            Ok(())
        },
        noticed: true,
        by_hand: Some(Patient::start_first_server),
    },
    Mistake {
        name: "unplugged",
        check: "servers",
        story: "a server is unplugged",
        build: nat,
        make: |patient| {
            patient.server(0).link_down("eth0")?;
            patient.on(patient.director(), "ip neigh flush all")
        },
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "firewalled",
        check: "servers",
        story: "a server's firewall drops what comes for its port",
        build: nat,
        make: |patient| {
            let line = "nft add table inet fw && nft add chain inet fw in '{ type filter hook input priority 0; }' && nft add \
                        rule inet fw in tcp dport 80 drop";
            patient.on(patient.server(0), line)
        },
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "weight-0",
        check: "weights",
        story: "all servers were drained, and nobody has given them their weight again",
        build: nat,
        make: |patient| {
            let vip = patient.vip();
            patient.server_addrs().iter().try_for_each(|server| {
                patient.ulvs(&format!("ipvsadm -e -t {vip}:80 -r {}:80 -m -w 0", server.v4))
            })
        },
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "no-servers",
        check: "weights",
        story: "a service has no server",
        build: nat,
        make: |patient| {
            let vip = patient.vip();
            patient
                .server_addrs()
                .iter()
                .try_for_each(|server| patient.ulvs(&format!("ipvsadm -d -t {vip}:80 -r {}:80", server.v4)))
        },
        noticed: true,
        by_hand: Some(|patient| {
            let vip = patient.vip();
            patient.server_addrs().iter().try_for_each(|server| {
                patient.ulvs(&format!("ipvsadm -a -t {vip}:80 -r {}:80 -m", server.v4))
            })
        }),
    },
    Mistake {
        name: "narrow-server",
        check: "mtu",
        story: "a server's interface takes smaller packets than its neighbours send",
        build: nat,
        make: |patient| patient.server(1).link_mtu("eth0", 1300),
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "wrong-neighbour",
        check: "neighbours",
        story: "a permanent neighbour entry is left from a server's old network card",
        build: nat,
        make: |patient| {
            patient.on(
                patient.director(),
                "ip neigh replace 10.0.0.11 lladdr 02:00:00:00:00:99 dev to-servers nud permanent",
            )
        },
        noticed: true,
        by_hand: None,
    },
    Mistake {
        name: "proxy-arp",
        check: "neighbours",
        story: "proxy_arp is on where the VIP is",
        build: interface,
        make: |patient| patient.on(patient.director(), "sysctl -w net.ipv4.conf.to-client.proxy_arp=1"),
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "mark-unset",
        check: "marks",
        story: "a service is made of a mark that no rule sets",
        build: nat,
        make: |patient| {
            patient.ulvs("ipvsadm -A -f 3 -s rr")?;
            patient.ulvs("ipvsadm -a -f 3 -r 10.0.0.11 -m")
        },
        noticed: false,
        by_hand: None,
    },
    Mistake {
        name: "mark-unused",
        check: "marks",
        story: "a rule sets a mark that no service is made of",
        build: nat,
        make: |patient| patient.ulvs("mark add 7 --dest 203.0.113.1 --proto tcp --ports 8080"),
        noticed: false,
        by_hand: None,
    },
];

pub(super) fn nat(setting: &Setting) -> anyhow::Result<Patient> {
    placed(setting, VipPlace::Routed)
}

/// The VIP is an address of the director's interface.
pub(super) fn interface(setting: &Setting) -> anyhow::Result<Patient> {
    placed(setting, VipPlace::Interface)
}

fn placed(setting: &Setting, vip: VipPlace) -> anyhow::Result<Patient> {
    without_engine(setting, vip)?.serve("-m")
}

pub(super) fn without_engine(setting: &Setting, vip: VipPlace) -> anyhow::Result<Patient> {
    let state_root = setting.state_root.clone();
    let lab = NatLab::new(&NatOptions { vip, state_root, ..NatOptions::default() })?;
    Patient::new(Topology::Nat(lab), setting)
}

/// A host on the servers' link, whose gateway is the director.
fn neighbour(patient: &Patient) -> anyhow::Result<Node> {
    let node = Node::new("neighbour")?;
    let (switch, mtu) = (patient.switch()?, 1500);
    link::veth(End { node: &node, name: "eth0", mtu }, End { node: switch, name: "port-more", mtu })?;
    switch.bridge_port("br0", "port-more")?;
    node.addr_add("eth0", format!("{NEIGHBOUR}/24").parse()?)?;
    let gateway: IpAddr = "10.0.0.1".parse()?;
    node.route_add("0.0.0.0/0".parse()?, gateway).context("the neighbour's gateway")?;
    node.links_ready()?;
    Ok(node)
}
