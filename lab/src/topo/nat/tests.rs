use std::time::Duration;

use super::*;
use crate::client;
use crate::serve::Http;

const BOTH: [Family; 2] = [Family::V4, Family::V6];
const PATIENCE: Duration = Duration::from_secs(5);

/// Every server is reached through the director, in both families.
fn check(options: &NatOptions) -> NatLab {
    let lab = NatLab::new(options).unwrap();
    let servers: Vec<_> = lab.servers.iter().map(|server| Http::start(server, 80).unwrap()).collect();
    for family in BOTH {
        for (index, server) in lab.servers.iter().enumerate() {
            client::ping(&lab.client, lab.server_addrs[index].of(family), 56, PATIENCE).unwrap();
            let target = lab.server_port(index, family, 80);
            let reply = client::get(&lab.client, target, "/").unwrap();
            assert_eq!(reply.body, format!("{server}\n"));
            // Without NAT the server sees the client itself.
            let seen = client::get(&lab.client, target, "/whoami").unwrap().body;
            let client = lab.client_addr.port(family, 0).to_string();
            assert!(seen.starts_with(client.trim_end_matches('0')), "{seen} is not {client}");
            client::download(&lab.client, target, 3_000_000, |_| ()).unwrap();
        }
    }
    drop(servers);
    lab
}

#[test]
fn bridge() {
    let lab = check(&NatOptions { servers: 3, ..NatOptions::default() });
    let drawn = lab.to_string();
    for part in
        ["[client]", "[director]", "to-servers", "[switch]", "[server3]", "10.0.0.13/24", "203.0.113.1"]
    {
        assert!(drawn.contains(part), "no {part} in\n{drawn}");
    }
}

#[test]
fn links() {
    let lab = check(&NatOptions { server_side: ServerSide::Links, ..NatOptions::default() });
    assert_eq!(lab.server_addrs[1].v4.to_string(), "10.0.2.2");
}

#[test]
fn a_small_link_beyond_a_router_shrinks_the_path() {
    for side in [ServerSide::Bridge, ServerSide::Links] {
        let lab = check(&NatOptions { path: vec![1500, 1300], server_side: side, ..NatOptions::default() });
        assert_eq!(lab.routers.len(), 2);
        assert!(lab.to_string().contains("mtu 1300"), "{lab}");
    }
}

#[test]
fn the_vip_is_where_it_was_asked_for() {
    for (place, answers) in [
        (VipPlace::Routed, false),
        (VipPlace::Subnet, false),
        (VipPlace::Loopback, true),
        (VipPlace::Interface, true),
    ] {
        let lab = NatLab::new(&NatOptions { vip: place, ..NatOptions::default() }).unwrap();
        for family in BOTH {
            let patience = if answers { PATIENCE } else { Duration::from_millis(200) };
            let echo = client::ping(&lab.client, lab.vip.of(family), 8, patience);
            assert_eq!(echo.is_ok(), answers, "{place:?} {family:?}");
        }
    }
}

#[test]
fn the_director_starts_as_asked() {
    let options = NatOptions { forwarding: false, rp_filter: Some(1), ..NatOptions::default() };
    let lab = NatLab::new(&options).unwrap();
    assert_eq!(lab.director.sysctl_read("net.ipv4.ip_forward").unwrap(), "0");
    assert_eq!(lab.director.sysctl_read("net.ipv4.conf.to-client.rp_filter").unwrap(), "1");
    let dir = lab.director.exec(&["sh", "-c", "cd $ULVS_STATE_DIR && pwd"]).unwrap();
    drop(lab);
    assert!(!Path::new(dir.trim()).exists());
}

#[test]
fn labs_at_once_do_not_meet() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| check(&NatOptions::default()));
        }
    });
}

#[test]
fn answers_can_take_a_shortcut_and_requests_do_not() {
    let lab = NatLab::new(&NatOptions { vip: VipPlace::Loopback, ..NatOptions::default() }).unwrap();
    lab.shortcut().unwrap();
    let bytes = |node: &Node, name: &str| {
        let file = format!("/sys/class/net/{name}/statistics/rx_bytes");
        // Its own sysfs is that of the namespace it was mounted in.
        node.exec(&["unshare", "--mount", "sh", "-c", &format!("mount -t sysfs sys /sys && cat {file}")])
            .unwrap()
            .trim()
            .parse::<u64>()
            .unwrap()
    };
    let _server = Http::start(&lab.servers[0], 80).unwrap();
    for (family, vip) in [(Family::V4, 32), (Family::V6, 128)] {
        // As with direct routing: the server has the VIP, and the director has a way to it.
        let addr = lab.vip.of(family);
        lab.director.addr_del("lo", addr).unwrap();
        lab.servers[0].addr_add("lo", Cidr { addr, prefix: vip }).unwrap();
        lab.director.route_add(Cidr { addr, prefix: vip }, lab.server_addrs[0].of(family)).unwrap();
        let (before, past) = (bytes(&lab.director, "to-servers"), bytes(&lab.client, "eth1"));
        client::download(&lab.client, lab.vip.port(family, 80), 1_000_000, |_| ()).unwrap();
        assert!(bytes(&lab.director, "to-servers") - before < 10_000, "{family:?}");
        assert!(bytes(&lab.client, "eth1") - past > 1_000_000, "{family:?}");
    }
}
