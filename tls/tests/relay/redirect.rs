//! Port 80.

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use tls::{How, Leg, Next, Redirect, RedirectTerms, Scratch, Timeout};

use crate::wire::{WireEnd, wire};

struct Port80 {
    redirect: Redirect,
    client: WireEnd,
    near: WireEnd,
    now: Instant,
    scratch: Scratch,
}

impl Port80 {
    fn new(port: u16) -> Self {
        let now = Instant::now();
        let terms = RedirectTerms { port, host: "www.example".to_owned(), head: Duration::from_secs(30) };
        let (client, near) = wire();
        Self { redirect: Redirect::new(Arc::new(terms), now), client, near, now, scratch: Scratch::new() }
    }

    fn drive(&mut self) -> Next {
        self.redirect.drive(&mut self.near, self.now, &mut self.scratch)
    }

    fn ask(&mut self, request: &str) -> String {
        self.client.write_all(request.as_bytes()).unwrap();
        self.drive();
        String::from_utf8(self.client.take()).unwrap()
    }
}

#[test]
fn a_request_is_sent_to_where_tls_is() {
    let table = [
        (443, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "https://a.example/"),
        (443, "GET /b?c=d HTTP/1.1\r\nHost: a.example:80\r\n\r\n", "https://a.example/b?c=d"),
        (8443, "HEAD /b HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", "https://a.example:8443/b"),
        (443, "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", "https://[2001:db8::1]/"),
        (443, "GET http://b.example:80/c HTTP/1.1\r\nHost: a.example\r\n\r\n", "https://b.example/c"),
        (443, "GET http://b.example HTTP/1.1\r\nHost: a.example\r\n\r\n", "https://b.example/"),
        (443, "GET / HTTP/1.0\r\n\r\n", "https://www.example/"),
        // No host that could be one.
        (443, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "https://www.example/"),
        (443, "GET / HTTP/1.1\r\nHost: evil@a\r\n\r\n", "https://www.example/"),
        (443, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "https://www.example/"),
        (443, "GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n", "https://www.example/"),
        (443, "GET / HTTP/1.1\r\nHost:\r\n\r\n", "https://www.example/"),
    ];
    for (port, request, location) in table {
        let answer = Port80::new(port).ask(request);
        assert!(answer.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{request}: {answer}");
        assert!(answer.contains(&format!("\r\nLocation: {location}\r\n")), "{request}: {answer}");
        assert!(answer.contains("\r\nContent-Length: 0\r\n"), "{answer}");
    }
}

#[test]
fn the_connection_is_kept_where_that_is_safe() {
    let table = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", false),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", true),
    ];
    for (request, kept) in table {
        let mut port = Port80::new(443);
        let answer = port.ask(request);
        assert_eq!(answer.contains("Connection: close\r\n"), !kept, "{request}");
        assert_eq!(port.client.ended(), !kept, "{request}");
        assert_eq!(port.ask(request).starts_with("HTTP/1.1 308 "), kept, "{request}");
        port.client.shutdown();
        assert!(matches!(port.drive(), Next::Ended(How::Closed)), "{request}");
    }
}

#[test]
fn requests_may_come_in_pieces_and_together() {
    let mut port = Port80::new(443);
    for byte in "GET /1 HTTP/1.1\r\nHost: a\r\n\r".chars() {
        assert_eq!(port.ask(&byte.to_string()), "");
    }
    let answers = port.ask("\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    let paths: Vec<_> = answers.lines().filter_map(|line| line.strip_prefix("Location: https://a")).collect();
    assert_eq!(paths, ["/1", "/2", "/3"]);
}

#[test]
fn what_is_no_request_is_refused() {
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(17_000));
    for (request, status) in [
        ("\x16\x03\x01\x02\x00\x01\x00\x01\n", 400),
        ("GET /\n\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET http://evil@b/ HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
        (&*long, 431),
    ] {
        let mut port = Port80::new(443);
        let answer = port.ask(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(port.client.ended());
        port.client.shutdown();
        assert!(matches!(port.drive(), Next::Ended(How::Rejected(n)) if n == status));
    }
}

#[test]
fn a_client_that_does_not_listen_gets_no_more_answers() {
    let mut port = Port80::new(443);
    port.near.wire.borrow_mut().back.room = 100;
    let many = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000);
    port.ask(&many);
    assert!(port.near.wire.borrow().there.queue.len() > many.len() - 10_000);
}

#[test]
fn a_client_that_says_nothing_is_left() {
    let mut port = Port80::new(443);
    port.ask("GET /");
    assert_eq!(port.redirect.poll_timeout(), port.now + Duration::from_secs(30));
    port.now += Duration::from_secs(30);
    assert!(matches!(port.drive(), Next::Ended(How::TimedOut(Timeout::Head))));
    assert!(port.client.is_reset());
}
