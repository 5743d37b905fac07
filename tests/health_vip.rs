//! Checks by the VIP: they reach a server as clients do, and so find what a question to its own address does not.

use std::time::Duration;

use lab::addr::{Cidr, Family};
use lab::client;
use lab::node::Node;
use lab::serve::Http;
use lab::topo::{DirectLab, DirectOptions, VipPlace};
use lab::wait::wait_for;

use crate::scene::FAMILIES;
use crate::support::decapsulator::Decapsulator;
use crate::support::{Engine, PATIENCE};

/// A service that is checked by the VIP, and one with the same servers that asks each at its own address.
const BY_VIP: u16 = 80;
const DIRECTLY: u16 = 8080;

struct Scene {
    lab: DirectLab,
    _http: Vec<Http>,
}

impl Scene {
    fn new(options: &DirectOptions) -> Self {
        let lab = DirectLab::new(options).unwrap();
        let serve = |server: &Node| [BY_VIP, DIRECTLY].map(|port| Http::start(server, port).unwrap());
        Self { _http: lab.servers.iter().flat_map(serve).collect(), lab }
    }

    fn engine(&self, family: Family, method: &str) -> Engine<'_> {
        let mut text = String::new();
        for (port, via) in [(BY_VIP, "via = \"vip\"\n"), (DIRECTLY, "")] {
            let vip = self.lab.vip.of(family);
            text += &format!(
                "[[service]]\nvip = \"{vip}\"\nports = [\"tcp/{port}\"]\nscheduler = \"rr\"\n\
                 [[service.check]]\nkind = \"http\"\ninterval = \"200ms\"\ntimeout = \"1s\"\nfall = 2\nrise = 2\n{via}"
            );
            for server in &self.lab.server_addrs {
                text += &format!(
                    "[[service.server]]\naddress = \"{}\"\nmethod = \"{method}\"\n",
                    server.port(family, port)
                );
            }
        }
        let path = self.lab.state_dir().join("ulvs.toml");
        std::fs::write(&path, text).unwrap();
        Engine::start_on(&self.lab.director, self.lab.state_dir(), &["--config", path.to_str().unwrap()])
    }

    /// What so many clients get.
    fn pages(&self, family: Family, port: u16) -> Vec<String> {
        let page = |_| client::get(&self.lab.client, self.lab.vip.port(family, port), "/").unwrap().body;
        let mut pages: Vec<_> = (0..4).map(page).collect();
        pages.sort();
        pages.dedup();
        pages
    }
}

/// State and reason of the first server of the service at this port.
fn state(engine: &Engine<'_>, port: u16) -> (String, String) {
    let list: serde_json::Value = serde_json::from_str(&engine.ulvs("health --json")).unwrap();
    let services = list["services"].as_array().unwrap();
    let of = |service: &&serde_json::Value| service.to_string().contains(&format!(":{port}\""));
    let server =
        &services.iter().find(of).unwrap_or_else(|| panic!("no service at {port}: {list}"))["servers"][0];
    (server["state"].as_str().unwrap().to_owned(), server.to_string())
}

fn await_state(engine: &Engine<'_>, port: u16, wanted: &str) -> String {
    let found = wait_for(&format!("the server at {port} to be {wanted}"), PATIENCE, || {
        let (state, words) = state(engine, port);
        (state == wanted).then_some(words)
    });
    found.unwrap_or_else(|error| panic!("{error}\n{}\n{}", engine.ulvs("health"), engine.log()))
}

fn vip_of(lab: &DirectLab, family: Family) -> Cidr {
    Cidr { addr: lab.vip.of(family), prefix: if family == Family::V4 { 32 } else { 128 } }
}

/// A server that answers at its own address and has lost the VIP.
fn lost_vip(place: VipPlace) {
    let scene = Scene::new(&DirectOptions { vip: place, servers: 2, ..DirectOptions::default() });
    for family in FAMILIES {
        let engine = scene.engine(family, "dr");
        for port in [BY_VIP, DIRECTLY] {
            await_state(&engine, port, "up");
            assert_eq!(scene.pages(family, port), ["server1\n", "server2\n"]);
        }
        let vip = vip_of(&scene.lab, family);
        scene.lab.servers[0].addr_del("lo", vip.addr).unwrap();
        let why = await_state(&engine, BY_VIP, "down");
        assert!(why.contains("no answer within"), "{why}");
        assert_eq!(scene.pages(family, BY_VIP), ["server2\n"]);
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(state(&engine, DIRECTLY).0, "up", "at its own address it answers");
        scene.lab.servers[0].addr_add("lo", vip).unwrap();
        await_state(&engine, BY_VIP, "up");
        assert_eq!(scene.pages(family, BY_VIP), ["server1\n", "server2\n"]);
        engine.stop();
    }
}

#[test]
fn a_dr_server_without_the_vip_is_dead_to_clients_and_to_checks_by_the_vip() {
    lost_vip(VipPlace::Routed);
}

#[test]
fn also_where_the_vip_is_an_address_of_the_director() {
    lost_vip(VipPlace::Loopback);
}

#[test]
fn so_is_a_tunnel_that_nobody_takes_packets_out_of() {
    let options = DirectOptions { servers: 1, server_path: vec![1500], ..DirectOptions::default() };
    let scene = Scene::new(&options);
    for family in FAMILIES {
        let far_end = Decapsulator::start(&scene.lab.servers[0]);
        let engine = scene.engine(family, "tunnel");
        for port in [BY_VIP, DIRECTLY] {
            await_state(&engine, port, "up");
            assert_eq!(scene.pages(family, port), ["server1\n"]);
        }
        drop(far_end);
        let why = await_state(&engine, BY_VIP, "down");
        // Its kernel says so by ICMP, if it gets to it in time.
        assert!(why.contains("no answer within") || why.contains("protocol unreachable"), "{why}");
        assert_eq!(state(&engine, DIRECTLY).0, "up", "at its own address it answers");
        let _far_end = Decapsulator::start(&scene.lab.servers[0]);
        await_state(&engine, BY_VIP, "up");
        assert_eq!(scene.pages(family, BY_VIP), ["server1\n"]);
        engine.stop();
    }
}

/// What it would answer the kernel would drop: nothing is asked, and the words say what to do.
#[test]
fn where_the_host_would_not_hear_the_answer_the_check_says_so() {
    let scene = Scene::new(&DirectOptions { servers: 1, ..DirectOptions::default() });
    scene.lab.director.sysctl("net.ipv4.conf.eth0.rp_filter", "1").unwrap();
    let engine = scene.engine(Family::V4, "dr");
    let why = await_state(&engine, BY_VIP, "down");
    assert!(why.contains("net.ipv4.conf.eth0.rp_filter=2"), "{why}");
    await_state(&engine, DIRECTLY, "up");
    let own = || client::get(&scene.lab.director, scene.lab.vip.port(Family::V4, DIRECTLY), "/");
    assert!(own().is_err(), "it is true");
    scene.lab.director.sysctl("net.ipv4.conf.eth0.rp_filter", "2").unwrap();
    await_state(&engine, BY_VIP, "up");
    assert_eq!(own().unwrap().body, "server1\n");
    engine.stop();
}

/// The director is a client of its own like any other, whom servers answer through it.
#[test]
fn servers_by_nat_are_asked_through_the_translation() {
    for vip in [VipPlace::Routed, VipPlace::Loopback] {
        let scene =
            Scene::new(&DirectOptions { vip, servers: 2, vip_on_servers: false, ..DirectOptions::default() });
        for family in FAMILIES {
            let engine = scene.engine(family, "nat");
            await_state(&engine, BY_VIP, "up");
            // They are taken for alive until they have been asked, and that is then a connection like any.
            let vip = scene.lab.vip.port(family, BY_VIP).to_string();
            let asked = || engine.ulvs("ipvsadm -Lnc").contains(&vip).then_some(());
            wait_for("a question by the VIP", PATIENCE, asked).unwrap();
            await_state(&engine, BY_VIP, "up");
            engine.stop();
        }
    }
}
