//! What outlives a snapshot.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use sched::{Op, Proto, Weight};

use crate::*;

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
