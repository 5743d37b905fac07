use super::*;
use crate::conn::{Between, Birth, test_birth, test_conn};
use crate::state::{Event, tcp};

const LASTS: Millis = 120_000;

fn control(n: u16) -> Conn<'static> {
    let vip = "10.1.0.1:21".parse().unwrap();
    let birth = test_birth(n);
    test_conn(Birth { between: Between { vip, ..birth.between }, ..birth })
}

fn expecting(max: usize) -> Expecting {
    Expecting::new(1, Arc::new(Room::new(max)))
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The client is expected at this port of the VIP.
fn passive(control: &Conn<'_>, port: u16, now: Millis) -> Expected {
    let at = |addr: SocketAddr| SocketAddr::new(addr.ip(), port);
    Expected {
        control: control.keep(),
        from: Direction::In,
        client: SocketAddr::new(control.legs.client.ip(), 0),
        vip: at(control.legs.vip),
        server: at(control.legs.server),
        local: None,
        deadline: now + LASTS,
    }
}

#[test]
fn one_is_taken_once_and_in_time() {
    let (all, control) = (expecting(10), control(1));
    let [client, vip] = [addr("10.0.0.1:7777"), addr("10.1.0.1:2000")];
    assert!(all.is_empty() && all.next_due().is_none());
    assert!(all.expect(passive(&control, 2000, 0), 0));
    assert!(!all.is_empty());
    assert!(all.take(client, addr("10.1.0.1:2001"), 5).is_none());
    assert!(all.take(addr("10.0.0.2:7777"), vip, 5).is_none());
    assert!(all.take(vip, client, 5).is_none());
    assert!(all.take(client, vip, LASTS).is_none());
    assert_eq!(all.take(client, vip, LASTS - 1).unwrap().server, addr("10.2.0.1:2000"));
    assert!(all.take(client, vip, 5).is_none());
    assert!(all.is_empty() && all.room.held() == 0);
}

#[test]
fn the_server_counts_it_until_it_is_given_up() {
    let (all, control) = (expecting(10), control(1));
    let inactive = || control.legs.dest.inactive.load(Relaxed);
    assert_eq!(inactive(), 1);
    assert!(all.expect(passive(&control, 2000, 0), 0));
    assert!(all.expect(passive(&control, 2001, 5000), 5000));
    assert!(all.expect(passive(&control, 2000, 5000), 5000), "again");
    assert_eq!((inactive(), all.room.held()), (3, 2));
    assert_eq!(all.next_due(), Some(SWEEP_MS));
    all.sweep(LASTS);
    assert_eq!(inactive(), 3);
    all.sweep(LASTS + 5000);
    assert_eq!(inactive(), 3, "it has just been looked");
    all.sweep(LASTS + SWEEP_MS);
    assert_eq!((inactive(), all.room.held(), all.next_due()), (1, 0, None));
}

#[test]
fn a_control_connection_takes_along_what_it_expects() {
    let (all, one, other) = (expecting(10), control(1), control(2));
    assert!(all.expect(passive(&one, 2000, 0), 0));
    assert!(all.expect(passive(&other, 2001, 0), 0));
    let [client, vip] = [one.legs.client, addr("10.1.0.1:2001")];
    assert!(all.is_taken(client, vip, &one, 0) && !all.is_taken(client, vip, &other, 0));
    assert!(!all.expect(passive(&one, 2001, 0), 0), "the other one's");
    all.forget(&one);
    assert_eq!(all.room.held(), 1);
    assert!(other.retire());
    assert!(all.take(client, vip, 0).is_none() && !all.is_taken(client, vip, &one, 0));
    assert!(all.expect(passive(&one, 2001, 0), 0), "nobody's any more");
    all.forget(&other);
    assert!(all.take(client, vip, 0).is_some());
}

#[test]
fn nothing_is_expected_of_one_that_is_over() {
    let (all, control) = (expecting(10), control(1));
    assert!(all.expect(passive(&control, 2000, 0), 0));
    control.seen(Direction::In, Some(Event::Tcp(tcp::Event::Rst)), 0, &crate::Knobs::default(), false);
    assert!(all.take(control.legs.client, addr("10.1.0.1:2000"), 0).is_none());
}

#[test]
fn there_is_room_for_few_of_one_and_for_so_many_of_all() {
    let (all, one, other) = (expecting(OF_ONE), control(1), control(2));
    for n in 0..3 * OF_ONE as u16 {
        assert!(all.expect(passive(&one, 2000 + n, 0), 0), "in place of its oldest");
    }
    assert!(!all.expect(passive(&other, 3000, 0), 0));
    assert_eq!(all.room.held(), OF_ONE);
    let vip = |n: u16| SocketAddr::new(one.legs.vip.ip(), 2000 + n);
    assert!(all.take(one.legs.client, vip(15), 0).is_none());
    assert!(all.take(one.legs.client, vip(16), 0).is_some());
    assert!(all.expect(passive(&other, 3000, 0), 0));
}
