//! Links that are narrower than their neighbours, on either side of the director. TCP sets DF on every packet, so a
//! transfer only goes through if the sender is told the path's MTU, by a packet that it recognizes.

use std::net::IpAddr;

use lab::addr::Family;
use lab::client::{self, Connection};
use lab::link::{End, veth};
use lab::node::Node;
use lab::serve::{Http, UdpEcho};
use lab::topo::{NatLab, NatOptions, VipPlace};
use nix::errno::Errno;

use crate::support::{Engine, udp};

/// The MTU of the narrow link.
const NARROW: u32 = 1300;
/// Bytes of a transfer.
const BYTES: u64 = 3 << 20;

/// Where the narrow link is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Narrow {
    /// Between the director and a router.
    BehindTheDirector,
    /// Between two routers.
    BehindARouter,
    /// Between the director and the client: the director's route to it has that MTU.
    BeforeTheDirector,
    /// Between two routers on the client's side.
    BeforeARouter,
}
use Narrow::{BeforeARouter, BeforeTheDirector, BehindARouter, BehindTheDirector};

macro_rules! rows {
    ($($name:ident: $row:ident($narrow:ident, $offload:literal, $vip:ident);)*) => {
        $(#[test] fn $name() { $row($narrow, $offload, VipPlace::$vip); })*
    };
}

rows! {
    transfers_behind_the_director_offload: transfers(BehindTheDirector, "on", Routed);
    transfers_behind_the_director_plain: transfers(BehindTheDirector, "off", Routed);
    transfers_behind_the_director_offload_vip_local: transfers(BehindTheDirector, "on", Loopback);
    transfers_behind_the_director_plain_vip_local: transfers(BehindTheDirector, "off", Loopback);
    transfers_behind_a_router_offload: transfers(BehindARouter, "on", Routed);
    transfers_behind_a_router_plain: transfers(BehindARouter, "off", Routed);
    transfers_behind_a_router_offload_vip_local: transfers(BehindARouter, "on", Loopback);
    transfers_behind_a_router_plain_vip_local: transfers(BehindARouter, "off", Loopback);
    transfers_before_the_director_offload: transfers(BeforeTheDirector, "on", Routed);
    transfers_before_the_director_plain: transfers(BeforeTheDirector, "off", Routed);
    transfers_before_the_director_offload_vip_local: transfers(BeforeTheDirector, "on", Loopback);
    transfers_before_the_director_plain_vip_local: transfers(BeforeTheDirector, "off", Loopback);
    transfers_before_a_router_offload: transfers(BeforeARouter, "on", Routed);
    transfers_before_a_router_plain: transfers(BeforeARouter, "off", Routed);
    transfers_before_a_router_offload_vip_local: transfers(BeforeARouter, "on", Loopback);
    transfers_before_a_router_plain_vip_local: transfers(BeforeARouter, "off", Loopback);
    datagrams_behind_the_director: datagrams(BehindTheDirector, "auto", Routed);
    datagrams_behind_the_director_vip_local: datagrams(BehindTheDirector, "auto", Loopback);
    datagrams_behind_a_router: datagrams(BehindARouter, "auto", Routed);
    datagrams_behind_a_router_vip_local: datagrams(BehindARouter, "auto", Loopback);
}

fn transfers(narrow: Narrow, offload: &str, vip: VipPlace) {
    let world = World::new(narrow, vip);
    let lab = &world.lab;
    let _http = Http::start(&lab.servers[0], 8080).unwrap();
    let engine = Engine::start(lab, &["--offload", offload]);
    for family in [Family::V4, Family::V6] {
        let vip = lab.vip.port(family, 80);
        engine.service("tcp", vip, "rr", &[(lab.server_port(0, family, 8080), 1)]);
        for attempt in 1..=2 {
            let what = |way: &str| format!("{family:?}, {way}, attempt {attempt}");
            client::upload(world.client(), vip, BYTES, |_| {})
                .unwrap_or_else(|error| panic!("{}: {error:#}", what("upload")));
            client::download(world.client(), vip, BYTES, |_| {})
                .unwrap_or_else(|error| panic!("{}: {error:#}", what("download")));
        }
    }
    let status = engine.status();
    assert_eq!(status.drops(), [].into());
    let supers = status.counter("super-packets");
    assert_eq!(supers > 0, offload == "on", "{supers} super-packets with offload {offload}");
}

/// The director has found out the path's MTU by packets of its own: it is its kernel that refuses longer ones now.
#[test]
fn transfers_when_the_director_knows_the_path() {
    let world = World::new(BehindARouter, VipPlace::Routed);
    let lab = &world.lab;
    let _http = Http::start(&lab.servers[0], 8080).unwrap();
    let engine = Engine::start(lab, &[]);
    for family in [Family::V4, Family::V6] {
        let (vip, dest) = (lab.vip.port(family, 80), lab.server_port(0, family, 8080));
        let own = udp::connected(&lab.director, dest);
        udp::show_errors(&own);
        own.send(&[7; 1400]).unwrap();
        assert_eq!(udp::next_error(&own).raw_os_error(), Some(Errno::EMSGSIZE as i32));
        engine.service("tcp", vip, "rr", &[(dest, 1)]);
        client::upload(&lab.client, vip, BYTES, |_| {}).unwrap();
        client::download(&lab.client, vip, BYTES, |_| {}).unwrap();
    }
    assert_eq!(engine.status().drops(), [].into());
}

/// The link gets narrower under connections that are open.
#[test]
fn transfers_when_a_link_becomes_narrow() {
    let lab = NatLab::new(&NatOptions { servers: 1, path: vec![1500], ..NatOptions::default() }).unwrap();
    let _http = Http::start(&lab.servers[0], 8080).unwrap();
    let engine = Engine::start(&lab, &[]);
    let mut open = [Family::V4, Family::V6].map(|family| {
        let (vip, dest) = (lab.vip.port(family, 80), lab.server_port(0, family, 8080));
        engine.service("tcp", vip, "rr", &[(dest, 1)]);
        let mut connection = Connection::open(&lab.client, vip).unwrap();
        connection.upload(BYTES, |_| {}).unwrap();
        connection.download(BYTES, |_| {}).unwrap();
        connection
    });
    lab.director.link_mtu("to-servers", NARROW).unwrap();
    lab.routers[0].link_mtu("to-director", NARROW).unwrap();
    for connection in &mut open {
        connection.upload(BYTES, |_| {}).unwrap();
        connection.download(BYTES, |_| {}).unwrap();
    }
    assert_eq!(engine.status().drops(), [].into());
}

/// A datagram that is too big comes back as EMSGSIZE, told by the VIP; one that fits goes through.
fn datagrams(narrow: Narrow, offload: &str, vip: VipPlace) {
    let world = World::new(narrow, vip);
    let lab = &world.lab;
    let engine = Engine::start(lab, &["--offload", offload]);
    for family in [Family::V4, Family::V6] {
        let (vip, dest) = (lab.vip.port(family, 80), lab.server_port(0, family, 8080));
        engine.service("udp", vip, "rr", &[(dest, 1)]);
        let server = udp::bound(&lab.servers[0], dest);
        let client = udp::connected(world.client(), vip);
        udp::show_errors(&client);
        let headers = if family == Family::V4 { 28 } else { 48 };
        let fits = NARROW as usize - headers;
        let bytes = vec![7; fits + 1];
        client.send(&bytes[..fits]).unwrap();
        assert_eq!(udp::receive(&server).0.len(), fits);
        client.send(&bytes).unwrap();
        let error = udp::next_error(&client);
        assert_eq!(error.raw_os_error(), Some(Errno::EMSGSIZE as i32), "{family:?}: {error}");
        assert_eq!(udp::told_by(&client), vip.ip());
        client.send(&bytes[..fits]).unwrap();
        assert_eq!(udp::receive(&server).0.len(), fits);
    }
}

struct World {
    lab: NatLab,
    /// A router behind the laboratory's client, and a client behind that.
    far: Option<[Node; 2]>,
}

impl World {
    fn new(narrow: Narrow, vip: VipPlace) -> Self {
        let path = match narrow {
            BehindTheDirector => vec![NARROW],
            BehindARouter => vec![1500, NARROW],
            BeforeTheDirector | BeforeARouter => vec![],
        };
        let lab = NatLab::new(&NatOptions { servers: 1, path, vip, ..NatOptions::default() }).unwrap();
        if narrow == BeforeTheDirector {
            for family in [Family::V4, Family::V6] {
                let (client, mtu) = (lab.client_addr.of(family).to_string(), NARROW.to_string());
                let route = ["ip", "route", "add", &client, "dev", "to-client", "mtu", &mtu];
                lab.director.exec(&route).unwrap();
            }
        }
        let far = (narrow == BeforeARouter).then(|| far_client(&lab));
        Self { lab, far }
    }

    fn client(&self) -> &Node {
        self.far.as_ref().map_or(&self.lab.client, |[_, client]| client)
    }
}

/// The laboratory's client becomes a router; behind it, by a narrow link, another one and the client.
fn far_client(lab: &NatLab) -> [Node; 2] {
    let [router, client] = ["router", "client"].map(|name| Node::new(name).unwrap());
    let (wide, near) = (1500, &lab.client);
    veth(End { node: near, name: "far", mtu: NARROW }, End { node: &router, name: "near", mtu: NARROW })
        .unwrap();
    veth(End { node: &router, name: "far", mtu: wide }, End { node: &client, name: "eth0", mtu: wide })
        .unwrap();
    for node in [near, &router] {
        node.sysctl("net.ipv4.ip_forward", "1").unwrap();
        node.sysctl("net.ipv6.conf.all.forwarding", "1").unwrap();
    }
    let address = |node: &Node, name: &str, addr: &str| node.addr_add(name, addr.parse().unwrap()).unwrap();
    let route = |node: &Node, to: &str, via: IpAddr| node.route_add(to.parse().unwrap(), via).unwrap();
    for (family, all, narrow, wide, prefix) in [
        (Family::V4, "0.0.0.0/0", "10.9.0.", "192.0.2.", 24),
        (Family::V6, "::/0", "2001:db8:c::", "2001:db8:d::", 64),
    ] {
        let at = |net: &str, host: u8| -> IpAddr { format!("{net}{host}").parse().unwrap() };
        let net = format!("{}/{prefix}", if family == Family::V4 { "192.0.2.0" } else { wide });
        address(near, "far", &format!("{narrow}1/{prefix}"));
        address(&router, "near", &format!("{narrow}2/{prefix}"));
        address(&router, "far", &format!("{wide}1/{prefix}"));
        address(&client, "eth0", &format!("{wide}10/{prefix}"));
        route(&client, all, at(wide, 1));
        route(&router, all, at(narrow, 1));
        route(near, &net, at(narrow, 2));
        route(&lab.director, &net, lab.client_addr.of(family));
    }
    for node in [near, &router, &client] {
        node.links_ready().unwrap();
    }
    [router, client]
}

/// Large frames all the way: the engine's device is as wide as the host's other links.
#[test]
fn large_datagrams_pass_where_all_links_are_wide() {
    const WIDE: u32 = 9000;
    let options = NatOptions { servers: 1, client_mtu: WIDE, server_mtu: WIDE, ..NatOptions::default() };
    let lab = NatLab::new(&options).unwrap();
    let _echo = UdpEcho::start(&lab.servers[0], 5353).unwrap();
    let engine = Engine::start(&lab, &[]);
    for family in [Family::V4, Family::V6] {
        let vip = lab.vip.port(family, 53);
        engine.service("udp", vip, "rr", &[(lab.server_port(0, family, 5353), 1)]);
        let socket = udp::connected(&lab.client, vip);
        let sent = vec![0x5A; 8000];
        socket.send(&sent).unwrap();
        assert!(udp::receive(&socket).0.ends_with(&sent), "{family:?}");
    }
    assert!(engine.status().drops().is_empty(), "{:?}", engine.status().drops());
    engine.stop();
}
