use std::sync::atomic::Ordering::Relaxed;

use wire::build;
use wire::packet::head::Head;

use super::*;
use crate::conn::{Between, test_birth};

/// A table, and what one worker knows of it.
struct Here {
    table: &'static ConnTable,
    reader: Reader,
    known: &'static Known,
}

impl Here {
    fn new(max: usize) -> Self {
        Self::at(Box::leak(Box::new(ConnTable::new(1, Arc::new(Room::new(max))))))
    }

    fn at(table: &'static ConnTable) -> Self {
        let (reader, known) = table.reader();
        Self { table, reader, known: Box::leak(Box::new(known)) }
    }

    fn begin(&self, birth: Birth) -> Conn<'static> {
        self.table.begin(self.known, birth, 0).expect("room")
    }

    fn insert(&self, conn: &Conn<'static>) -> Inserted<'static> {
        self.table.insert(self.known, conn)
    }

    fn find(&mut self, key: &FlowKey) -> Option<(Conn<'static>, Direction)> {
        self.table.find(&mut self.reader, self.known, key)
    }

    /// Places taken, and keys.
    fn held(&self) -> (usize, usize) {
        (self.table.room.held(), self.table.index.len())
    }
}

fn from_other_vip(n: u16) -> Birth {
    let birth = test_birth(n);
    Birth { between: Between { vip: "10.9.9.9:80".parse().expect("address"), ..birth.between }, ..birth }
}

fn kind(inserted: &Inserted<'_>) -> &'static str {
    match inserted {
        Inserted::Yes => "yes",
        Inserted::Full => "full",
        Inserted::ReplyTaken(_) => "reply taken",
        Inserted::Raced(_) => "raced",
    }
}

#[test]
fn a_connection_is_found_from_both_sides_until_it_is_removed() {
    let mut here = Here::new(10);
    let conn = here.begin(test_birth(1));
    assert_eq!(kind(&here.insert(&conn)), "yes");
    for (key, way) in [(conn.in_key(), Direction::In), (conn.out_key(), Direction::Out)] {
        let (found, direction) = here.find(&key).expect("inserted");
        assert!(found.id == conn.id && direction == way);
    }
    assert!(here.table.remove(&conn));
    assert!(!here.table.remove(&conn), "only one caller removes it");
    assert!(here.find(&conn.in_key()).is_none() && here.find(&conn.out_key()).is_none());
    assert_eq!(here.held(), (0, 0));
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let here = Here::new(2);
    let first = here.begin(test_birth(1));
    assert_eq!(kind(&here.insert(&first)), "yes");

    let other_vip = here.begin(from_other_vip(1));
    assert_eq!(kind(&here.insert(&other_vip)), "reply taken");
    here.table.discard(&other_vip);
    let (birth, other) = (test_birth(1), test_birth(7));
    let between = Between { server: other.between.server, ..birth.between };
    let same_client = here.begin(Birth { between, ..birth });
    assert_ne!(same_client.out_key(), first.out_key());
    assert_eq!(kind(&here.insert(&same_client)), "raced");
    assert_eq!(here.held(), (1, 2));

    assert_eq!(kind(&here.insert(&here.begin(test_birth(2)))), "yes");
    assert_eq!(kind(&here.insert(&here.begin(test_birth(3)))), "full");
    assert_eq!(here.held(), (2, 4));
}

#[test]
fn one_that_has_ended_is_not_found_and_stands_in_nobodys_way() {
    let mut here = Here::new(10);
    let old = here.begin(test_birth(1));
    assert_eq!(kind(&here.insert(&old)), "yes");
    // As another worker sees it in the middle of a removal.
    assert!(old.retire());
    assert!(here.find(&old.in_key()).is_none());
    let new = here.begin(test_birth(1));
    assert_eq!(kind(&here.insert(&new)), "yes");
    here.table.take(&old, Direction::In);
    here.table.take(&old, Direction::Out);
    assert!(here.find(&new.in_key()).is_some() && here.find(&new.out_key()).is_some());
}

#[test]
fn what_was_found_by_looking_ahead_is_found_as_long_as_it_is_there() {
    let mut here = Here::new(10);
    let begin = |here: &Here| {
        let birth = test_birth(1);
        let conn = here.begin(Birth { between: Between { proto: Proto::Udp, ..birth.between }, ..birth });
        assert_eq!(kind(&here.insert(&conn)), "yes");
        conn
    };
    let first = begin(&here);
    let packet = build::udp(first.legs.client, first.legs.vip).bytes();
    let head = Head::<false>::of(&packet).expect("a plain packet");
    let mut hints = [here.table.hint(&AnyHead::V4(head))];
    here.table.fetch(&mut here.reader, here.known, Writer(0), &mut hints);
    assert_eq!(hints[0].entry.map(|entry| entry.at), Some(first.id.at));
    let find = |here: &mut Here, hint: Option<&Hint>| {
        let found = here.table.find_usual(&mut here.reader, here.known, &head, hint);
        found.map(|found| found.place())
    };
    let [found] = &hints;
    let hash_only = Hint { entry: None, ..*found };
    let wrong = Hint { entry: Some(Entry { at: first.id.at, direction: Direction::Out }), ..*found };
    for hint in [None, Some(found), Some(&hash_only), Some(&wrong)] {
        assert_eq!(find(&mut here, hint), Some(first.identity()), "{hint:?}");
    }
    assert!(here.table.remove(&first));
    assert_eq!(find(&mut here, Some(found)), None);
    let other = begin(&here);
    for hint in [None, Some(found), Some(&hash_only)] {
        assert_eq!(find(&mut here, hint), Some(other.identity()), "another in its place: {hint:?}");
    }
    here.table.leave_client(&other);
    for hint in [None, Some(found), Some(&hash_only)] {
        assert_eq!(find(&mut here, hint), None, "not its client's any more: {hint:?}");
    }
}

#[test]
fn one_that_is_half_in_holds_its_key_but_is_not_found() {
    let mut here = Here::new(10);
    let half = here.begin(test_birth(1));
    assert!(here.table.put(here.known, &half, Direction::Out).is_ok());
    assert!(here.find(&half.out_key()).is_none());
    assert_eq!(kind(&here.insert(&here.begin(from_other_vip(1)))), "reply taken");
    assert!(here.table.put(here.known, &half, Direction::In).is_ok());
    assert!(here.find(&half.out_key()).is_some() && here.find(&half.in_key()).is_some());
}

#[test]
fn the_parts_are_the_whole() {
    let here = Here::new(1000);
    let conns: Vec<_> = (0..500).map(|n| here.begin(test_birth(n))).collect();
    conns.iter().for_each(|conn| assert_eq!(kind(&here.insert(conn)), "yes"));
    let mut seen = Vec::new();
    for index in 0..7 {
        let before = seen.len();
        here.table.for_each(Part { index, of: 7 }, |conn| seen.push(conn.legs.client));
        assert!(seen.len() - before > 30, "parts of about the same size");
    }
    seen.sort();
    let mut all: Vec<_> = conns.iter().map(|conn| conn.legs.client).collect();
    all.sort();
    assert_eq!(seen, all);
}

#[test]
fn a_place_is_used_again_by_another_connection_and_who_kept_the_first_knows() {
    let mut here = Here::new(10);
    let first = here.begin(test_birth(1));
    assert_eq!(kind(&here.insert(&first)), "yes");
    let kept = first.keep();
    assert!(kept.is_live());
    assert!(here.table.remove(&first));
    let again = (2..60_000).find_map(|n| {
        let conn = here.begin(test_birth(n));
        assert_eq!(kind(&here.insert(&conn)), "yes");
        if conn.id.at == first.id.at {
            return Some(conn);
        }
        assert!(here.table.remove(&conn));
        None
    });
    let again = again.expect("the slab is no larger than it must be");
    assert!(!kept.is_live() && again.keep().is_live());
    assert!(!first.retire(), "it is not the second one's end");
    assert!(here.find(&first.in_key()).is_none() && here.find(&again.in_key()).is_some());
}

#[test]
fn many_connections_of_few_keys_are_all_found() {
    let mut here = Here::new(30_000);
    let conns: Vec<_> = (0..30_000).map(|n| here.begin(test_birth(n))).collect();
    conns.iter().for_each(|conn| assert_eq!(kind(&here.insert(conn)), "yes"));
    // Those that stay are found among the places of those that went.
    let (go, stay) = conns.split_at(20_000);
    go.iter().for_each(|conn| assert!(here.table.remove(conn)));
    for conn in stay {
        for (key, way) in [(conn.in_key(), Direction::In), (conn.out_key(), Direction::Out)] {
            assert!(
                here.find(&key).is_some_and(|(found, direction)| found.id == conn.id && direction == way)
            );
        }
    }
    assert!(go.iter().all(|conn| here.find(&conn.in_key()).is_none()));
    assert_eq!(here.held(), (10_000, 20_000));
}

/// Workers that make and end connections with the same few keys, in any order and from both sides.
#[test]
fn workers_that_get_in_each_others_way_leave_nothing_behind() {
    const WORKERS: u64 = 4;
    let table = Here::new(20).table;
    let dests = [test_birth(1).between.dest, test_birth(2).between.dest];
    let service = test_birth(1).between.service;
    let work = |worker: u64| {
        let mut here = Here::at(table);
        let mut mine = Vec::new();
        let mut chance = worker;
        for _ in 0..20_000 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bits = chance >> 40;
            let vip = if bits & 1 == 0 { "10.1.0.1:80" } else { "10.1.0.2:80" };
            let dest = Arc::clone(&dests[(bits >> 1 & 1) as usize]);
            let (vip, service) = (vip.parse().expect("address"), Arc::clone(&service));
            let birth = test_birth((bits >> 2 & 3) as u16);
            let conn =
                here.begin(Birth { between: Between { vip, dest, service, ..birth.between }, ..birth });
            match here.insert(&conn) {
                Inserted::Yes => mine.push(conn),
                Inserted::Full => table.discard(&conn),
                Inserted::ReplyTaken(other) | Inserted::Raced(other) => {
                    table.discard(&conn);
                    if bits >> 4 & 3 == 0
                        && let Some((other, _)) = here.find(&other.out_key())
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
    assert_eq!((table.room.held(), table.index.len()), (0, 0));
    assert_eq!(table.courses.held(), 0);
    for dest in &dests {
        assert_eq!((dest.active.load(Relaxed), dest.inactive.load(Relaxed)), (0, 0));
    }
}
