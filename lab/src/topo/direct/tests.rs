use std::io::ErrorKind;
use std::time::Duration;

use super::*;
use crate::client;
use crate::serve::Http;

const BOTH: [Family; 2] = [Family::V4, Family::V6];
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer that must not come is waited for.
const SILENCE: Duration = Duration::from_millis(200);

/// Every server is reached at its own address, sees the client's, and a large page comes back.
fn check(options: &DirectOptions) -> DirectLab {
    let lab = DirectLab::new(options).unwrap();
    let servers: Vec<_> = lab.servers.iter().map(|server| Http::start(server, 80).unwrap()).collect();
    for family in BOTH {
        for (index, server) in lab.servers.iter().enumerate() {
            let target = lab.server_port(index, family, 80);
            assert_eq!(client::get(&lab.client, target, "/").unwrap().body, format!("{server}\n"));
            let seen = client::get(&lab.client, target, "/whoami").unwrap().body;
            let client = lab.client_addr.port(family, 0).to_string();
            assert!(seen.starts_with(client.trim_end_matches('0')), "{seen} is not {client}");
            client::download(&lab.client, target, 3_000_000, |_| ()).unwrap();
            let director = lab.director_addr.of(family);
            client::ping(server, director, 56, PATIENCE).unwrap();
        }
    }
    drop(servers);
    lab
}

#[test]
fn servers_on_the_directors_link() {
    let lab = check(&DirectOptions { servers: 3, ..DirectOptions::default() });
    let drawn = lab.to_string();
    for part in
        ["[client]", "[edge]", "[switch]", "+-- [director]", "+-- [server3]", "10.0.0.13/24", "203.0.113.1"]
    {
        assert!(drawn.contains(part), "no {part} in\n{drawn}");
    }
}

#[test]
fn servers_behind_routers_and_narrow_links() {
    let options = DirectOptions {
        client_path: vec![1500, 1400, 1500],
        server_path: vec![1500, 1300],
        ..DirectOptions::default()
    };
    let lab = check(&options);
    assert_eq!((lab.edges.len(), lab.routers.len()), (3, 2));
    assert_eq!(lab.server_addrs[1].v4.to_string(), "10.3.0.12");
    let drawn = lab.to_string();
    assert!(drawn.contains("mtu 1300") && drawn.contains("mtu 1400"), "{drawn}");
    let wrong = DirectOptions { server_path: vec![1400], ..DirectOptions::default() };
    assert!(DirectLab::new(&wrong).is_err(), "a link has one MTU");
}

/// Whoever asks the link for the VIP is not answered by a server: only by a director that has it.
#[test]
fn servers_with_the_vip_keep_silent() {
    for (place, answers) in [
        (VipPlace::Routed, false),
        (VipPlace::Subnet, false),
        (VipPlace::Loopback, true),
        (VipPlace::Interface, true),
    ] {
        let lab = DirectLab::new(&DirectOptions { vip: place, ..DirectOptions::default() }).unwrap();
        for family in BOTH {
            let vip = lab.vip.of(family);
            let patience = if answers { PATIENCE } else { SILENCE };
            let echo = client::ping(&lab.client, vip, 8, patience);
            assert_eq!(echo.is_ok(), answers, "{place:?} {family:?}");
            for server in &lab.servers {
                client::ping(server, vip, 8, PATIENCE).unwrap();
            }
        }
    }
}

/// A packet to the VIP that gets to a server is answered past the director. Here the edge is told to send it there, as
/// a director would.
#[test]
fn answers_have_a_way_of_their_own() {
    let options = DirectOptions { vip: VipPlace::Subnet, servers: 1, ..DirectOptions::default() };
    let lab = DirectLab::new(&options).unwrap();
    let _server = Http::start(&lab.servers[0], 80).unwrap();
    for family in BOTH {
        let prefix = if family == Family::V4 { 32 } else { 128 };
        let vip = Cidr { addr: lab.vip.of(family), prefix };
        lab.edges[0].route_add(vip, lab.server_addrs[0].of(family)).unwrap();
        let reply = client::get(&lab.client, lab.vip.port(family, 80), "/").unwrap();
        assert_eq!(reply.body, "server1\n");
    }
}

#[test]
fn servers_without_the_vip_are_as_machines_come() {
    let options = DirectOptions { vip_on_servers: false, forwarding: false, ..DirectOptions::default() };
    let lab = DirectLab::new(&options).unwrap();
    assert_eq!(lab.servers[0].sysctl_read("net.ipv4.conf.all.arp_ignore").unwrap(), "0");
    assert_eq!(lab.director.sysctl_read("net.ipv4.ip_forward").unwrap(), "0");
    let at_vip = lab.vip.port(Family::V4, 80);
    let refused = lab.servers[0].run(|| std::net::TcpListener::bind(at_vip)).unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AddrNotAvailable);
}
