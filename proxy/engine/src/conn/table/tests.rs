use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::conn::{Legs, test_conn, test_legs};

fn conn(legs: Legs) -> Arc<Conn> {
    Arc::new(Conn::new(legs, 0))
}

fn table(max: usize) -> ConnTable {
    ConnTable::new(1, Arc::new(Room::new(max)))
}

fn kind(inserted: &Inserted) -> &'static str {
    match inserted {
        Inserted::Yes => "yes",
        Inserted::Full => "full",
        Inserted::ReplyTaken(_) => "reply taken",
        Inserted::Raced(_) => "raced",
    }
}

#[test]
fn a_connection_is_found_from_both_sides_until_it_is_removed() {
    let table = table(10);
    let conn = Arc::new(test_conn(1));
    assert_eq!(kind(&table.insert(&conn)), "yes");
    for (key, way) in [(conn.in_key(), Direction::In), (conn.out_key(), Direction::Out)] {
        let (found, direction) = table.find(&key).expect("inserted");
        assert!(Arc::ptr_eq(&found, &conn) && direction == way);
    }
    assert!(table.remove(&conn));
    assert!(!table.remove(&conn), "only one caller removes it");
    assert!(table.find(&conn.in_key()).is_none() && table.find(&conn.out_key()).is_none());
    assert_eq!((table.room.held(), table.map.len()), (0, 0));
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let table = table(2);
    let first = Arc::new(test_conn(1));
    assert_eq!(kind(&table.insert(&first)), "yes");

    let other_vip = conn(Legs { vip: "10.9.9.9:80".parse().expect("address"), ..test_legs(1) });
    assert_eq!(kind(&table.insert(&other_vip)), "reply taken");
    let same_client = conn(Legs { server: test_legs(7).server, ..test_legs(1) });
    assert_ne!(same_client.out_key(), first.out_key());
    assert_eq!(kind(&table.insert(&same_client)), "raced");
    assert_eq!((table.room.held(), table.map.len()), (1, 2));

    assert_eq!(kind(&table.insert(&Arc::new(test_conn(2)))), "yes");
    assert_eq!(kind(&table.insert(&Arc::new(test_conn(3)))), "full");
    assert_eq!((table.room.held(), table.map.len()), (2, 4));
}

#[test]
fn one_that_has_ended_is_not_found_and_stands_in_nobodys_way() {
    let table = table(10);
    let old = Arc::new(test_conn(1));
    assert_eq!(kind(&table.insert(&old)), "yes");
    // As another worker sees it in the middle of a removal.
    assert!(old.retire());
    assert!(table.find(&old.in_key()).is_none());
    let new = Arc::new(test_conn(1));
    assert_eq!(kind(&table.insert(&new)), "yes");
    table.take(&old.in_key(), &old);
    table.take(&old.out_key(), &old);
    assert!(table.find(&new.in_key()).is_some() && table.find(&new.out_key()).is_some());
}

#[test]
fn one_that_is_half_in_holds_its_key_but_is_not_found() {
    let table = table(10);
    let half = Arc::new(test_conn(1));
    assert!(table.put(half.out_key(), &half, Direction::Out).is_ok());
    assert!(table.find(&half.out_key()).is_none());
    let other_vip = conn(Legs { vip: "10.9.9.9:80".parse().expect("address"), ..test_legs(1) });
    assert_eq!(kind(&table.insert(&other_vip)), "reply taken");
    assert!(table.put(half.in_key(), &half, Direction::In).is_ok());
    assert!(table.find(&half.out_key()).is_some() && table.find(&half.in_key()).is_some());
}

#[test]
fn the_parts_are_the_whole() {
    let table = table(1000);
    let conns: Vec<_> = (0..500).map(|n| Arc::new(test_conn(n))).collect();
    conns.iter().for_each(|conn| assert_eq!(kind(&table.insert(conn)), "yes"));
    let mut seen = Vec::new();
    for index in 0..7 {
        let before = seen.len();
        table.for_each(Part { index, of: 7 }, |conn| seen.push(conn.legs.client));
        assert!(seen.len() - before > 30, "parts of about the same size");
    }
    seen.sort();
    let mut all: Vec<_> = conns.iter().map(|conn| conn.legs.client).collect();
    all.sort();
    assert_eq!(seen, all);
}

/// Workers that make and end connections with the same few keys, in any order and from both sides.
#[test]
fn workers_that_get_in_each_others_way_leave_nothing_behind() {
    const WORKERS: u64 = 4;
    let table = table(20);
    let dests = [test_legs(1).dest, test_legs(2).dest];
    let work = |worker: u64| {
        let mut mine = Vec::new();
        let mut chance = worker;
        for _ in 0..20_000 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bits = chance >> 40;
            let vip = if bits & 1 == 0 { "10.1.0.1:80" } else { "10.1.0.2:80" };
            let dest = Arc::clone(&dests[(bits >> 1 & 1) as usize]);
            let legs = Legs { vip: vip.parse().expect("address"), dest, ..test_legs((bits >> 2 & 3) as u16) };
            let conn = conn(legs);
            match table.insert(&conn) {
                Inserted::Yes => mine.push(conn),
                Inserted::Full => _ = conn.retire(),
                Inserted::ReplyTaken(other) | Inserted::Raced(other) => {
                    conn.retire();
                    if bits >> 4 & 3 == 0
                        && let Some((other, _)) = table.find(&other.out_key())
                    {
                        table.remove(&other);
                    }
                }
            }
            if mine.len() > 3 {
                table.remove(&mine.swap_remove(0));
            }
        }
        mine.iter().for_each(|conn| _ = table.remove(conn));
    };
    std::thread::scope(|scope| {
        (0..WORKERS).for_each(|worker| _ = scope.spawn(move || work(worker)));
    });
    assert_eq!((table.room.held(), table.map.len()), (0, 0));
    for dest in &dests {
        assert_eq!((dest.active.load(Relaxed), dest.inactive.load(Relaxed)), (0, 0));
    }
}
