use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use sched::{BodyTest, CheckKind, HttpUrl};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::super::tests::{Alone, ask, ask_for, endless, says, serve, soon_why, target, tools, why};
use super::super::{Question, Success, Target};
use super::*;

fn url(url: HttpUrl) -> CheckKind {
    CheckKind::Http(HttpCheck { urls: vec![url], ..HttpCheck::default() })
}

fn root() -> CheckKind {
    CheckKind::Http(HttpCheck::default())
}

fn body(tests: &[BodyTest]) -> CheckKind {
    url(HttpUrl { body: tests.to_vec(), ..HttpUrl::new("/") })
}

fn keyword(text: &str) -> BodyTest {
    BodyTest::Keyword(text.to_owned())
}

fn regex(pattern: &str) -> BodyTest {
    BodyTest::Regex { pattern: pattern.to_owned(), negate: false, min_offset: 0, max_offset: 0 }
}

fn page(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A server that keeps what it hears and has this answer to it.
async fn hears(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let addr = serve(move |mut stream| {
        let hears = Arc::clone(&hears);
        async move {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).await.unwrap_or(0);
            hears.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    (addr, heard)
}

const RIGHT: Result<Success, String> = Ok(Success { weight: None });

#[tokio::test]
async fn requests_say_what_they_are_told_to() {
    let (addr, heard) = hears("HTTP/1.0 200 OK\r\n\r\n").await;
    let agent = concat!("ulvs/", env!("CARGO_PKG_VERSION"), " (health check)");
    let ask = async |url: HttpUrl, version| {
        let kind = CheckKind::Http(HttpCheck { urls: vec![url], version, ..HttpCheck::default() });
        assert_eq!(ask(kind, addr).await, RIGHT);
        heard.lock().unwrap().pop().unwrap()
    };
    assert_eq!(
        ask(HttpUrl::new("/health?a=b"), HttpVersion::Http11).await,
        format!(
            "GET /health?a=b HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
        )
    );
    let named =
        HttpUrl { host: Some("www.ilinux.io".to_owned()), method: "HEAD".to_owned(), ..HttpUrl::new("/") };
    assert_eq!(
        ask(named.clone(), HttpVersion::Http10).await,
        format!("HEAD / HTTP/1.0\r\nHost: www.ilinux.io\r\nUser-Agent: {agent}\r\n\r\n")
    );
    assert_eq!(
        ask(
            HttpUrl { method: "OPTIONS".to_owned(), path: "*".to_owned(), ..named },
            HttpVersion::Http10Close
        )
        .await,
        format!(
            "OPTIONS * HTTP/1.0\r\nHost: www.ilinux.io\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
        )
    );
}

#[tokio::test]
async fn statuses_are_right_or_not() {
    let status = async |answered: u16, expected: &[(u16, u16)]| {
        let addr = says(format!("HTTP/1.1 {answered} \r\nContent-Length: 0\r\n\r\n")).await;
        ask(url(HttpUrl { status: expected.to_vec(), ..HttpUrl::new("/") }), addr).await
    };
    for right in [200, 204, 299] {
        assert_eq!(status(right, &[]).await, RIGHT);
    }
    assert_eq!(status(503, &[]).await, Err("status 503 where 200-299 was expected".to_owned()));
    assert_eq!(status(302, &[]).await, Err("status 302 where 200-299 was expected".to_owned()));
    assert_eq!(status(302, &[(200, 200), (300, 399)]).await, RIGHT);
    assert_eq!(status(401, &[(401, 401)]).await, RIGHT);
    assert_eq!(
        status(200, &[(204, 204), (300, 399)]).await,
        Err("status 200 where 204, 300-399 was expected".to_owned())
    );
}

#[tokio::test]
async fn bodies_hold_what_they_have_to() {
    let addr = says(page("all is OK, says \u{e9}t\u{e9}\n")).await;
    assert_eq!(ask(body(&[keyword("OK")]), addr).await, RIGHT);
    assert_eq!(ask(body(&[keyword("\u{e9}t"), keyword("all")]), addr).await, RIGHT);
    assert_eq!(why(body(&[keyword("OK"), keyword("ok")]), addr).await, "the body does not contain `ok`");
    assert_eq!(why(body(&[keyword("a.l")]), addr).await, "the body does not contain `a.l`");
    assert_eq!(ask(body(&[regex(r"^a\w+ is (OK|fine)\b")]), addr).await, RIGHT);
    assert_eq!(why(body(&[regex("^is")]), addr).await, "the body does not match `^is`");

    let digest = |digits: &str| body(&[BodyTest::Digest(digits.to_owned())]);
    let addr = says(page("The quick brown fox jumps over the lazy dog")).await;
    assert_eq!(ask(digest("9e107d9d372bb6826bd81d3542a419d6"), addr).await, RIGHT);
    assert_eq!(ask(digest("9E107D9D372BB6826BD81D3542A419D6"), addr).await, RIGHT);
    assert_eq!(
        why(digest("d41d8cd98f00b204e9800998ecf8427e"), addr).await,
        "the MD5 of the body is 9e107d9d372bb6826bd81d3542a419d6, where d41d8cd98f00b204e9800998ecf8427e was expected"
    );
    assert_eq!(ask(digest("d41d8cd98f00b204e9800998ecf8427e"), says(page("")).await).await, RIGHT);
}

#[tokio::test]
async fn matches_are_looked_for_between_two_places() {
    let addr = says(page("0123456789abc")).await;
    let matches = async |pattern: &str, negate, min_offset, max_offset| {
        let test = BodyTest::Regex { pattern: pattern.to_owned(), negate, min_offset, max_offset };
        ask(body(&[test]), addr).await
    };
    assert_eq!(matches("3", false, 3, 3).await, RIGHT);
    assert_eq!(matches("3", false, 4, 0).await, Err("the body does not match `3`".to_owned()));
    assert_eq!(matches("3", false, 0, 2).await, Err("the body does not match `3`".to_owned()));
    assert_eq!(matches("abc", false, 0, 10).await, RIGHT, "it may end later");
    assert_eq!(matches("^3", false, 3, 0).await, Err("the body does not match `^3`".to_owned()));
    assert_eq!(matches("x", false, 100, 0).await, Err("the body does not match `x`".to_owned()));
    assert_eq!(matches("3", true, 0, 0).await, Err("the body matches `3`, which it must not".to_owned()));
    assert_eq!(matches("3", true, 4, 0).await, RIGHT);
    assert_eq!(matches("x", true, 100, 0).await, RIGHT);
}

#[tokio::test]
async fn bodies_end_where_their_framing_says() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nsome\r\n6\r\nthing!\r\n0\r\nX: y\r\n\r\nrest";
    let counted = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nsomething!rest";
    let closed = "HTTP/1.0 200 OK\r\n\r\nsomething!";
    let bare = "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n0A\nsomething!\n0\n\n";
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsomething!";
    for answer in [chunked, counted, closed, bare, interim] {
        let addr = says(answer).await;
        assert_eq!(ask(body(&[regex(r"^something!\z")]), addr).await, RIGHT, "{answer}");
    }
    // No body at all, whatever is said of one.
    let head = HttpUrl { method: "HEAD".to_owned(), ..HttpUrl::new("/") };
    assert_eq!(ask(url(head), says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await).await, RIGHT);
    assert_eq!(ask(root(), says("HTTP/1.1 204 No Content\r\nContent-Length: 10\r\n\r\n").await).await, RIGHT);
}

#[tokio::test]
async fn a_server_that_keeps_the_connection_open_is_not_waited_for_when_it_has_answered() {
    let addr = serve(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(page("OK").as_bytes()).await;
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(ask(body(&[keyword("OK")]), addr).await, RIGHT);
}

#[tokio::test]
async fn a_body_that_ends_too_soon_is_a_failure_whatever_is_expected_of_it() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome", "the body ends after 4 of 10 bytes"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsome",
            "the body ends after 4 of 6 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
            "the body ends between two chunks",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsomething",
            "a line between chunks has no end",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome1\n",
            "a chunk is longer than it says",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "`x` is no size of a chunk"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "`` is no size of a chunk"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+4\r\nsome", "`+4` is no size of a chunk"),
        ("HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n", "`ten` is no Content-Length"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "`99999999999999999999` is no Content-Length",
        ),
    ] {
        assert_eq!(why(root(), says(answer).await).await, expected, "{answer}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_quoted() {
    for (answer, expected) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP: it begins with `SSH-2.0-OpenSSH_9.2`"),
        ("220", "the answer is not HTTP: it begins with `220`"),
        (
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "the answer is not HTTP: invalid response status after `HTTP/1.1 2x0 OK`",
        ),
        ("HTTP/1.1 200 OK\r\n", "the server closed the connection in the middle of the answer's head"),
        ("", "the server closed the connection without an answer"),
    ] {
        assert_eq!(why(root(), says(answer).await).await, expected, "{answer}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(200));
    assert_eq!(why(root(), says(many).await).await, "the head of the answer has more than 128 fields");
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(50);
    assert_eq!(why(root(), says(interim).await).await, "the server says again and again that it will answer");
}

#[tokio::test]
async fn a_head_without_end_is_not_read_to_the_end() {
    for then in [
        b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".as_slice(),
        b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
    ] {
        let addr = endless(b"HTTP/1.1 200 OK\r\n", then, Duration::ZERO).await;
        assert_eq!(why(root(), addr).await, "the head of the answer is longer than 64 KiB");
    }
}

/// A body of 10 GB, of these bytes again and again.
async fn flood(head: &'static [u8], bytes: &'static [u8]) -> SocketAddr {
    let block = bytes.repeat(65_536 / bytes.len());
    serve(move |mut stream| {
        let block = block.clone();
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let mut sent = stream.write_all(head).await;
            for _ in 0..10_000_000_000 / block.len() {
                if sent.is_err() {
                    break;
                }
                sent = stream.write_all(&block).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn of_a_body_of_10_gigabytes_the_first_mib_is_looked_at() {
    let counted: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n";
    let chunked: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2540BE400\r\n";
    for head in [counted, chunked, b"HTTP/1.1 200 OK\r\n\r\n"] {
        let addr = flood(head, b"x").await;
        let started = Instant::now();
        assert_eq!(ask(root(), addr).await, RIGHT);
        assert_eq!(ask(body(&[keyword("xxx")]), addr).await, RIGHT);
        let expected = "the first MiB of the body does not contain `OK`";
        assert_eq!(why(body(&[keyword("OK")]), addr).await, expected);
        assert!(started.elapsed() < Duration::from_secs(15), "it has not been read to the end");
    }
    let addr = flood(counted, b"x").await;
    let digest = body(&[BodyTest::Digest("d41d8cd98f00b204e9800998ecf8427e".to_owned())]);
    let why = why(digest, addr).await;
    assert_eq!(why, "the body is longer than the 64 MiB that an MD5 is taken of");
}

#[tokio::test]
async fn an_md5_is_of_all_of_a_body_that_is_longer_than_what_else_is_looked_at() {
    // Of 3 MiB of zeros.
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n".to_vec();
    answer.resize(answer.len() + 3_145_728, 0);
    let digest = BodyTest::Digest("d1dd210d6b1312cb342b56d02bd5e651".to_owned());
    let addr = says(answer).await;
    assert_eq!(
        ask(body(&[digest, regex(r"^\x00+\z")]), addr).await,
        RIGHT,
        "the MiB that is kept is all there is to it"
    );
}

#[tokio::test]
async fn pages_are_asked_for_one_after_the_other_and_a_failure_says_which() {
    let addr = serve(|mut stream| async move {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.unwrap_or(0);
        let status = if buffer[..length].starts_with(b"GET /b ") { 404 } else { 200 };
        let _ = stream.write_all(format!("HTTP/1.0 {status} x\r\n\r\n").as_bytes()).await;
    })
    .await;
    let check = |paths: &[&str]| HttpCheck {
        urls: paths.iter().map(|path| HttpUrl::new(path)).collect(),
        ..HttpCheck::default()
    };
    assert_eq!(ask(CheckKind::Http(check(&["/a", "/c"])), addr).await, RIGHT);
    let failed = Err("/b: status 404 where 200-299 was expected".to_owned());
    assert_eq!(ask(CheckKind::Http(check(&["/a", "/b"])), addr).await, failed);

    // A server that comes back has to have them all, too.
    let check = sched::Check { timeout: 20_000, ..sched::Check::new(CheckKind::Http(check(&["/a", "/b"]))) };
    let down = Target { up: false, ..target(addr) };
    assert_eq!(Question::new(&check, &tools()).ask(&down).await.result, failed);
}

#[tokio::test]
async fn the_second_page_is_waited_for_from_its_own_beginning() {
    let calls = Arc::new(Mutex::new(0));
    let addr = serve(move |mut stream| {
        let calls = Arc::clone(&calls);
        async move {
            *calls.lock().unwrap() += 1;
            if *calls.lock().unwrap() > 1 {
                std::future::pending::<()>().await;
            }
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
        }
    })
    .await;
    let urls = vec![HttpUrl::new("/a"), HttpUrl::new("/b")];
    let kind = CheckKind::Http(HttpCheck { urls, ..HttpCheck::default() });
    assert_eq!(soon_why(kind, addr).await, "connected, but no answer within 300 ms");
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_is_put_together() {
    let addr = serve(|mut stream| async move {
        let _ = stream.set_nodelay(true);
        for byte in "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n".bytes() {
            let _ = stream.write_all(&[byte]).await;
            tokio::task::yield_now().await;
        }
        let _ = stream.read(&mut [0; 4096]).await;
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(ask_for(20_000, body(&[keyword("OK")]), addr).await, RIGHT);
}

#[test]
fn what_can_never_be_is_said_beforehand() {
    let page = HttpUrl::new("/");
    let with = |test: BodyTest| HttpUrl { body: vec![test], ..page.clone() };
    let status = |status: &[(u16, u16)]| HttpUrl { status: status.to_vec(), ..page.clone() };
    let method = |method: &str| HttpUrl { method: method.to_owned(), ..page.clone() };
    let between = |min_offset, max_offset| {
        with(BodyTest::Regex { pattern: "x".to_owned(), negate: false, min_offset, max_offset })
    };
    for (url, part) in [
        (HttpUrl::new(""), "does not begin with `/`"),
        (HttpUrl::new("index.html"), "does not begin with `/`"),
        (HttpUrl::new("*"), "does not begin with `/`"),
        (HttpUrl::new("/a b"), "a space"),
        (HttpUrl::new("/ HTTP/1.1\r\nX: y"), "a space"),
        (HttpUrl { host: Some("a\r\nb".to_owned()), ..page.clone() }, "is no host"),
        (HttpUrl { host: Some(String::new()), ..page.clone() }, "is no host"),
        (method(""), "is no method"),
        (method("GET /"), "is no method"),
        (method("CONNECT"), "is no method"),
        (HttpUrl { method: "HEAD".to_owned(), ..with(keyword("x")) }, "HEAD has no body"),
        (status(&[(700, 700)]), "700 is no status"),
        (status(&[(200, 299), (99, 200)]), "99-200 is no status"),
        (status(&[(300, 200)]), "300-200 is no status"),
        (with(keyword("")), "empty keyword"),
        (with(BodyTest::Digest("abc".to_owned())), "is no MD5"),
        (with(BodyTest::Digest("+e107d9d372bb6826bd81d3542a419d6".to_owned())), "is no MD5"),
        (with(BodyTest::Digest("g".repeat(32))), "is no MD5"),
        (with(BodyTest::Digest("\u{e9}".repeat(16))), "is no MD5"),
        (with(regex("(?=x)")), "look-around"),
        (with(regex(r"(a)\1")), "backreferences are not supported"),
        (with(regex("(")), "unclosed group"),
        (with(regex("a{1000}{1000}")), "too large"),
        (between(5, 4), "no match begins"),
    ] {
        let http = HttpCheck { urls: vec![page.clone(), url.clone()], ..HttpCheck::default() };
        let why = check(&http).expect_err(part);
        assert!(why.contains(part), "{url:?}: {why}");
        assert!(!why.contains('\n'), "{why}");
    }
    assert_eq!(check(&HttpCheck::default()), Ok(()));
}

/// What is made of an answer that comes in two parts.
fn read(answer: &[u8], cut: usize) -> Result<(), String> {
    let page = Page::new(&HttpUrl { body: vec![regex("^OK")], ..HttpUrl::new("/") }).unwrap();
    let alone = Alone::towards("127.0.0.1:80".parse().unwrap(), &tools());
    let (first, second) = answer.split_at(cut.min(answer.len()));
    let asking = alone.asking();
    let mut answer = Answer::new(first.chain(second), &asking);
    let work = async {
        let head = answer.head().await?;
        page.judge_status(head.status)?;
        let mut body = page.body();
        answer.body(head.framing, &mut body).await?;
        page.judge_body(body)
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #[test]
    fn it_does_not_matter_in_which_parts_an_answer_comes(
        parts in prop::collection::vec(prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 \r\n", "HTTP/1.0 500 \n", "\r\n", "\n", "\r", "Content-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\n", "OK", "2\r\nOK\r\n", "0\r\n", "3", ":", " ", "\0", "\u{e9}", "X: y\r\n",
        ]), 0..12),
        cut in 0..200usize,
    ) {
        let answer = parts.concat();
        let whole = read(answer.as_bytes(), 0);
        let in_parts = read(answer.as_bytes(), cut);
        // What is quoted of nonsense is what has come by then.
        prop_assert!(whole == in_parts || whole.is_err() && in_parts.is_err(), "{answer:?}: {whole:?}, {in_parts:?}");
    }

    #[test]
    fn no_bytes_are_too_strange(answer in prop::collection::vec(any::<u8>(), 0..300), begins: bool) {
        let begin: &[u8] = if begins { b"HTTP/1.1 200 OK\r\n" } else { b"" };
        if let Err(why) = read(&[begin, &answer].concat(), 100) {
            prop_assert!(!why.is_empty() && !why.contains(|c: char| c.is_control()), "{why:?}");
        }
    }
}
