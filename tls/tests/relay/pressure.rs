//! A slow side slows the other one, and costs no memory.

use std::{io::Write, time::Duration};

use crate::world::{World, terms};

/// One read of each side, encrypted, a record on either end, and what a record costs.
const BOUND: usize = 200 * 1024;
const BIG: usize = 8 * 1024 * 1024;

#[test]
fn a_slow_client_holds_the_server_back() {
    let mut world = World::established(terms());
    world.near.wire.borrow_mut().back.room = 10_000;
    world.server().write_all(&vec![7; BIG]).unwrap();
    for _ in 0..100 {
        world.turn();
    }
    assert!(world.relay.buffered() > 0 && world.relay.buffered() < BOUND, "{}", world.relay.buffered());
    let left = world.server().wire.borrow().back.queue.len();
    assert!(left > BIG - BOUND, "{left}");
    world.near.wire.borrow_mut().back.room = usize::MAX;
    world.run();
    assert_eq!(world.client.got.len(), BIG);
    assert_eq!(world.relay.buffered(), 0);
}

#[test]
fn a_slow_server_holds_the_client_back() {
    let mut world = World::established(terms());
    world.server().wire.borrow_mut().there.room = 10_000;
    world.client.say(vec![7; BIG]);
    for _ in 0..100 {
        world.turn();
    }
    assert!(world.relay.buffered() > 0 && world.relay.buffered() < BOUND, "{}", world.relay.buffered());
    let left = world.near.wire.borrow().there.queue.len();
    assert!(left > BIG - BOUND, "{left}");
    world.server().wire.borrow_mut().there.room = usize::MAX;
    world.run();
    assert_eq!(world.server().take(), vec![7; BIG]);
    assert_eq!(world.relay.buffered(), 0);
}

#[test]
fn a_client_that_is_served_no_server_yet_is_held_back_too() {
    let mut world = World::established(terms());
    world.leg = None;
    world.client.say(vec![7; BIG]);
    for _ in 0..100 {
        world.turn();
    }
    assert!(world.relay.buffered() < BOUND);
}

#[test]
fn others_have_their_turn() {
    let mut world = World::established(terms());
    world.server().write_all(&vec![7; BIG]).unwrap();
    assert!(world.turn(), "there is more to do");
    let left = world.server().wire.borrow().back.queue.len();
    assert!(left > BIG - 400 * 1024, "{left}");
    // Being asked again is no silence.
    world.now += Duration::from_secs(1);
    world.run();
    assert_eq!(world.client.got.len(), BIG);
}
