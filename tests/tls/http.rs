//! HTTP/1.1 through a front, at its corners: what is unclear never reaches a server.

use lab::addr::Family;
use lab::topo::NatOptions;

use super::peers::{Peer, Port};
use super::site::{End, Session, Site};
use crate::support::Engine;

over_both_stacks! {
    requests_may_come_in_a_row_and_bodies_in_chunks,
    a_server_decides_whether_a_body_is_to_come,
    answers_without_a_body_end_with_their_head,
    after_an_upgrade_bytes_are_bytes,
    what_can_be_read_in_two_ways_reaches_nobody,
    pipelined_pages_come_in_order,
}

const PORT: u16 = 8000;

/// Clients and a server that says what the test wants, with and without a pool.
fn each(stack: &'static str, case: impl Fn(Session, &Port)) {
    let site = Site::new(stack, &NatOptions { servers: 1, ..NatOptions::default() });
    let port = Port::listen(&site.scene.lab.servers[0], PORT);
    let engine: Engine<'_> = site.engine();
    for (family, more) in [(Family::V4, ""), (Family::V6, "--pool 4")] {
        let vip = site.serve(&engine, family, PORT, "rr", more);
        case(site.client().open(vip), &port);
    }
    assert_eq!(engine.status().drops(), [].into());
    engine.stop();
}

/// The whole head of a request or an answer, word for word.
fn pass(session: &mut Session, peer: &mut Peer, request: &str, answer: &str) {
    session.say(request.as_bytes());
    assert_eq!(peer.hear(request.len()), request);
    peer.say(answer.as_bytes());
    assert_eq!(session.hear(answer.len()), answer);
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn requests_may_come_in_a_row_and_bodies_in_chunks(stack: &'static str) {
    each(stack, |mut session, port| {
        let chunked = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n";
        session.say(chunked.as_bytes());
        let mut peer = port.take();
        assert_eq!(peer.hear(chunked.len()), chunked);
        let answer =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: t\r\n\r\n";
        peer.say(answer.as_bytes());
        assert_eq!(session.hear(answer.len()), answer);
        pass(&mut session, &mut peer, "PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz", OK);
        session.end();
        assert_eq!(session.rest(), (String::new(), End::Clean));
    });
}

fn a_server_decides_whether_a_body_is_to_come(stack: &'static str) {
    each(stack, |mut session, port| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
        session.say(head.as_bytes());
        let mut peer = port.take();
        assert_eq!(peer.hear(head.len()), head);
        peer.is_silent();
        let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        peer.say(go_on.as_bytes());
        assert_eq!(session.hear(go_on.len()), go_on);
        session.say(b"body");
        assert_eq!(peer.hear(4), "body");
        peer.say(OK.as_bytes());
        assert_eq!(session.hear(OK.len()), OK);
    });
}

fn answers_without_a_body_end_with_their_head(stack: &'static str) {
    each(stack, |mut session, port| {
        let head = "HEAD /long HTTP/1.1\r\nHost: a\r\n\r\n";
        session.say(head.as_bytes());
        let mut peer = port.take();
        assert_eq!(peer.hear(head.len()), head);
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        peer.say(answer.as_bytes());
        assert_eq!(session.hear(answer.len()), answer);
        let get = "GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\n\r\n";
        for answer in [
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000000\r\nETag: \"x\"\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            OK,
        ] {
            pass(&mut session, &mut peer, get, answer);
        }
    });
}

fn after_an_upgrade_bytes_are_bytes(stack: &'static str) {
    each(stack, |mut session, port| {
        let ask = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        session.say(ask.as_bytes());
        let mut peer = port.take();
        assert_eq!(peer.hear(ask.len()), ask);
        let yes = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        peer.say(yes.as_bytes());
        assert_eq!(session.hear(yes.len()), yes);
        for _ in 0..3 {
            session.say(b"\x01\x03GET\r\n\r\n");
            assert_eq!(peer.hear(9), "\x01\x03GET\r\n\r\n");
            peer.say(b"not http at all\r\n");
            assert_eq!(session.hear(17), "not http at all\r\n");
        }
        peer.end();
        assert_eq!(session.rest(), (String::new(), End::Clean));
    });
}

fn what_can_be_read_in_two_ways_reaches_nobody(stack: &'static str) {
    let site = Site::new(stack, &NatOptions { servers: 1, ..NatOptions::default() });
    let port = Port::listen(&site.scene.lab.servers[0], PORT);
    let engine = site.engine();
    let vip = site.serve(&engine, Family::V4, PORT, "rr", "");
    let post = |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}");
    let smuggled = "0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n";
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    for (status, request) in [
        (400, post("Content-Length: 4\r\nTransfer-Encoding: chunked", smuggled)),
        (400, post("Content-Length: 4\r\nContent-Length: 5", smuggled)),
        (400, post("Content-Length: +4", smuggled)),
        (400, post("Content-Length : 4", smuggled)),
        (400, post("Transfer-Encoding: xchunked", smuggled)),
        (400, post("Transfer-Encoding: chunked, identity", smuggled)),
        (400, post("Transfer-Encoding:\x0bchunked", smuggled)),
        (400, post("X: a\n b\r\nTransfer-Encoding\t: chunked", smuggled)),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_owned()),
        (400, "no http\r\n\r\n".to_owned()),
        (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned()),
        (431, long),
    ] {
        let answer = site.client().ask(vip, &request);
        let expected = format!("HTTP/1.1 {status} ");
        let begin: String = request.chars().take(120).collect();
        assert!(answer.starts_with(&expected), "{begin:?}: {answer}");
    }
    assert!(port.try_take().is_none(), "a server was asked");
    // Within a body everything is body.
    let body = "GET /secret HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = post(&format!("Content-Length: {}", body.len()), body);
    let mut session = site.client().open(vip);
    session.say(request.as_bytes());
    let mut peer = port.take();
    assert_eq!(peer.hear(request.len()), request);
    peer.is_silent();
    engine.stop();
}

/// By a real server.
fn pipelined_pages_come_in_order(stack: &'static str) {
    let site = Site::new(stack, &NatOptions { servers: 1, ..NatOptions::default() });
    let engine = site.engine();
    for (family, more) in [(Family::V4, ""), (Family::V6, "--pool 4")] {
        let vip = site.serve(&engine, family, 80, "rr", more);
        let mut session = site.client().open(vip);
        let requests: String =
            (1..=20).map(|n| format!("GET /bytes/{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        session.say(requests.as_bytes());
        for n in 1..=20 {
            let head = session.hear_until("\r\n\r\n");
            assert!(head.contains(&format!("Content-Length: {n}\r\n")), "{head}");
            session.hear(n);
        }
    }
    engine.stop();
}
