//! HTTP within TLS: what is told to whom, and when a server is had.

use std::{io::Write, sync::Arc, time::Duration};

use rustls::version::TLS13;
use tls::{How, Leg, Terms, Timeout};

use crate::world::{Front, World, client_config, http_terms, server_config};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";

fn established() -> World {
    World::established(http_terms())
}

fn pooled() -> World {
    World::established(Terms { pool: true, ..http_terms() })
}

#[test]
fn every_request_of_a_connection_tells_about_the_client() {
    let mut world = established();
    for _ in 0..3 {
        let got = world.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
        assert!(got.contains("X-Forwarded-For: 192.0.2.7\r\n"), "{got}");
        assert!(!got.contains("6.6.6.6"), "{got}");
        assert_eq!(world.answer(OK), OK);
    }
    assert_eq!(world.connects.len(), 1);
}

#[test]
fn requests_that_come_together_are_asked_one_after_the_other() {
    let mut world = established();
    let got = world.ask("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(got.starts_with("GET /1 ") && !got.contains("/2"), "{got}");
    world.answer(OK);
    assert!(world.served().starts_with("GET /2 "));
    assert_eq!(world.answer(OK), OK);
}

#[test]
fn who_a_client_has_proved_to_be_is_told() {
    let mut terms = http_terms();
    terms.accept = Arc::new(Front { config: Arc::new(server_config(&[], true)), asks: true });
    let mut world = World::established(terms);
    let got = world.ask("GET / HTTP/1.1\r\nHost: a\r\nX-SSL-Client-Verify: SUCCESS\r\n\r\n");
    assert!(got.contains("X-SSL-Client-Verify: NONE\r\n") && !got.contains("SUCCESS"), "{got}");
}

#[test]
fn h2_passes_untouched() {
    let mut terms = http_terms();
    terms.accept = Arc::new(Front { config: Arc::new(server_config(&[b"h2"], false)), asks: false });
    let mut world = World::new(terms, client_config(&TLS13, &[b"h2"]));
    world.run();
    assert_eq!(world.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

#[test]
fn a_body_waits_for_the_word_to_go_on() {
    let mut world = established();
    let got = world.ask("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert!(got.contains("Expect: 100-continue\r\n"));
    assert_eq!(world.answer("HTTP/1.1 100 Continue\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(world.ask("hello"), "hello");
    assert_eq!(world.answer(OK), OK);
}

#[test]
fn after_an_upgrade_bytes_are_bytes() {
    let mut world = established();
    world.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    world.answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(world.ask("\0\x01 not\nhttp"), "\0\x01 not\nhttp");
    assert_eq!(world.answer("nor this"), "nor this");
    world.client.tls.send_close_notify();
    world.run();
    assert!(world.server().ended());
    world.server().shutdown();
    world.run();
    assert!(world.client.ended);
}

#[test]
fn an_upgrade_that_the_server_does_not_want_is_no_way_around() {
    let mut world = established();
    world.client.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    world.run();
    world.served();
    world.answer(OK);
    let got = world.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
    assert!(got.contains("X-Forwarded-For: 192.0.2.7\r\n") && !got.contains("6.6.6.6"), "{got}");
}

#[test]
fn what_is_no_http_is_refused_and_the_server_not_bothered() {
    for (said, status) in [
        ("GET / HTTP/1.1\n\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(17_000)), 431),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), 505),
    ] {
        let mut world = established();
        world.client.say(said);
        world.run();
        assert!(world.client.heard().starts_with(&format!("HTTP/1.1 {status} ")), "{}", world.client.heard());
        assert!(world.client.ended && world.client.leg.ended());
        world.client.leg.shutdown();
        world.run();
        assert_eq!(world.end, Some(How::Rejected(status)));
        assert!(world.connects.is_empty());
    }
}

#[test]
fn a_body_that_goes_wrong_resets_the_server() {
    let mut world = established();
    world.ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    world.client.say("nonsense\r\n");
    world.run();
    assert!(world.server().is_reset());
    assert!(world.client.heard().starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_request_that_is_cut_is_never_a_whole_one() {
    for cut in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        for clean in [false, true] {
            let mut world = established();
            world.ask(cut);
            if clean {
                world.client.tls.send_close_notify();
                world.client.pump();
            }
            world.client.leg.shutdown();
            world.run();
            assert!(world.server().is_reset(), "{cut:?}");
        }
    }
}

#[test]
fn a_client_that_just_closes_after_its_request_is_answered() {
    let mut world = established();
    world.ask(GET);
    world.client.leg.shutdown();
    world.run();
    assert!(world.server().ended());
    assert_eq!(world.answer(OK), OK);
    world.run();
    assert_eq!(world.end, Some(How::Closed));
}

#[test]
fn a_server_that_closes_without_an_answer_is_a_bad_gateway() {
    for reset in [false, true] {
        let mut world = established();
        world.ask(GET);
        if reset {
            world.server().abort()
        } else {
            world.server().shutdown()
        }
        world.run();
        assert!(world.client.heard().starts_with("HTTP/1.1 502 "), "{}", world.client.heard());
    }
}

#[test]
fn half_an_answer_is_no_answer() {
    let mut world = established();
    world.ask(GET);
    assert_eq!(
        world.answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"),
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"
    );
    world.server().shutdown();
    world.run();
    assert!(world.client.leg.is_reset() && !world.client.ended);
    assert_eq!(world.end, Some(How::ServerGone));
}

#[test]
fn a_body_may_end_with_the_connection() {
    let mut world = established();
    world.ask(GET);
    let response = "HTTP/1.1 200 OK\r\n\r\nall of it";
    world.answer(response);
    world.server().shutdown();
    world.run();
    assert_eq!(world.client.heard(), response);
    assert!(world.client.ended);
}

#[test]
fn a_server_that_closes_while_nothing_is_asked_takes_the_client_along() {
    let mut world = established();
    world.ask(GET);
    world.answer(OK);
    world.server().write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
    world.server().shutdown();
    world.run();
    assert!(world.client.ended && !world.client.leg.is_reset());
    assert_eq!(world.client.heard(), OK);
}

#[test]
fn the_last_answer_and_the_end_leave_together() {
    for (request, response) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", OK),
        (GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"),
        (GET, "HTTP/1.0 200 OK\r\n\r\nuntil the end"),
    ] {
        let mut world = established();
        world.ask(request);
        let writes = |world: &World| world.near.wire.borrow().back.writes;
        let before = writes(&world);
        let server = world.server();
        server.write_all(response.as_bytes()).unwrap();
        server.shutdown();
        world.run();
        assert_eq!(world.client.got, response.as_bytes());
        assert!(world.client.ended);
        assert_eq!(writes(&world), before + 1, "{response}");
    }
}

#[test]
fn what_came_before_a_reset_goes_on_before_it() {
    let mut world = established();
    world.ask(GET);
    world.server().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").unwrap();
    world.server().shutdown();
    world.turn();
    assert!(world.client.leg.is_reset());
    assert_eq!(world.near.wire.borrow().back.writes, 3, "the handshake's two, and the answer's beginning");
}

#[test]
fn the_last_answer_is_the_last() {
    let mut world = established();
    world.ask(GET);
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(world.answer(response), response);
    assert!(world.client.ended);
}

#[test]
fn a_head_that_dawdles_is_told_so_and_silence_is_not() {
    let mut world = established();
    world.client.say("GET / HTTP/1.1\r\n");
    world.run();
    world.wait(Duration::from_secs(30));
    assert!(world.client.heard().starts_with("HTTP/1.1 408 "), "{}", world.client.heard());

    let mut world = established();
    world.wait(Duration::from_secs(30));
    assert_eq!(world.client.heard(), "");
    assert!(world.client.ended);
    world.wait(Duration::from_secs(2));
    assert_eq!(world.end, Some(How::TimedOut(Timeout::Head)));

    let mut world = established();
    world.ask(GET);
    world.answer(OK);
    world.wait(Duration::from_secs(3599));
    assert!(world.end.is_none() && !world.client.ended, "between requests there is time");
    world.client.say("G");
    world.run();
    world.wait(Duration::from_secs(30));
    assert!(world.client.heard().contains("HTTP/1.1 408 "));
}

#[test]
fn a_server_that_never_answers_is_a_gateway_timeout() {
    let mut world = established();
    world.ask(GET);
    world.wait(Duration::from_secs(3600));
    assert!(world.client.heard().starts_with("HTTP/1.1 504 "), "{}", world.client.heard());
    assert!(world.server().is_reset());
}

#[test]
fn with_a_pool_a_server_is_had_for_one_request() {
    let mut world = pooled();
    for n in 1..4 {
        assert!(world.ask(GET).starts_with("GET / "));
        assert_eq!(world.answer(OK), OK);
        assert_eq!((world.connects.len(), world.free.len()), (n, 1));
        assert!(world.leg.is_none());
    }
    world.client.tls.send_close_notify();
    world.run();
    assert!(world.client.ended);
    assert!(!world.server().ended() && !world.server().is_reset(), "it is others' now");
}

#[test]
fn a_leg_that_has_died_in_the_pool_is_replaced() {
    for reset in [false, true] {
        let mut world = pooled();
        world.ask(GET);
        world.answer(OK);
        if reset {
            world.server().abort()
        } else {
            world.server().shutdown()
        }
        assert!(world.ask("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("GET /2 "));
        assert_eq!(world.connects.len(), 3);
        assert_eq!(world.answer(OK), OK);
    }
}

#[test]
fn what_may_not_be_asked_twice_is_not() {
    let mut world = pooled();
    world.ask(GET);
    world.answer(OK);
    world.server().shutdown();
    world.client.got.clear();
    world.client.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    world.run();
    assert!(world.client.heard().starts_with("HTTP/1.1 502 "), "{}", world.client.heard());
}

#[test]
fn a_leg_with_a_preface_is_one_clients() {
    let mut world = pooled();
    world.preface = b"PROXY\r\n".to_vec();
    assert!(world.ask(GET).starts_with("PROXY\r\nGET / "));
    world.answer(OK);
    assert!(world.ask(GET).starts_with("GET / "));
    world.answer(OK);
    assert_eq!((world.free.len(), world.connects.len()), (0, 1));
}

#[test]
fn a_server_that_closes_an_old_leg_leaves_it_to_the_client_to_ask_again() {
    for reset in [false, true] {
        let mut world = established();
        world.ask(GET);
        world.answer(OK);
        world.client.got.clear();
        // The two cross each other.
        if reset {
            world.server().abort()
        } else {
            world.server().shutdown()
        }
        world.client.say(GET);
        world.run();
        assert_eq!(world.client.heard(), "");
        assert!(world.client.ended && !world.client.leg.is_reset());
    }
}

#[test]
fn a_leg_is_not_free_before_it_has_the_whole_request() {
    let mut world = pooled();
    world.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n");
    world.server().wire.borrow_mut().there.room = 1000;
    world.client.say(vec![b'a'; 9000]);
    world.client.say(GET);
    world.run();
    assert_eq!(world.answer(OK), OK);
    assert!(world.free.is_empty() && world.leg.is_some());
    world.server().wire.borrow_mut().there.room = usize::MAX;
    world.run();
    // The same leg, as it happens: it was free by then.
    assert_eq!(world.connects.len(), 2);
    assert!(world.served().starts_with(&format!("{}GET / ", "a".repeat(9000))));
}
