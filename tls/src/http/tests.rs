//! What the server and the client get, byte for byte.

use proptest::prelude::*;

use super::*;

fn stamp() -> Stamp {
    Stamp::new("192.0.2.7:40000".parse().unwrap(), "203.0.113.1:443".parse().unwrap(), None)
}

/// What a server gets of this, cut into these pieces, until the exchange holds it.
fn requests(exchange: &mut Exchange, pieces: &[&[u8]], out: &mut Vec<u8>) -> Result<usize, Status> {
    let stamp = stamp();
    let mut taken = 0;
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let n = match exchange.scan_request(rest, Some(&stamp), out)? {
                Scan::Pass(n) => {
                    out.extend(&rest[..n]);
                    n
                }
                Scan::Taken(n) => n,
                Scan::Hold => return Ok(taken),
            };
            rest = &rest[n..];
            taken += n;
        }
    }
    Ok(taken)
}

fn request(text: &str) -> Result<String, Status> {
    let mut out = Vec::new();
    requests(&mut Exchange::new(), &[text.as_bytes()], &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn the_server_is_told_about_the_client() {
    let table = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nSTAMP\r\n"),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nSTAMP\r\n"),
        ("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nSTAMP\r\n"),
        (
            "GET /a?b HTTP/1.1\r\nhost:a\r\nConnection: keep-alive, TE\r\nTE: trailers\r\n\r\n",
            "GET /a?b HTTP/1.1\r\nhost: a\r\nConnection: keep-alive, TE\r\nTE: trailers\r\nSTAMP\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6\r\nHost: a\r\nx-fOrwarded-for: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n\
             X-Forwarded-Proto: http\r\nFORWARDED: for=6.6.6.6\r\nX-SSL-Client-Subject: CN=root\r\nX_SSL_Client_S_DN: root\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nSTAMP\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nSTAMP\r\nhello",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nSTAMP\r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
        ),
        (
            "CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\nnot yet",
            "CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\nSTAMP\r\n",
        ),
        // The second of two has to wait.
        (
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /1 HTTP/1.1\r\nHost: a\r\nSTAMP\r\n",
        ),
    ];
    for (said, got) in table {
        assert_eq!(request(said).as_deref(), Ok(&*got.replace("STAMP", STAMP_LINES)), "{said}");
    }
}

const STAMP_LINES: &str = concat!(
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n",
    "Forwarded: for=192.0.2.7;proto=https;by=203.0.113.1\r\n",
);

#[test]
fn an_ipv6_node_is_quoted_and_a_mapped_one_is_none() {
    let lines = |client: &str, verified| {
        let stamp = Stamp::new(client.parse().unwrap(), "[2001:db8::1]:443".parse().unwrap(), verified);
        String::from_utf8(stamp.lines().to_vec()).unwrap()
    };
    assert_eq!(
        lines("[2001:db8::7]:1", None),
        "X-Forwarded-For: 2001:db8::7\r\nX-Forwarded-Proto: https\r\n\
         Forwarded: for=\"[2001:db8::7]\";proto=https;by=\"[2001:db8::1]\"\r\n"
    );
    assert!(lines("[::ffff:192.0.2.7]:1", None).contains("for=192.0.2.7;"));
    assert!(lines("192.0.2.7:1", Some(None)).ends_with("X-SSL-Client-Verify: NONE\r\n"));
    let subject = lines("192.0.2.7:1", Some(Some("CN=a\r\nX-Evil: 1, O=ö")));
    assert!(
        subject.ends_with("X-SSL-Client-Verify: SUCCESS\r\nX-SSL-Client-Subject: CN=a??X-Evil: 1, O=??\r\n"),
        "{subject}"
    );
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let fields = [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Status::BadRequest),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", Status::BadRequest),
        ("Content-Length: 5\r\nContent-Length: 5", Status::BadRequest),
        ("Content-Length: 5, 5", Status::BadRequest),
        ("Content-Length: +5", Status::BadRequest),
        ("Content-Length: 0x5", Status::BadRequest),
        ("Content-Length:", Status::BadRequest),
        ("Content-Length: 99999999999999999999", Status::BadRequest),
        ("Content_Length: 5", Status::BadRequest),
        ("Transfer_Encoding: chunked", Status::BadRequest),
        ("Transfer-Encoding: gzip, chunked", Status::BadRequest),
        ("Transfer-Encoding: chunked, identity", Status::BadRequest),
        ("Transfer-Encoding: xchunked", Status::BadRequest),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Status::BadRequest),
        ("Transfer-Encoding : chunked", Status::BadRequest),
        ("X: a\r\n b", Status::BadRequest),
        (" X: a", Status::BadRequest),
        ("X: a\0b", Status::BadRequest),
        ("X: a\rb", Status::BadRequest),
        ("X: a\nContent-Length: 5", Status::BadRequest),
        ("no colon", Status::BadRequest),
        ("Host: b", Status::BadRequest),
    ];
    for (field, status) in fields {
        assert_eq!(
            request(&format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\nhello")),
            Err(status),
            "{field:?}"
        );
    }
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(16 * 1024));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(FIELDS));
    let texts = [
        ("GET / HTTP/1.1\r\n\r\n", Status::BadRequest),
        ("GET / HTTP/1.1\nHost: a\n\n", Status::BadRequest),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Status::BadRequest),
        ("GET / \r\nHost: a\r\n\r\n", Status::VersionNotSupported),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Status::VersionNotSupported),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Status::VersionNotSupported),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Status::BadRequest),
        ("CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\nContent-Length: 5\r\n\r\n", Status::BadRequest),
        ("\x16\x03\x01\x02\x00\x01\x00", Status::BadRequest),
        (&*long, Status::HeadTooLarge),
        (&*many, Status::HeadTooLarge),
    ];
    for (text, status) in texts {
        assert_eq!(request(text), Err(status), "{text:?}");
    }
}

#[test]
fn chunks_that_are_none_are_refused() {
    for body in [
        "x\r\n",
        "\r\n",
        "5\nhello\r\n",
        "5\r\nhello0\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "-1\r\n",
        " 5\r\n",
        "5;a\nb\r\n",
        "5;a\0\r\n",
        "00000000000000001\r\n",
        "0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
        "0\r\nx_forwarded_for: 6.6.6.6\r\n\r\n",
        "0\r\nX-SSL-Client-Verify: SUCCESS\r\n\r\n",
        "0\r\n X: a\r\n\r\n",
        "0\r\nX : a\r\n\r\n",
        "0\r\nX: a\n\r\n",
        "0\r\n\rx",
    ] {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(request(&text), Err(Status::BadRequest), "{body:?}");
    }
    let long = format!("5;{}\r\n", "a".repeat(17 * 1024));
    let text = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{long}");
    assert_eq!(request(&text), Err(Status::HeadTooLarge));
}

/// A request, then what a server says: what the client gets, and what `complete` says after it.
fn exchanged(request: &str, response: &str) -> (Result<(), Status>, String, Option<bool>) {
    let mut exchange = Exchange::new();
    requests(&mut exchange, &[request.as_bytes()], &mut Vec::new()).unwrap();
    let mut got = Vec::new();
    let result = exchange.scan_response(response.as_bytes(), &mut |bytes| got.extend(bytes));
    (result, String::from_utf8(got).unwrap(), exchange.complete(true))
}

#[test]
fn it_is_known_where_a_response_ends() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    let old = "GET / HTTP/1.0\r\n\r\n";
    let kept = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n";
    let (yes, no) = (Some(true), Some(false));
    let table = [
        (get, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", yes),
        (get, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", yes),
        (get, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", None),
        (get, "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", yes),
        (get, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", yes),
        (
            get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Forwarded-For: fine\r\n\r\n",
            yes,
        ),
        (get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", None),
        (get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nwhatever", None),
        (get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", no),
        (get, "HTTP/1.1 200 OK\r\n\r\nuntil the end", None),
        (get, "HTTP/1.1 204 No Content\r\n\r\n", yes),
        (get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", yes),
        (
            get,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            yes,
        ),
        (get, "HTTP/1.1 100 Continue\r\n\r\n", None),
        (head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", yes),
        (get, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", no),
        (get, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", no),
        (get, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", yes),
        (old, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", no),
        (kept, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", yes),
        (last, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", no),
    ];
    for (request, response, complete) in table {
        assert_eq!(exchanged(request, response), (Ok(()), response.to_owned(), complete), "{response}");
    }
}

#[test]
fn a_server_that_speaks_no_http_is_not_passed_on() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for response in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        assert_eq!(exchanged(get, response), (Err(Status::BadGateway), String::new(), None), "{response}");
    }
    // What comes after the end is nobody's answer.
    let (result, got, _) = exchanged(get, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    assert_eq!((result, &*got), (Err(Status::BadGateway), "HTTP/1.1 204 No Content\r\n\r\n"));
}

#[test]
fn another_protocol_begins_where_both_want_it() {
    let offer = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nno\0http";
    for (response, passes) in [
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nraw", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false),
    ] {
        let mut exchange = Exchange::new();
        let mut out = Vec::new();
        let held = offer.len() - 7;
        assert_eq!(requests(&mut exchange, &[offer], &mut out), Ok(held), "nothing passes before the answer");
        exchange.scan_response(response.as_bytes(), &mut |_| {}).unwrap();
        exchange.complete(true);
        out.clear();
        let rest = requests(&mut exchange, &[&offer[held..]], &mut out);
        assert_eq!((rest.is_ok(), &out[..] == b"no\0http"), (passes, passes));
    }
}

/// Requests and nonsense that almost is one.
fn almost_requests() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\n",
        "HEAD / HTTP/1.0\r\n",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "X-Forwarded-For: 6.6.6.6\r\n",
        "\r\n",
        "\r\n",
        "\r\n",
        "hello",
        "5\r\n",
        "0\r\n\r\n",
        " ",
        "\n",
        "X_Forwarded_For: 6.6.6.6\r\n",
        "forwarded: for=6.6.6.6\r\n",
        "Upgrade: a\r\n",
        "Connection: upgrade\r\n",
        "\0",
        "X: 1\r\n",
    ]);
    prop::collection::vec(part, 1..14).prop_map(|parts| parts.concat().into_bytes())
}

/// As a server reads requests: the fields of heads, bodies left out. `None` where it cannot be read.
fn fields_as_read(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(n)) = request.parse(bytes) else { return Some(all) };
        bytes = &bytes[n..];
        let mut body = 0;
        for field in &*request.headers {
            all.push(format!(
                "{}: {}",
                field.name.to_ascii_lowercase(),
                String::from_utf8_lossy(field.value)
            ));
            if field.name.eq_ignore_ascii_case("content-length") {
                body = str::from_utf8(field.value).ok()?.parse().ok()?;
            }
            if field.name.eq_ignore_ascii_case("transfer-encoding") {
                return Some(all);
            }
        }
        bytes = bytes.get(body..)?;
    }
    Some(all)
}

/// All that a server gets when it answers each request at once.
fn served(pieces: &[&[u8]]) -> (Vec<u8>, Result<(), Status>) {
    let mut exchange = Exchange::new();
    let mut out = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        loop {
            match requests(&mut exchange, &[rest], &mut out) {
                Err(status) => return (out, Err(status)),
                Ok(n) => rest = &rest[n..],
            }
            if !matches!(exchange.server_ended(), Ended::Unanswered) || exchange.cut() {
                break;
            }
            let _ = exchange
                .scan_response(b"HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n", &mut |_| {});
            if exchange.complete(true) != Some(true) {
                break;
            }
        }
    }
    (out, Ok(()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_client_says_of_itself_never_reaches_a_server(bytes in almost_requests()) {
        let (out, _) = served(&[&bytes]);
        for field in fields_as_read(&out).unwrap_or_default() {
            // As a server may read the name. Others may hold what they like.
            let name = field.split(':').next().unwrap_or_default().trim().to_ascii_lowercase().replace('_', "-");
            let ours = name == "forwarded" || name.starts_with("x-forwarded-") || name.starts_with("x-ssl-client-");
            prop_assert!(!ours || !field.contains("6.6.6.6"), "{}", String::from_utf8_lossy(&out));
        }
    }

    #[test]
    fn however_a_stream_is_cut_the_server_gets_the_same(bytes in almost_requests(), cut: prop::sample::Index) {
        let whole = served(&[&bytes]);
        let (a, b) = bytes.split_at(cut.index(bytes.len()));
        let (out, result) = served(&[a, b]);
        prop_assert_eq!((String::from_utf8_lossy(&out), result), (String::from_utf8_lossy(&whole.0), whole.1));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let (out, result) = served(&single);
        prop_assert_eq!((String::from_utf8_lossy(&out), result), (String::from_utf8_lossy(&whole.0), whole.1));
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..300), split: prop::sample::Index) {
        let (a, b) = bytes.split_at(split.index(bytes.len() + 1).min(bytes.len()));
        let _ = served(&[a, b]);
        let mut exchange = Exchange::new();
        requests(&mut exchange, &[b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], &mut Vec::new()).unwrap();
        for piece in [a, b] {
            let mut n = 0;
            let _ = exchange.scan_response(piece, &mut |bytes| n += bytes.len());
        }
    }
}
