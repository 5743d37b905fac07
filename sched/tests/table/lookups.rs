//! What is found in a table, and what the next one has otherwise.

use std::sync::Arc;

use sched::{Family, Netmask, Op, Persistence, Proto, Service, ServiceSpec};

use crate::*;

#[test]
fn lookups_find_services_vips_and_servers() {
    let world = World::with(&[
        add_service("10.0.0.1:80", "rr", &[(B, 1), (A, 1)]),
        add_service("10.0.0.1:443", "rr", &[(A, 1)]),
        add_service("[2001:db8::1]:80", "wlc", &[("[2001:db8::2]:80", 1)]),
    ]);
    let table = &world.table;
    assert_eq!(table.generation(), 1);
    let lookup = |proto, vip: &str| table.lookup(None, proto, addr(vip)).map(|s| s.key);
    assert_eq!(lookup(Proto::Tcp, VIP), Some(key(VIP)));
    assert_eq!(lookup(Proto::Tcp, "[2001:db8::1]:80"), Some(key("[2001:db8::1]:80")));
    assert_eq!(lookup(Proto::Udp, VIP), None);
    assert_eq!(lookup(Proto::Tcp, "10.0.0.1:81"), None);
    assert!(table.is_vip(addr(VIP).ip()) && !table.is_vip(addr(A).ip()));
    assert_eq!(table.vips().count(), 2);
    let listed: Vec<_> = table.services().map(|s| s.key.to_string()).collect();
    assert_eq!(listed, ["TCP 10.0.0.1:80", "TCP 10.0.0.1:443", "TCP [2001:db8::1]:80"]);
    let servers: std::collections::BTreeSet<_> = table.servers().map(|(_, server)| server).collect();
    assert_eq!(servers, [addr(A), addr(B), addr("[2001:db8::2]:80")].into());
}

#[test]
fn lookups_go_by_mark_then_port_then_ftp_then_all_ports() {
    let service = |key, server: &str| Op::AddService {
        service: ServiceSpec {
            persistence: Some(Persistence { timeout: 300, mask: Netmask::full(Family::Ipv4) }),
            dests: vec![dest(server, 1)],
            ..ServiceSpec::new(key, "rr")
        },
    };
    let mut world = World::with(&[]);
    let found = |world: &World, mark, vip: &str| {
        world.table.lookup(mark, Proto::Tcp, addr(vip)).map(|s| s.key.to_string()).unwrap_or_default()
    };
    let all_ports = "10.0.0.1:0";
    world.apply(&[service(key(all_ports), "192.168.1.1:0")]);
    for port in [0, 1, 20, 21, 65535] {
        assert_eq!(found(&world, None, &format!("10.0.0.1:{port}")), "TCP 10.0.0.1:0");
    }
    assert_eq!(found(&world, None, "10.0.0.2:80"), "");
    world.apply(&[service(key("10.0.0.1:21"), "192.168.1.2:21")]);
    for (port, expected) in [(20, 21), (21, 21), (1023, 0), (1024, 21), (65535, 21), (22, 0)] {
        assert_eq!(
            found(&world, None, &format!("10.0.0.1:{port}")),
            format!("TCP 10.0.0.1:{expected}"),
            "{port}"
        );
    }
    assert_eq!(found(&world, None, "10.0.0.2:2000"), "", "another VIP has no FTP");
    world.apply(&[service(key("10.0.0.1:2000"), "192.168.1.3:80")]);
    assert_eq!(found(&world, None, "10.0.0.1:2000"), "TCP 10.0.0.1:2000");
    world.apply(&[service(marked(3), "192.168.1.4:0")]);
    for vip in ["10.0.0.1:2000", "10.0.0.2:2000"] {
        assert_eq!(found(&world, Some(mark(3)), vip), "FWM 3");
    }
    assert_eq!(found(&world, Some(mark(4)), "10.0.0.1:2000"), "TCP 10.0.0.1:2000");
    assert_eq!(found(&world, Some(mark(3)), "[2001:db8::1]:80"), "", "marks of IPv6 are others");
    let udp = world.table.lookup(None, Proto::Udp, addr("10.0.0.1:2000"));
    assert!(udp.is_none(), "UDP has neither");

    let any = |server: &str| (Some(Proto::Tcp), addr(server));
    let servers =
        [(None, addr("192.168.1.4:0")), any("192.168.1.1:0"), any("192.168.1.2:0"), any("192.168.1.3:80")];
    assert_eq!(world.table.servers().collect::<std::collections::BTreeSet<_>>(), servers.into());
    assert!(world.table.is_vip(addr(VIP).ip()));
    world.apply(&[Op::Flush]);
    assert_eq!(world.trash.servers().collect::<std::collections::BTreeSet<_>>(), servers.into());
    assert_eq!(found(&world, Some(mark(3)), VIP), "");
}

#[test]
fn a_service_lists_by_address_and_gives_its_spec_in_the_order_of_adding() {
    let mut world = World::with(&[add_service(VIP, "wrr", &[(C, 3), (A, 1)])]);
    world.apply(&[add_dest(VIP, B, 2), edit_dest(VIP, C, 5)]);
    let service = world.service();
    let listed: Vec<_> = service.listed().iter().map(|d| d.live.key).collect();
    assert_eq!(listed, [addr(A), addr(B), addr(C)]);
    let Op::AddService { service: spec } = add_service(VIP, "wrr", &[(C, 5), (A, 1), (B, 2)]) else {
        unreachable!()
    };
    assert_eq!(service.spec(), spec);
}

/// Adding to sixteen thousand services costs what adding to sixteen does; a copy of them all would be a hundred times
/// that.
#[test]
fn an_edit_costs_the_same_however_many_services_there_are() {
    let service = |i: u32| add_service(&format!("10.{}.{}.1:80", i >> 8, i & 255), "rr", &[(A, 1)]);
    let cost = |services: u32| {
        let mut world = World::with(&(0..services).map(service).collect::<Vec<_>>());
        let once = |world: &mut World, i| {
            let began = std::time::Instant::now();
            world.apply(&[service(services + i)]);
            began.elapsed()
        };
        (0..200).map(|i| once(&mut world, i)).min().unwrap()
    };
    let (few, many) = (cost(16), cost(16_000));
    assert!(many < few * 16, "{few:?} with few services, {many:?} with many");
}

#[test]
fn changes_between_tables_are_found() {
    let mut world = World::with(&[add_service(VIP, "rr", &[(A, 1)]), add_service(V6, "rr", &[])]);
    let before = world.table.clone();
    world.apply(&[
        add_dest(VIP, B, 1),
        Op::DelService { key: key(V6) },
        add_service("10.0.0.9:80", "rr", &[(C, 1)]),
    ]);
    let keys = |service: Option<&Arc<Service>>| service.map(|s| (s.key.to_string(), s.dests.len()));
    let mut changes: Vec<_> = before.changes(&world.table).map(|(old, new)| (keys(old), keys(new))).collect();
    changes.sort();
    let is = |key: &str, dests| Some((key.to_owned(), dests));
    assert_eq!(
        changes,
        [
            (None, is("TCP 10.0.0.9:80", 1)),
            (is("TCP 10.0.0.1:80", 1), is("TCP 10.0.0.1:80", 2)),
            (is("TCP [2001:db8::1]:80", 0), None),
        ]
    );
    assert_eq!(world.table.changes(&world.table).count(), 0);
}
