use super::*;
use crate::conn::{Legs, test_conn, test_legs};

fn conn(legs: Legs) -> Arc<Conn> {
    Arc::new(Conn::new(legs))
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
    let table = ConnTable::new(1, 10);
    let conn = Arc::new(test_conn(1));
    assert_eq!(kind(&table.insert(&conn)), "yes");
    for (key, way) in [(conn.in_key(), Direction::In), (conn.out_key(), Direction::Out)] {
        let (found, direction) = table.find(&key).expect("inserted");
        assert!(Arc::ptr_eq(&found, &conn) && direction == way);
    }
    assert!(table.remove(&conn));
    assert!(!table.remove(&conn), "only one caller removes it");
    assert!(table.find(&conn.in_key()).is_none() && table.find(&conn.out_key()).is_none());
    assert_eq!((table.len(), table.map.len()), (0, 0));
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let table = ConnTable::new(1, 2);
    let first = Arc::new(test_conn(1));
    assert_eq!(kind(&table.insert(&first)), "yes");

    let other_vip = conn(Legs { vip: "10.9.9.9:80".parse().expect("address"), ..test_legs(1) });
    assert_eq!(kind(&table.insert(&other_vip)), "reply taken");
    let same_client = conn(Legs { dest: test_legs(7).dest, ..test_legs(1) });
    assert_ne!(same_client.out_key(), first.out_key());
    assert_eq!(kind(&table.insert(&same_client)), "raced");
    assert_eq!((table.len(), table.map.len()), (1, 2));

    assert_eq!(kind(&table.insert(&Arc::new(test_conn(2)))), "yes");
    assert_eq!(kind(&table.insert(&Arc::new(test_conn(3)))), "full");
    assert_eq!((table.len(), table.map.len()), (2, 4));
}

#[test]
fn one_that_has_ended_is_not_found_and_stands_in_nobodys_way() {
    let table = ConnTable::new(1, 10);
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
fn the_parts_are_the_whole() {
    let table = ConnTable::new(1, 1000);
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
