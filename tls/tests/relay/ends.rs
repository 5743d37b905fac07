//! How sessions end: each way in which one side can.

use std::{io::Write, time::Duration};

use rustls::version::{TLS12, TLS13};
use tls::{How, Leg, Timeout};

use crate::world::{World, client_config, terms};

fn established() -> World {
    World::established(terms())
}

#[test]
fn bytes_go_both_ways() {
    for version in [&TLS12, &TLS13] {
        let mut world = World::new(terms(), client_config(version, &[]));
        world.run();
        assert_eq!(world.ask("hello"), "hello");
        assert_eq!(world.answer("hello yourself"), "hello yourself");
        assert_eq!((world.counters.up.get(), world.counters.down.get()), (5, 14));
    }
}

#[test]
fn the_server_may_speak_first() {
    let mut world = established();
    assert_eq!(world.answer("220 ready\r\n"), "220 ready\r\n");
}

#[test]
fn a_client_that_says_its_end_still_gets_the_answer() {
    let mut world = established();
    world.client.say("question");
    world.client.tls.send_close_notify();
    world.run();
    assert_eq!(world.served(), "question");
    assert!(world.server().ended());
    assert_eq!(world.answer("answer"), "answer");
    assert!(!world.client.ended && world.end.is_none());
    world.server().shutdown();
    world.run();
    assert!(world.client.ended && world.client.leg.ended());
    world.client.leg.shutdown();
    world.run();
    assert_eq!(world.end, Some(How::Closed));
}

#[test]
fn a_server_that_says_its_end_still_gets_the_rest() {
    let mut world = established();
    world.answer("last");
    world.server().shutdown();
    world.run();
    assert!(world.client.ended && world.client.leg.ended());
    assert_eq!(world.ask("and you"), "and you");
    world.client.tls.send_close_notify();
    world.run();
    assert!(world.server().ended() && !world.server().is_reset());
    world.client.leg.shutdown();
    world.run();
    assert_eq!(world.end, Some(How::Closed));
}

#[test]
fn an_end_without_close_notify_is_no_end_for_the_server() {
    let mut world = established();
    world.client.say("half of");
    world.client.leg.shutdown();
    world.run();
    assert_eq!(world.end, Some(How::ClientGone));
    assert!(world.server().is_reset() && world.client.leg.is_reset());
}

#[test]
fn a_reset_of_either_side_is_one_for_the_other() {
    let mut world = established();
    world.client.leg.abort();
    world.run();
    assert!(world.server().is_reset());
    assert_eq!(world.end, Some(How::ClientGone));

    let mut world = established();
    world.server().abort();
    world.run();
    assert!(world.client.leg.is_reset() && !world.client.ended);
    assert_eq!(world.end, Some(How::ServerGone));
}

#[test]
fn silence_ends_a_session_and_both_sides_learn() {
    let mut world = established();
    world.ask("hello");
    world.wait(Duration::from_secs(3599));
    assert!(world.end.is_none());
    world.wait(Duration::from_secs(1));
    assert_eq!(world.end, Some(How::TimedOut(Timeout::Idle)));
    assert!(world.server().is_reset() && world.client.leg.is_reset());
}

#[test]
fn a_byte_in_time_keeps_a_session() {
    let mut world = established();
    for _ in 0..5 {
        world.wait(Duration::from_secs(3000));
        assert_eq!(world.answer("."), ".");
    }
    assert!(world.end.is_none());
}

#[test]
fn half_closed_sessions_have_less_time() {
    let mut world = established();
    world.client.tls.send_close_notify();
    world.run();
    for _ in 0..3 {
        world.wait(Duration::from_secs(59));
        assert_eq!(world.answer("."), ".");
    }
    world.wait(Duration::from_secs(60));
    assert_eq!(world.end, Some(How::TimedOut(Timeout::HalfClosed)));
    assert!(world.server().is_reset());
}

#[test]
fn a_client_that_does_not_hear_the_end_is_left() {
    let mut world = established();
    world.client.tls.send_close_notify();
    world.run();
    world.server().shutdown();
    world.run();
    assert!(world.end.is_none(), "the client has not closed its side of TCP");
    world.wait(Duration::from_secs(2));
    assert_eq!(world.end, Some(How::Closed));
}

#[test]
fn nothing_happens_where_nothing_can() {
    let mut world = established();
    for _ in 0..3 {
        assert!(!world.turn());
    }
    assert!(world.end.is_none());
    assert_eq!(world.relay.buffered(), 0);
    let timeout = world.relay.poll_timeout().unwrap();
    assert!(timeout > world.now, "a timeout that has passed would be a busy loop");
}

#[test]
fn damaged_ciphertext_is_the_end() {
    let mut world = established();
    world.client.leg.write_all(&[23, 3, 3, 0, 20]).unwrap();
    world.client.leg.write_all(&[7; 20]).unwrap();
    world.run();
    assert!(
        world.client.error.as_ref().is_some_and(|e| e.contains("BadRecordMac")),
        "{:?}",
        world.client.error
    );
    assert!(world.server().is_reset());
}
