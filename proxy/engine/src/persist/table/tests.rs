use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;

use sched::{DestLive, ForwardMethod, Proto};

use super::*;

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn template(client: &str, call_id: Option<&str>, dest: &Arc<DestLive>) -> Arc<Template> {
    let client = Client { proto: Some(Proto::Udp), addr: addr(client).ip(), vip: addr("10.0.0.1:5060") };
    let key = TemplateKey { client, call_id: call_id.map(|id| id.as_bytes().into()) };
    Arc::new(Template::new(key, Arc::clone(dest), dest.key, ForwardMethod::Masq, 50_000, 0))
}

fn server() -> Arc<DestLive> {
    Arc::new(DestLive::new(addr("10.1.0.1:5060")))
}

fn templates(room: usize) -> Templates {
    Templates::new(1, Arc::new(Room::new(room)))
}

#[test]
fn a_template_is_found_by_client_and_call() {
    let (table, dest) = (templates(10), server());
    let all = [
        ("10.2.0.1:0", None),
        ("10.2.0.1:0", Some("a")),
        ("10.2.0.1:0", Some("b")),
        ("10.2.0.2:0", Some("a")),
    ];
    let all = all.map(|(client, call)| template(client, call, &dest));
    for one in &all {
        assert!(matches!(table.insert(one), Inserted::Yes));
    }
    for one in &all {
        let found = table.find(&one.key.client, one.key.call_id.as_deref()).expect("inserted");
        assert!(Arc::ptr_eq(&found, one));
    }
    assert!(table.find(&all[0].key.client, Some(b"c")).is_none());
    assert_eq!(dest.persistent.load(Relaxed), 4);
    for one in &all {
        assert!(table.remove(one) && !table.remove(one), "once");
        assert!(table.find(&one.key.client, one.key.call_id.as_deref()).is_none());
    }
    assert_eq!((dest.persistent.load(Relaxed), table.room.held(), table.map.len()), (0, 0, 0));
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let (table, dest) = (templates(1), server());
    let first = template("10.2.0.1:0", None, &dest);
    assert!(matches!(table.insert(&first), Inserted::Yes));
    assert!(matches!(table.insert(&template("10.2.0.2:0", None, &dest)), Inserted::Full));
    table.remove(&first);
    let table = templates(2);
    assert!(matches!(table.insert(&template("10.2.0.1:0", None, &dest)), Inserted::Yes));
    assert!(matches!(table.insert(&template("10.2.0.1:0", None, &dest)), Inserted::Raced(_)));
    assert_eq!((dest.persistent.load(Relaxed), table.room.held(), table.map.len()), (1, 1, 1));
}

#[test]
fn nobody_joins_one_that_has_ended_and_members_keep_it() {
    let (table, dest) = (templates(2), server());
    let one = template("10.2.0.1:0", None, &dest);
    assert!(matches!(table.insert(&one), Inserted::Yes));
    assert!(one.join(10_000));
    assert_eq!(one.timer.deadline(), 60_000, "a new member starts the timer again");
    assert!(!table.expire(&one, 60_500, false));
    assert_eq!(one.timer.deadline(), 110_000, "as long again");
    assert!(!table.expire(&one, 300_000, true));
    assert_eq!(one.timer.deadline(), 350_000, "60 seconds at a time");
    one.leave();
    assert!(table.expire(&one, 350_000, true));
    assert!(!one.join(350_000));
    assert_eq!((dest.persistent.load(Relaxed), table.room.held()), (0, 0));
}

#[test]
fn of_two_at_once_one_is_for_both() {
    for _ in 0..200 {
        let (table, dest, start) = (templates(2), server(), Barrier::new(2));
        let make = || {
            let mine = template("10.2.0.1:0", None, &dest);
            start.wait();
            match table.insert(&mine) {
                Inserted::Raced(other) => other,
                _ => mine,
            }
        };
        let both =
            std::thread::scope(|s| [s.spawn(make), s.spawn(make)].map(|t| t.join().expect("no panic")));
        assert!(Arc::ptr_eq(&both[0], &both[1]));
        assert_eq!((dest.persistent.load(Relaxed), table.room.held()), (1, 1));
    }
}
