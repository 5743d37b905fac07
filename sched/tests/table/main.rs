//! Edits of the table: what they do, what they refuse, what they leave behind.

#![allow(clippy::unwrap_used)]

mod live;
mod lookups;
mod refusals;

use std::net::SocketAddr;
use std::sync::Arc;

use sched::{
    DestSpec, Family, Flow, Mark, Mss, Netmask, Op, OpError, Persistence, Proto, Service, ServiceKey,
    ServiceSpec, ServiceTable, TcpOptions, Trash, Weight,
};

const VIP: &str = "10.0.0.1:80";
const ANY_PORT: &str = "10.0.0.1:0";
const A: &str = "192.168.1.1:80";
const B: &str = "192.168.1.2:80";
const C: &str = "192.168.1.3:80";
const V6: &str = "[2001:db8::1]:80";

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
