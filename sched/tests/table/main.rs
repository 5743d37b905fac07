//! Edits of the table: what they do, what they refuse, and that a refused list of edits leaves no trace.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use sched::{
    DestSpec, Family, Flow, ForwardMethod, Mark, Mss, Netmask, Op, OpError, Persistence, Proto, Service,
    ServiceKey, ServiceSpec, ServiceTable, TcpOptions, Trash, Tunnel, Weight,
};

const VIP: &str = "10.0.0.1:80";
const ANY_PORT: &str = "10.0.0.1:0";
const A: &str = "192.168.1.1:80";
const B: &str = "192.168.1.2:80";
const C: &str = "192.168.1.3:80";
const V6: &str = "[2001:db8::1]:80";

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

#[test]
fn only_a_tunnel_leads_into_the_other_family() {
    let mut world = World::with(&[add_service(VIP, "rr", &[])]);
    let tunnel = ForwardMethod::Tunnel(Tunnel::default());
    let dest = DestSpec { method: tunnel, ..DestSpec::new("[2001:db8::2]:80".parse().unwrap()) };
    world.apply(&[Op::AddDest { key: key(VIP), dest: dest.clone() }]);
    assert_eq!(world.table.get(&key(VIP)).unwrap().spec().dests, [dest]);
}

#[test]
fn every_refusal_has_its_reason() {
    let world = World::with(&[
        add_service(VIP, "rr", &[(A, 1)]),
        persistent(ANY_PORT, 300, Netmask::full(Family::Ipv4)),
        add_service(V6, "rr", &[]),
    ]);
    let edit_service = |vip, scheduler: &str| {
        let Op::AddService { service } = add_service(vip, scheduler, &[]) else { unreachable!() };
        Op::EditService { service }
    };
    let other = "10.0.0.9:80";
    for (op, error) in [
        (add_service(VIP, "bogus", &[]), OpError::ServiceExists),
        (add_service(other, "bogus", &[]), OpError::NoSuchScheduler),
        (add_service(other, "rr", &[(A, 1), (B, 1), (A, 2)]), OpError::DestExists),
        (add_service(other, "rr", &[(A, 1), ("[2001:db8::2]:80", 1)]), OpError::FamilyMismatch),
        (add_service("10.0.0.9:0", "rr", &[]), OpError::PortZero),
        (edit_service(ANY_PORT, "rr"), OpError::PortZero),
        (persistent(other, 0, Netmask::full(Family::Ipv4)), OpError::Invalid),
        (persistent(other, Persistence::MAX_TIMEOUT + 1, Netmask::full(Family::Ipv4)), OpError::Invalid),
        (persistent(other, 300, Netmask::full(Family::Ipv6)), OpError::Invalid),
        (add_service("0.0.0.0:80", "rr", &[]), OpError::Invalid),
        (add_service("224.0.0.1:80", "rr", &[]), OpError::Invalid),
        (add_service("255.255.255.255:80", "rr", &[]), OpError::Invalid),
        (add_service("[::]:80", "rr", &[]), OpError::Invalid),
        (add_service("[ff02::1]:80", "rr", &[]), OpError::Invalid),
        (edit_service(other, "bogus"), OpError::NoSuchService),
        (edit_service(VIP, "bogus"), OpError::NoSuchScheduler),
        (Op::DelService { key: key(other) }, OpError::NoSuchService),
        (Op::Zero { key: Some(key(other)) }, OpError::NoSuchService),
        (add_dest(other, A, 1), OpError::ServiceNotDefined),
        (add_dest(VIP, A, 1), OpError::DestExists),
        (add_dest(VIP, "[2001:db8::2]:80", 1), OpError::FamilyMismatch),
        (add_dest(VIP, "224.0.0.1:80", 1), OpError::Invalid),
        (add_dest(V6, "[::ffff:10.0.0.1]:80", 1), OpError::Invalid),
        (add_dest(V6, "[fe80::1]:80", 1), OpError::Invalid),
        (add_dest(VIP, B, Weight::MAX.0 + 1), OpError::OutOfRange),
        (edit_dest(other, A, 1), OpError::ServiceNotDefined),
        (edit_dest(VIP, B, 1), OpError::NoSuchDest),
        (edit_dest(VIP, A, Weight::MAX.0 + 1), OpError::OutOfRange),
        (edit_thresholds(B, 4, 5), OpError::OutOfRange),
        (edit_thresholds(B, 1 << 31, 0), OpError::Invalid),
        (edit_thresholds(A, 0, 1), OpError::OutOfRange),
        (del_dest(other, A), OpError::ServiceNotDefined),
        (del_dest(VIP, B), OpError::NoSuchDest),
    ] {
        let mut trash = Trash::default();
        let refused = world.table.apply(&mut trash, std::slice::from_ref(&op)).map(drop);
        assert_eq!(refused, Err((0, error)), "{op:?}");
        let (table, refused) = world.table.apply_each(&mut trash, std::slice::from_ref(&op));
        assert_eq!(refused, [(0, error)], "{op:?}");
        assert_eq!(
            table.services().map(|s| s.spec()).collect::<Vec<_>>(),
            world.table.services().map(|s| s.spec()).collect::<Vec<_>>(),
            "{op:?}"
        );
    }
}

#[test]
fn an_ipv6_server_needs_more_than_a_link() {
    let mut world = World::with(&[add_service("[2001:db8::1]:80", "rr", &[])]);
    let link_local = add_dest("[2001:db8::1]:80", "[fe80::1]:80", 1);
    assert_eq!(world.table.apply(&mut world.trash, &[link_local]).map(drop), Err((0, OpError::Invalid)));
}

#[test]
fn a_refused_list_changes_nothing_not_even_a_scheduler() {
    let mut world = World::with(&[add_service(VIP, "wrr", &[(A, 3), (B, 1)])]);
    assert_eq!(world.picks(3), [B, A, A]);
    let before = world.table.clone();
    let ops = [
        edit_dest(VIP, A, 9),
        del_dest(VIP, B),
        Op::Flush,
        add_service(VIP, "rr", &[(C, 1)]),
        Op::DelService { key: key("10.0.0.9:80") },
    ];
    let refused = world.table.apply(&mut world.trash, &ops).map(drop);
    assert_eq!(refused, Err((4, OpError::NoSuchService)));
    assert_eq!(world.table.generation(), before.generation());
    assert!(world.trash.is_empty());
    assert!(world.service().dests.iter().all(|d| d.live.is_available()));
    assert_eq!(world.picks(5), [A, B, A, A, A], "the cycle goes on where it was");
}

#[test]
fn a_scheduler_that_cannot_serve_that_many_is_not_bound() {
    let server = |i: u16| DestSpec::new(SocketAddr::new(addr(A).ip(), 1 + i));
    let edit = |scheduler: &str| Op::EditService { service: ServiceSpec::new(key(VIP), scheduler) };
    let dests = (0..4093).map(server).collect();
    let service = ServiceSpec { dests, ..ServiceSpec::new(key(VIP), "rr") };
    let mut world = World::with(&[Op::AddService { service }, edit("mh")]);
    let before = world.picks(1);
    world.apply(&[Op::AddDest { key: key(VIP), dest: server(4093) }]);
    assert_eq!(world.picks(1), before, "one more than slots is taken and gets nothing, as in the kernel");
    world.apply(&[edit("rr")]);
    assert_eq!(world.table.apply(&mut world.trash, &[edit("mh")]).map(drop), Err((0, OpError::Invalid)));
    world.apply(&[Op::DelDest { key: key(VIP), addr: server(4093).addr }, edit("mh")]);
    assert_eq!(world.picks(1), before);
}

#[test]
fn apply_each_skips_what_is_refused() {
    let mut world = World::with(&[]);
    let ops = [
        add_dest(VIP, A, 1),
        add_service(VIP, "rr", &[]),
        add_service(VIP, "rr", &[]),
        add_dest(VIP, A, 1),
        add_dest(VIP, A, 2),
        add_dest(VIP, B, 1),
    ];
    let (table, refused) = world.table.apply_each(&mut world.trash, &ops);
    let expected = [(0, OpError::ServiceNotDefined), (2, OpError::ServiceExists), (4, OpError::DestExists)];
    assert_eq!(refused, expected);
    assert_eq!(table.services().next().unwrap().dests.len(), 2);
}

#[test]
fn an_old_snapshot_keeps_what_it_had() {
    let mut world = World::with(&[add_service(VIP, "rr", &[(A, 1), (B, 1)])]);
    let old = Arc::clone(world.service());
    world.apply(&[del_dest(VIP, A), edit_dest(VIP, B, 7)]);
    assert_eq!((old.dests.len(), old.dests[0].weight), (2, Weight(1)));
    assert_eq!((world.service().dests.len(), world.service().dests[0].weight), (1, Weight(7)));
    assert!(!old.dests[1].live.is_available(), "the connections of a removed server learn of it");
    assert!(Arc::ptr_eq(&old.live, &world.service().live));
}

#[test]
fn a_server_added_again_revives_with_connections_and_counters() {
    let mut world = World::with(&[add_service(VIP, "rr", &[(A, 1), (B, 1)])]);
    let live = Arc::clone(&world.service().dests[1].live);
    live.stats.count_conn();
    live.active.fetch_add(1, Relaxed);
    world.apply(&[del_dest(VIP, A)]);
    assert!(!live.is_available());
    world.apply(&[add_dest(VIP, A, 5)]);
    let revived = &world.service().dests[0];
    assert!(Arc::ptr_eq(&revived.live, &live) && live.is_available());
    assert_eq!((revived.weight, revived.active(), live.stats.read().conns), (Weight(5), 1, 1));
    assert!(world.trash.is_empty());
    // In one list of edits too.
    world.apply(&[del_dest(VIP, A), add_dest(VIP, A, 1)]);
    assert!(Arc::ptr_eq(&world.service().dests[0].live, &live) && live.is_available());
}

#[test]
fn a_service_made_anew_revives_its_servers_with_counters_at_zero() {
    let mut world = World::with(&[add_service(VIP, "rr", &[(A, 1)])]);
    let live = Arc::clone(&world.service().dests[0].live);
    live.stats.count_conn();
    live.active.fetch_add(1, Relaxed);
    world.apply(&[Op::DelService { key: key(VIP) }]);
    assert!(!live.is_available() && world.table.lookup(None, Proto::Tcp, addr(VIP)).is_none());
    world.apply(&[add_service("10.0.0.2:80", "rr", &[(A, 1)])]);
    assert_eq!(world.trash.len(), 1, "a server of another service is another server");
    world.apply(&[add_service(VIP, "rr", &[(A, 1)])]);
    let revived = &world.service().dests[0];
    assert!(Arc::ptr_eq(&revived.live, &live) && live.is_available());
    assert_eq!((revived.active(), live.stats.read().conns), (1, 0));
}

#[test]
fn thresholds_follow_the_edits_that_are_put_in_force() {
    let mut world = World::with(&[add_service(VIP, "rr", &[(A, 1), (B, 1)])]);
    let live = Arc::clone(&world.service().dests[1].live);
    let bind = || {
        live.active.fetch_add(1, Relaxed);
        live.update_overload();
        live.is_overloaded()
    };
    let refused = [edit_thresholds(A, 1, 0), Op::DelService { key: key("10.0.0.9:80") }];
    assert!(world.table.apply(&mut world.trash, &refused).is_err());
    assert!(!bind(), "a refused edit sets none");
    world.apply(&[edit_thresholds(A, 2, 1)]);
    assert!(bind());
    assert_eq!(world.picks(2), [B, B]);
    world.apply(&[del_dest(VIP, A), add_dest(VIP, A, 1)]);
    assert!(!live.is_overloaded(), "revived without thresholds");
    assert!(!bind());
}

#[test]
fn trash_is_freed_when_idle_at_two_sweeps_in_a_row() {
    let mut world = World::with(&[add_service(VIP, "rr", &[(A, 1), (B, 1)])]);
    let held = Arc::clone(&world.service().dests[1].live);
    world.apply(&[Op::Flush]);
    assert_eq!(world.trash.len(), 2);
    world.trash.sweep();
    assert_eq!(world.trash.len(), 2);
    world.trash.sweep();
    assert_eq!(world.trash.len(), 1, "a connection holds one");
    drop(held);
    world.trash.sweep();
    world.trash.sweep();
    assert!(world.trash.is_empty());
}

#[test]
fn zero_moves_the_zero_point_of_a_service_and_its_servers() {
    let mut world =
        World::with(&[add_service(VIP, "rr", &[(A, 1)]), add_service("10.0.0.2:80", "rr", &[(A, 1)])]);
    let services: Vec<_> = world.table.services().map(Arc::clone).collect();
    for service in &services {
        service.live.stats.count_conn();
        service.dests[0].live.stats.count_conn();
    }
    let read = || services.iter().map(|s| (s.live.stats.read().conns, s.dests[0].live.stats.read().conns));
    world.apply(&[Op::Zero { key: Some(key(VIP)) }]);
    assert_eq!(read().collect::<Vec<_>>(), [(0, 0), (1, 1)]);
    world.apply(&[Op::Zero { key: None }]);
    assert_eq!(read().collect::<Vec<_>>(), [(0, 0), (0, 0)]);
}

#[test]
fn ops_travel_as_json() {
    let ops = vec![
        add_service(VIP, "wrr", &[(A, 3)]),
        edit_dest(VIP, A, 0),
        Op::DelService { key: key(VIP) },
        Op::Zero { key: None },
        Op::Flush,
    ];
    let text = serde_json::to_string(&ops).unwrap();
    assert!(text.contains(r#"{"op":"flush"}"#), "{text}");
    assert_eq!(serde_json::from_str::<Vec<Op>>(&text).unwrap(), ops);
}

struct World {
    table: ServiceTable,
    trash: Trash,
}

impl World {
    fn with(ops: &[Op]) -> Self {
        let mut world = Self { table: ServiceTable::default(), trash: Trash::default() };
        world.apply(ops);
        world
    }

    fn apply(&mut self, ops: &[Op]) {
        self.table = self.table.apply(&mut self.trash, ops).unwrap();
    }

    fn service(&self) -> &Arc<Service> {
        self.table.get(&key(VIP)).unwrap()
    }

    fn picks(&self, count: usize) -> Vec<String> {
        let flow = Flow::new(addr("10.0.0.7:50000"), addr(VIP));
        (0..count).map(|_| self.service().pick(&flow).unwrap().live.key.to_string()).collect()
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn key(vip: &str) -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, addr(vip))
}

fn mark(number: u32) -> Mark {
    Mark(number.try_into().unwrap())
}

fn marked(number: u32) -> ServiceKey {
    ServiceKey::Mark { mark: mark(number), family: Family::Ipv4 }
}

fn persistent(vip: &str, timeout: u32, mask: Netmask) -> Op {
    let persistence = Some(Persistence { timeout, mask });
    Op::AddService { service: ServiceSpec { persistence, ..ServiceSpec::new(key(vip), "rr") } }
}

fn dest(server: &str, weight: u32) -> DestSpec {
    DestSpec { weight: Weight(weight), ..DestSpec::new(addr(server)) }
}

fn add_service(vip: &str, scheduler: &str, dests: &[(&str, u32)]) -> Op {
    let dests = dests.iter().map(|(server, weight)| dest(server, *weight)).collect();
    Op::AddService { service: ServiceSpec { dests, ..ServiceSpec::new(key(vip), scheduler) } }
}

fn add_dest(vip: &str, server: &str, weight: u32) -> Op {
    Op::AddDest { key: key(vip), dest: dest(server, weight) }
}

fn edit_dest(vip: &str, server: &str, weight: u32) -> Op {
    Op::EditDest { key: key(vip), dest: dest(server, weight) }
}

fn edit_thresholds(server: &str, upper: u32, lower: u32) -> Op {
    Op::EditDest { key: key(VIP), dest: DestSpec { upper, lower, ..dest(server, 1) } }
}

fn del_dest(vip: &str, server: &str) -> Op {
    Op::DelDest { key: key(vip), addr: addr(server) }
}

#[test]
fn local_addresses_are_a_services_own_or_everybodys() {
    let add = |key, lip: &str| Op::AddLip { key, lip: lip.parse().unwrap() };
    let del = |key, lip: &str| Op::DelLip { key, lip: lip.parse().unwrap() };
    let mut world = World::with(&[
        add_service(VIP, "rr", &[(A, 1)]),
        add_service(V6, "rr", &[]),
        add(None, "10.1.0.1"),
        add(None, "2001:db8::1"),
        add(None, "10.1.0.2"),
    ]);
    let of = |world: &World, service: &str| {
        let table = &world.table;
        table.lips_of(table.get(&key(service)).unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of(&world, VIP), ["10.1.0.1", "10.1.0.2"]);
    assert_eq!(of(&world, V6), ["2001:db8::1"]);
    world.apply(&[add(Some(key(VIP)), "10.1.0.3"), add(Some(key(VIP)), "10.1.0.1")]);
    assert_eq!(of(&world, VIP), ["10.1.0.3", "10.1.0.1"]);
    // Neither an edit of the service nor one of its servers touches them.
    let service = ServiceSpec::new(key(VIP), "wrr");
    world.apply(&[Op::EditService { service }, Op::AddDest { key: key(VIP), dest: dest(B, 1) }]);
    assert_eq!(of(&world, VIP), ["10.1.0.3", "10.1.0.1"]);
    let spec = world.table.get(&key(VIP)).unwrap().spec();
    assert_eq!(spec.lips.len(), 2);

    for (op, error) in [
        (add(None, "10.1.0.2"), OpError::LipExists),
        (add(Some(key(VIP)), "10.1.0.3"), OpError::LipExists),
        (del(None, "10.1.0.9"), OpError::NoSuchLip),
        (del(Some(key(VIP)), "10.1.0.2"), OpError::NoSuchLip),
        (add(Some(key("10.0.0.9:80")), "10.1.0.2"), OpError::ServiceNotDefined),
        (add(Some(key(VIP)), "2001:db8::2"), OpError::LipFamilyMismatch),
        (add(None, "0.0.0.0"), OpError::Invalid),
        (add(None, "127.0.0.1"), OpError::Invalid),
        (add(None, "fe80::1"), OpError::Invalid),
    ] {
        assert_eq!(
            world.table.apply(&mut world.trash, std::slice::from_ref(&op)).unwrap_err(),
            (0, error),
            "{op}"
        );
    }
    world.apply(&[del(None, "10.1.0.2"), del(Some(key(VIP)), "10.1.0.3")]);
    let known = |world: &World| {
        let mut lips: Vec<_> = world.table.lips().map(|lip| lip.to_string()).collect();
        lips.sort();
        lips
    };
    assert_eq!(known(&world), ["10.1.0.1", "2001:db8::1"], "one of them twice");
    assert!(world.table.is_lip(addr("10.1.0.1:0").ip()) && !world.table.is_lip(addr("10.1.0.3:0").ip()));
    world.apply(&[del(Some(key(VIP)), "10.1.0.1")]);
    assert_eq!(of(&world, VIP), ["10.1.0.1"], "it has none of its own any more");
    world.apply(&[Op::Flush, Op::AddService { service: spec }]);
    assert_eq!(of(&world, VIP), ["10.1.0.3", "10.1.0.1"], "they come with the service");
    assert_eq!(world.table.shared_lips().count(), 0);
    world.apply(&[Op::DelService { key: key(VIP) }]);
    assert_eq!(known(&world), [""; 0]);
}

#[test]
fn options_for_tcp_read_as_they_are_written() {
    for (mss, json) in
        [(Mss::Auto, r#"{"toa":true,"mss":"auto"}"#), (Mss::Bytes(1400), r#"{"toa":true,"mss":1400}"#)]
    {
        let options = TcpOptions { toa: true, mss: Some(mss), ..TcpOptions::default() };
        assert_eq!(serde_json::to_string(&options).unwrap(), json);
        assert_eq!(serde_json::from_str::<TcpOptions>(json).unwrap(), options);
    }
    let bad = TcpOptions { mss: Some(Mss::Bytes(Mss::MIN - 1)), ..TcpOptions::default() };
    let spec = ServiceSpec { tcp: bad, ..ServiceSpec::new(key(VIP), "rr") };
    let table = ServiceTable::default().apply(&mut Trash::default(), &[Op::AddService { service: spec }]);
    assert_eq!(table.unwrap_err(), (0, OpError::Invalid));
}
