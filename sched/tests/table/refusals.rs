//! What edits refuse, and that a refused list of them leaves no trace.

use std::net::SocketAddr;

use sched::{
    DestSpec, Family, ForwardMethod, Netmask, Op, OpError, Persistence, ServiceSpec, Trash, Tunnel, Weight,
};

use crate::*;

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
